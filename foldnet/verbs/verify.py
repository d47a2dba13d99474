"""foldnet verify: compute again whether a fold is what it says."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.bounds import check_number
from foldnet.data.batches import Loader
from foldnet.errors import FoldnetError
from foldnet.folding.folds import SEALED, Fold, open_fold, settings_of
from foldnet.folding.looped import LoopedNetwork, unroll
from foldnet.folding.opening import fold_folder
from foldnet.proof import promises as promised
from foldnet.proof.at_hand import AtHand, at_hand
from foldnet.proof.certificate import Certificate, check_origin, count
from foldnet.proof.claims import check_claims, check_proof, check_statements
from foldnet.proof.compare import LIMIT, Comparison, LayerGauges, compare_forms, kinds_of
from foldnet.proof.fold_report import FoldReport, read_fold_report
from foldnet.proof.promises import Findings, Promise
from foldnet.proof.refold import Refold, check_norms, check_refold, fold_again
from foldnet.sharing.share import materialise
from foldnet.show.progress import watched
from foldnet.store.artifact import refuse_linked
from foldnet.store.files import write_json
from foldnet.store.seals import check_files, sha256_of
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.training.session import loader_of
from foldnet.typed import checked
from foldnet.verbs.verify_memory import verify_in_memory

CERTIFICATE = "certificate.json"
BATCH = 128
RANDOM_INPUTS = 256
SEED = 0  # of the random inputs
FORMS = ("soft", "dense", "tied", "looped")


@watched
@checked
def verify(
    path: Path | str | nn.Module | None = None,
    *,
    against: nn.Module | None = None,
    inputs: Iterable[Any] | None = None,
    run: Path | str | None = None,
    data: bool = True,
    images: int | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    written: bool = True,
    observer: Observer | None = None,
) -> Certificate:
    """Check everything that a fold says of itself, as far as its run and its data are there, and write
    FOLD/certificate.json.

    In itself: the files' digests, the program, what the weights' file holds, the report's counts, and that looped
    equals tied, which is the looped network written out layer by layer and shares no code with the loops. With the run,
    which is the folder around the fold or `run`: that soft equals dense, and that program, clusters, gains and weights
    are those of folding its checkpoint again. With the run's data: norms, and every accuracy in the report. Forms run
    in fp32 on the test images (the first `images` of them, default all; without `data` none) and on seeded random
    inputs.

    A network in memory is compared with another one, `against`, on every batch of `inputs` (x or (x, y)): looped with
    tied, or dense with soft. Nothing is written then.

    What is false makes no exception here, and what could not be checked is said: see the certificate's `passed` (None
    where nothing is false and something could not be checked), `notes` and `check`. Digests have no key: they tell
    accidents, and whoever edits a fold can state them anew, which only the comparison with the run finds. What nobody
    can measure again, the tied layers' shares of the added loss and the accuracy of a control, is held to its bounds
    and named in `notes`. Progress is shown where a person looks, on a terminal or in a notebook, unless an `observer`
    is given (Silent: none). Raises RunError where a file of the fold was changed after folding or `run` is not its run,
    OutputError where it would be written through a link inside a run, DataError, SettingError.
    """
    if isinstance(path, nn.Module):
        return verify_in_memory(path, against, inputs)
    start = time.perf_counter()
    if images is not None:
        check_number("images", images)
    folder = fold_folder(path)
    if written:
        refuse_linked(folder)
    fold = open_fold(folder)
    check_files(fold.folder, fold.files, SEALED)
    machine = choose_machine(device, "fp32")
    there = at_hand(fold, run, data=data, data_dir=data_dir, device=device)
    with torch.device("meta"):
        plain = materialise(fold.blueprint.build())
    certificate = _begun(fold, there, str(machine.device), _check_structure(fold, plain, there))
    try:
        report = read_fold_report(fold)
    except ValueError as error:
        unread = Promise("report.json is the report of a fold", False, str(error), "as foldnet writes it")
        note = "report.json cannot be read, so that it was not compared and no form was run"
        certificate = certificate.and_found(Findings((unread,), (note,)))
    else:
        if certificate.passed is False:
            note = "the program does not fit the architecture, so that no form could be run"
            certificate = certificate.and_found(Findings(notes=(note,)))
        else:
            certificate = _run_forms(certificate, fold, plain, report, there, machine, images, observer or Silent())
    certificate = replace(certificate, seconds=time.perf_counter() - start)
    if written:
        write_json(folder / CERTIFICATE, certificate.to_json() | {"fold": folder.name})
    return certificate


def _begun(fold: Fold, there: AtHand, device: str, findings: Findings) -> Certificate:
    """A certificate of what was found before any form is run."""
    return Certificate(
        fold=str(fold.folder),
        run=fold.run,
        device=device,
        task=fold.task,
        compared_with_run=there.soft is not None,
        files={name: sha256_of(fold.folder / name) for name in ("config.json", *dict(fold.files))},
        checkpoint_sha256=there.checkpoint_sha256,
        findings=findings,
        score=dict.fromkeys(FORMS),
    )


def _check_structure(fold: Fold, plain: nn.Module, there: AtHand) -> Findings:
    """What must hold before anything can be run."""
    owners = {group.name: group.owners for group in fold.groups}
    promises = promised.check_program(fold.program, plain, owners)
    origin = [] if there.soft is None or there.run is None else [check_origin(fold, there.run)]
    return Findings((*promises, *origin), there.missing)


def _run_forms(
    certificate: Certificate,
    fold: Fold,
    plain: nn.Module,
    report: FoldReport,
    there: AtHand,
    machine: Machine,
    images: int | None,
    observer: Observer,
) -> Certificate:
    """Count, fold again, run the forms and measure; each finding is added to the certificate."""
    kinds, looped, settings = kinds_of(plain, fold.program), fold.load(), settings_of(fold.folder)
    parameters, bytes_, counted = count(fold, looped, report)
    tied = unroll(looped, plain).eval()
    refold, again = _fold_again(fold, settings, there, tied, report)
    layers = LayerGauges()
    comparisons = _compare(fold, looped, tied, layers, there, machine, images, observer)
    findings = Findings((*counted, promised.check_settings(report, settings, fold.checkpoint))) + again
    findings += check_statements(report, fold, refold)
    for comparison in comparisons:
        findings += _check_comparison(comparison)
    misses = promised.equal("layers that did not run as the program says", ", ".join(layers.misses), "")
    scores, seen = _scores(fold, comparisons)
    whole = there.laboratory is not None and seen == there.laboratory.test.images
    with machine.exact_fp32():
        anew = report.is_tuned or not report.stated().keys().isdisjoint(("recalibrated", "finetuned"))
        findings += check_norms(tied, there.soft, there.laboratory, anew)
        findings += check_claims(report, there.laboratory, refold, scores if whole else {}, observer)
        findings += check_proof(report, looped, tied, fold, there.laboratory)
    return replace(
        certificate.and_found(Findings((misses,)) + findings),
        comparisons=comparisons,
        layers=layers.layers(kinds),
        score=scores,
        images=seen,
        parameters=parameters,
        bytes=bytes_,
    )


def _fold_again(
    fold: Fold, settings: dict[str, Any], there: AtHand, tied: nn.Module, report: FoldReport
) -> tuple[Refold | None, Findings]:
    """The fold made again from its run, where that is there, and what the comparison gives."""
    if there.soft is None:
        return None, Findings()
    try:
        refold = fold_again(there.soft, fold, settings)
    except (FoldnetError, TypeError, ValueError) as error:
        return None, Findings((Promise("settings in config.json fold the checkpoint", False, str(error), "they do"),))
    return refold, check_refold(refold, fold, tied, report)


def _compare(
    fold: Fold,
    looped: LoopedNetwork,
    tied: nn.Module,
    layers: LayerGauges,
    there: AtHand,
    machine: Machine,
    images: int | None,
    observer: Observer,
) -> tuple[Comparison, ...]:
    """Run the forms on test images, where they are there, and on random inputs."""
    task = fold.task
    forms: dict[str, nn.Module] = {"looped": looped, "tied": tied}
    if there.soft is not None:
        forms |= {"soft": there.soft, "dense": materialise(there.soft).eval()}
    forms = {name: model.to(machine.device) for name, model in forms.items()}
    sources: dict[str, tuple[int, Iterator[tuple[Tensor, Tensor | None]]]] = {}
    if there.laboratory is not None:
        loader = _first(there, machine, images)
        sources["test"] = loader.images, loader.in_order()
    sources["random"] = RANDOM_INPUTS, _random_inputs(fold, machine)
    found = []
    with machine.exact_fp32():
        for name, (total, batches) in sources.items():
            observer.begin(f"verify on {name} inputs", total)
            found.append(compare_forms(forms, fold.program, name, batches, layers, observer.advance, task))
            observer.end()
    return tuple(found)


def _first(there: AtHand, machine: Machine, images: int | None) -> Loader:
    """The first test images, all of them where `images` is None."""
    assert there.laboratory is not None
    test = there.laboratory.split.test
    rows = torch.arange(min(images or len(test), len(test)))
    return loader_of(there.laboratory.dataset, test.take(rows), BATCH, machine)


def _check_comparison(comparison: Comparison) -> Findings:
    """What must hold on one kind of inputs.

    Where the soft network itself leaves fp32 nothing can be compared; where it is not there, the same is said of the
    tied one.
    """
    inputs, overflown = comparison.inputs, comparison.overflown
    source = "soft" if comparison.logits["dense"] is not None else "tied"
    notes, promises = [], []
    if source in overflown:
        notes.append(
            f"the {source} network itself overflows fp32 on {inputs} inputs: its forms cannot be compared there"
        )
    for pair, difference in comparison.logits.items():
        reference = "soft" if pair == "dense" else "tied"
        if difference is not None and not (source in overflown and reference in overflown):
            name = f"relative difference of {pair} to {reference} on {inputs} inputs"
            promises.append(promised.at_most(name, difference.relative, LIMIT))
    if not (source in overflown and "tied" in overflown):
        name = f"agreement of looped with tied on {inputs} inputs"
        promises.append(Promise(name, comparison.broken == 0, comparison.agreement, 1.0))
    return Findings(tuple(promises), tuple(notes))


def _scores(fold: Fold, comparisons: tuple[Comparison, ...]) -> tuple[dict[str, float | None], int | None]:
    """The score of each form on the test images that were seen, and how many those were."""
    task = fold.task
    test = next((found for found in comparisons if found.counts is not None), None)
    if test is None or test.counts is None:
        return dict.fromkeys(FORMS), None
    counts = test.counts
    return {form: task.score(counts[form], test.count) if form in counts else None for form in FORMS}, test.count


def _random_inputs(fold: Fold, machine: Machine) -> Iterator[tuple[Tensor, None]]:
    """Normal numbers, the same on every device."""
    generator = torch.Generator().manual_seed(SEED)
    for start in range(0, RANDOM_INPUTS, BATCH):
        count = min(BATCH, RANDOM_INPUTS - start)
        x = torch.randn(count, *fold.blueprint.image, generator=generator)
        yield x.to(machine.device, memory_format=torch.channels_last), None
