"""foldnet verify: compute again whether a fold is what it says."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.bounds import check_number, checked
from foldnet.errors import FoldnetError
from foldnet.folding.folds import Fold, open_fold, settings_of
from foldnet.folding.looped import LoopedNetwork, unroll
from foldnet.folding.opening import fold_folder
from foldnet.proof import promises as promised
from foldnet.proof.at_hand import AtHand, at_hand
from foldnet.proof.certificate import Certificate, check_comparison, check_origin, count
from foldnet.proof.certificate_file import write_certificate
from foldnet.proof.claims import check_claims, check_proof, check_statements
from foldnet.proof.compare import Comparison, LayerGauges, compare_forms, kinds_of
from foldnet.proof.exported import ExportCertificate
from foldnet.proof.fold_report import FoldReport, parsed_fold_report
from foldnet.proof.promises import Findings, Promise
from foldnet.proof.refold import Refold, check_norms, check_refold, fold_again
from foldnet.sharing.share import materialise
from foldnet.show.progress import watched
from foldnet.store.artifact import refuse_linked
from foldnet.store.seals import check_files, sha256_of
from foldnet.training.observer import Observer, Silent
from foldnet.training.session import loader_of
from foldnet.verbs.verify_memory import verify_in_memory
from foldnet.zoo.family import runs_code

BATCH = 128
RANDOM_INPUTS = 256
SEED = 0  # of the random inputs
FORMS = ("soft", "dense", "tied", "looped")


@runs_code
@watched
@checked
def verify(
    path: Path | str | nn.Module | None = None,
    *,
    against: nn.Module | None = None,
    inputs: Iterable[Any] | None = None,
    exported: Path | str | None = None,
    run: Path | str | None = None,
    data: bool = True,
    images: int | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    written: bool = True,
    observer: Observer | None = None,
) -> Certificate | ExportCertificate:
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

    With `exported`, a file that `foldnet.export` wrote of the fold, that file is run beside the fold's looped network
    instead, on the CPU: the certificate names it by its SHA-256, and is written to FOLD/exported-SHA256.json.

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
    if exported is not None:
        from foldnet.verbs.verify_exported import verify_exported

        return verify_exported(
            folder,
            Path(exported),
            run=run,
            data=data,
            images=images,
            data_dir=data_dir,
            written=written,
            observer=observer,
        )
    if written:
        refuse_linked(folder)
    fold = open_fold(folder)
    check_files(fold.folder, fold.files, fold.stated)
    there = at_hand(fold, run, data=data, data_dir=data_dir, device=device)
    with torch.device("meta"):
        plain = materialise(fold.blueprint.build())
    findings, report = _check_structure(there, plain)
    measured: dict[str, Any] = {"score": _scores(fold, None)}
    if report is not None:
        found, measured = _run_forms(there, plain, report, images, observer or Silent())
        findings += found
    certificate = _certificate(there, findings, measured, start)
    if written:
        write_certificate(folder, certificate)
    return certificate


def _certificate(there: AtHand, findings: Findings, measured: Mapping[str, Any], start: float) -> Certificate:
    """What was found since `start`, beside what it was found of."""
    fold = there.fold
    return Certificate(
        fold=str(fold.folder),
        run=fold.run,
        device=str(there.machine.device),
        files={name: sha256_of(fold.folder / name) for name in ("config.json", *dict(fold.files))},
        checkpoint_sha256=there.checkpoint_sha256,
        promises=findings.promises,
        notes=findings.notes + findings.unmeasured,
        unmeasured=findings.unmeasured,
        **measured,
        seconds=time.perf_counter() - start,
        task=fold.task,
    )


def _check_structure(there: AtHand, plain: nn.Module) -> tuple[Findings, FoldReport | None]:
    """What must hold before anything can be run, and the fold's report, None where it does not."""
    fold = there.fold
    promises = promised.check_program(fold.program, plain, {group.name: group.owners for group in fold.groups})
    if there.soft is not None and there.run is not None:
        promises.append(check_origin(fold, there.run))
    runs, notes, report = all(promise.held for promise in promises), there.missing, None
    if not runs:
        notes += ("the program does not fit the architecture, so that no form could be run",)
    try:
        report = parsed_fold_report(fold)
    except ValueError as error:
        promises.append(Promise("report.json is the report of a fold", False, str(error), "as foldnet writes it"))
        notes += ("report.json cannot be read, so that nothing was compared with it and no form was run",)
    return Findings(tuple(promises), notes), report if runs else None


