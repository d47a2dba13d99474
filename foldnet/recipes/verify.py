"""foldnet verify: compute again whether a fold is what it says."""

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from foldnet.bounds import check_number
from foldnet.errors import RunError
from foldnet.files import write_json
from foldnet.folding import promises as promised
from foldnet.folding.compare import LIMIT, Comparison, LayerGauges, compare_forms, kinds_of
from foldnet.folding.looped import LoopedNetwork, unroll
from foldnet.folding.promises import Promise
from foldnet.folds import Fold, check_files, open_fold, sha256_of
from foldnet.reading import read_json
from foldnet.recipes.certificate import Certificate, Numbers
from foldnet.recipes.evaluate import fold_folder
from foldnet.recipes.evidence import Evidence, compare_weights, count
from foldnet.recipes.loading import loader_of, split_of_run, task_of
from foldnet.recipes.origin import run_of_fold
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.tensors import digest_of
from foldnet.training.checkpoint import FILE
from foldnet.training.machine import Machine, choose_machine, exact_fp32
from foldnet.training.observer import Observer, Silent
from foldnet.typed import checked
from foldnet.zoo.build import build

CERTIFICATE = "certificate.json"
BATCH = 128
RANDOM_INPUTS = 256
SEED = 0  # of the random inputs
FORMS = ("soft", "dense", "tied", "looped")


@checked
def verify(
    path: Path | str | None = None,
    *,
    data: bool = True,
    images: int | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    written: bool = True,
    observer: Observer | None = None,
) -> Certificate:
    """Compare soft with dense and tied with looped, in fp32, count what the fold's file holds, and write FOLD/certificate.json.

    The forms run on the run's test images (the first `images` of them, default all; without `data` none) and on seeded random
    inputs; every layer is compared on the first few of both. Tied is the looped network written out layer by layer, which shares
    no code with the loops. Soft and dense are left out, and a note says so, where the run's checkpoint is gone or changed.
    A broken promise makes no exception here: see the certificate's `passed` and `check`.
    Raises RunError where a file of the fold was changed after folding, DataError, SettingError.
    """
    start = time.perf_counter()
    if images is not None:
        check_number("images", images)
    folder = fold_folder(Path(path) if path is not None else None)
    fold = open_fold(folder)
    check_files(fold.folder, fold.files)
    machine = choose_machine(device, "fp32")
    evidence = Evidence(fold)
    _find_run(evidence)
    report = read_json(folder / "report.json")
    with torch.device("meta"):
        plain = materialise(build(fold.arch, classes=fold.classes, channels=fold.channels))
    owners = {group.name: group.owners for group in fold.groups}
    evidence.promises += promised.check_program(fold.program, plain, owners)
    layers = LayerGauges()
    sizes: tuple[Numbers, Numbers] = ({}, {})
    if all(promise.held for promise in evidence.promises):
        looped = fold.load()
        sizes = count(evidence, looped, plain, report)
        tied = unroll(looped, plain).eval()
        compare_weights(evidence, tied, report)
        _compare(evidence, looped, tied, layers, machine, data, images, data_dir, observer or Silent())
    else:
        evidence.notes.append("the program does not fit the architecture, so that no form could be run")
    certificate = _certificate(evidence, machine, layers, kinds_of(plain, fold.program), sizes, start)
    if written:
        write_json(folder / CERTIFICATE, certificate.to_json())
    return certificate


def _find_run(evidence: Evidence) -> None:
    """The run of a fold and its soft network, as far as they are still there."""
    fold, missing = evidence.fold, "soft and dense are left out"
    try:
        evidence.run = run_of_fold(fold)
    except RunError:
        evidence.notes.append(f"run '{fold.run}' is gone: {missing}, and only random inputs are compared")
        return
    where = f"checkpoint '{fold.checkpoint}' of run '{evidence.run.folder}'"
    file = evidence.run.folder / fold.checkpoint / FILE
    if not file.is_file():
        evidence.notes.append(f"{where} is gone: {missing}")
        return
    try:
        evidence.checkpoint_sha256 = digest_of(file, "model")
        if evidence.checkpoint_sha256 == fold.run_sha256:
            model, _ = evidence.run.load(fold.checkpoint)
            evidence.soft = model if isinstance(model, SharedNetwork) else None
            return
    except RunError as error:
        evidence.notes.append(f"{missing}: {error}")
        return
    evidence.notes.append(f"{where} is not the one that was folded (its digest differs): {missing}")


def _compare(
    evidence: Evidence,
    looped: LoopedNetwork,
    tied: nn.Module,
    layers: LayerGauges,
    machine: Machine,
    data: bool,
    images: int | None,
    data_dir: Path | None,
    observer: Observer,
) -> None:
    """Run the forms on test images and on random inputs, and promise what they must give."""
    task = task_of(evidence.fold.arch)
    forms: dict[str, nn.Module] = {"looped": looped, "tied": tied}
    if evidence.soft is not None:
        forms |= {"soft": evidence.soft, "dense": materialise(evidence.soft).eval()}
    forms = {name: model.to(machine.device) for name, model in forms.items()}
    sources: dict[str, tuple[int, Iterator[tuple[Tensor, Tensor | None]]]] = {}
    if data and evidence.run is not None:
        dataset, split = split_of_run(evidence.run, data_dir)
        rows = torch.arange(min(images or len(split.test), len(split.test)))
        loader = loader_of(dataset, split.test.take(rows), BATCH, machine)
        sources["test"] = loader.images, loader.in_order()
    elif not data:
        evidence.notes.append("no test images were asked for: only random inputs are compared")
    sources["random"] = RANDOM_INPUTS, _random_inputs(evidence.fold, machine)
    with exact_fp32(machine):
        for name, (total, batches) in sources.items():
            observer.begin(f"verify on {name} inputs", total)
            found = compare_forms(forms, evidence.fold.program, name, batches, layers, observer.advance, task)
            observer.end()
            evidence.comparisons.append(found)
            evidence.promises += _promises_of(found)
    evidence.promises.append(
        promised.equal("layers that did not run as the program says", ", ".join(layers.misses), "")
    )


def _promises_of(comparison: Comparison) -> list[Promise]:
    """What must hold on one kind of inputs."""
    promises = [
        promised.at_most(
            f"relative difference of {pair} to {'soft' if pair == 'dense' else 'tied'} on {comparison.inputs} inputs",
            difference.relative,
            LIMIT,
        )
        for pair, difference in comparison.logits.items()
        if difference is not None
    ]
    name = f"agreement of looped with tied on {comparison.inputs} inputs"
    return [*promises, Promise(name, comparison.broken == 0, comparison.agreement, 1.0)]


def _random_inputs(fold: Fold, machine: Machine) -> Iterator[tuple[Tensor, None]]:
    """Normal numbers, the same on every device."""
    generator = torch.Generator().manual_seed(SEED)
    for start in range(0, RANDOM_INPUTS, BATCH):
        count = min(BATCH, RANDOM_INPUTS - start)
        x = torch.randn(count, fold.channels, fold.size, fold.size, generator=generator)
        yield x.to(machine.device, memory_format=torch.channels_last), None


def _certificate(
    evidence: Evidence,
    machine: Machine,
    layers: LayerGauges,
    kinds: dict[str, str],
    sizes: tuple[Numbers, Numbers],
    start: float,
) -> Certificate:
    """Put together what was found."""
    fold = evidence.fold
    task = task_of(fold.arch)
    test = next((found for found in evidence.comparisons if found.counts is not None), None)
    counts = test.counts if test is not None and test.counts is not None else {}
    accuracy = {form: task.score(counts[form], test.count) if test and form in counts else None for form in FORMS}
    return Certificate(
        fold=str(fold.folder),
        run=fold.run,
        device=str(machine.device),
        promises=tuple(evidence.promises),
        comparisons=tuple(evidence.comparisons),
        layers=layers.layers(kinds),
        measure=task.measure,
        accuracy=accuracy,
        images=test.count if test is not None else None,
        parameters=sizes[0],
        bytes=sizes[1],
        files={name: sha256_of(fold.folder / name) for name in ("config.json", *dict(fold.files))},
        checkpoint_sha256=evidence.checkpoint_sha256,
        notes=tuple(evidence.notes),
        seconds=time.perf_counter() - start,
    )