def _run_forms(
    there: AtHand, plain: nn.Module, report: FoldReport, images: int | None, observer: Observer
) -> tuple[Findings, dict[str, Any]]:
    """Count, fold again, run the forms and measure: what was found, and what else the certificate says."""
    fold, laboratory, settings = there.fold, there.laboratory, settings_of(there.fold.folder)
    looped = fold.load()
    parameters, in_bytes, counted = count(fold, looped, report)
    tied = unroll(looped, plain).eval()
    refold, again = _fold_again(there, settings, tied, report)
    layers = LayerGauges()
    comparisons = _compare(there, looped, tied, layers, images, observer)
    misses = promised.equal("layers that did not run as the program says", ", ".join(layers.misses), "")
    findings = Findings((misses, *counted, promised.check_settings(report, settings, fold.checkpoint))) + again
    findings += check_statements(report, fold, refold)
    for comparison in comparisons:
        findings += check_comparison(comparison)
    tested = next((found for found in comparisons if found.counts is not None), None)
    seen, scores = tested and tested.count, _scores(fold, tested)
    whole = laboratory is not None and seen == laboratory.test.images
    with there.machine.exact_fp32():
        anew = report.is_tuned or not report.stated().keys().isdisjoint(("recalibrated", "finetuned"))
        findings += check_norms(tied, there.soft, laboratory, anew)
        findings += check_claims(report, laboratory, refold, scores if whole else {}, observer)
        findings += check_proof(report, looped, tied, fold, laboratory)
    return findings, {
        "inputs": comparisons,
        "layers": layers.layers(kinds_of(plain, fold.program)),
        "score": scores,
        "images": seen,
        "parameters": parameters,
        "bytes": in_bytes,
    }


def _fold_again(
    there: AtHand, settings: dict[str, Any], tied: nn.Module, report: FoldReport
) -> tuple[Refold | None, Findings]:
    """The fold made again from its run, where that is there, and what the comparison gives."""
    if there.soft is None:
        return None, Findings()
    try:
        refold = fold_again(there.soft, there.fold, settings)
    except (FoldnetError, TypeError, ValueError) as error:
        return None, Findings((Promise("settings in config.json fold the checkpoint", False, str(error), "they do"),))
    return refold, check_refold(refold, there.fold, tied, report)


def _compare(
    there: AtHand, looped: LoopedNetwork, tied: nn.Module, layers: LayerGauges, images: int | None, observer: Observer
) -> tuple[Comparison, ...]:
    """Run the forms on the first test images, where they are there, and on random inputs, the same on every device."""
    fold, machine = there.fold, there.machine
    forms: dict[str, nn.Module] = {"looped": looped, "tied": tied}
    if there.soft is not None:
        forms |= {"soft": there.soft, "dense": materialise(there.soft).eval()}
    forms = {name: model.to(machine.device) for name, model in forms.items()}
    sources: dict[str, tuple[int, Iterable[tuple[Tensor, Tensor | None]]]] = {}
    if there.laboratory is not None:
        test = there.laboratory.split.test
        rows = torch.arange(min(images or len(test), len(test)))
        loader = loader_of(there.laboratory.dataset, test.take(rows), BATCH, machine)
        sources["test"] = loader.images, loader.in_order()
    parts = torch.split(fold.blueprint.random_inputs(RANDOM_INPUTS, SEED), BATCH)
    sources["random"] = RANDOM_INPUTS, ((machine.put(x), None) for x in parts)
    found = []
    with machine.exact_fp32():
        for name, (total, source) in sources.items():
            observer.begin(f"verify on {name} inputs", total)
            found.append(compare_forms(forms, fold.program, name, source, layers, observer.advance, fold.task))
            observer.end()
    return tuple(found)


def _scores(fold: Fold, tested: Comparison | None) -> dict[str, float | None]:
    """The score of each form on the test images that were seen, if any."""
    count, counts = (tested.count, tested.counts or {}) if tested else (0, {})
    return {form: fold.task.score(counts[form], count) if form in counts else None for form in FORMS}
