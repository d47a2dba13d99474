"""What a card says of a fold, collected: nothing is measured for it, and what is not known is None."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foldnet.folding.folds import Fold, open_fold
from foldnet.folding.opening import run_of_fold
from foldnet.proof.certificate import Certificate
from foldnet.proof.certificate_file import is_of, read_certificate
from foldnet.proof.fold_report import FoldReport, read_fold_report
from foldnet.store.seals import check_files
from foldnet.store.tensors import load_tensors
from foldnet.studies.results import results_of
from foldnet.studies.table import StudyReport, table_of
from foldnet.training.runs import Run


@dataclass(frozen=True, slots=True)
class Facts:
    """A fold whose files are as they were written, its report, the certificate where there is one of these files, the
    run where it is there, a study where one was named, and the licence that was chosen."""

    name: str
    fold: Fold
    report: FoldReport
    certificate: Certificate | None
    run: Run | None
    study: StudyReport | None = None
    license: str | None = None
    place: str | None = None


def facts_of(folder: Path, run: Path | str | None, study: Path | str | None, **chosen: Any) -> Facts:
    """Raises RunError for a fold that is damaged or was changed, for a `run` that is not its run, and for what is no
    study or was changed."""
    fold = open_fold(folder)
    check_files(folder, fold.files, fold.stated)
    load_tensors(fold.weights)  # which has digests of its own
    report = replace(read_fold_report(fold), run=fold.run, fold=None)
    around = folder.resolve().parent
    there = run is not None or (around / "config.json").is_file()
    compared = None if study is None else table_of(Path(study).stem, results_of(Path(study)))
    name = f"{fold.arch}-{folder.resolve().name}".replace("/", "-").replace(":", "-")
    found = run_of_fold(fold, run) if there else None
    return Facts(name, fold, report, certificate_of(folder), found, compared, **chosen)


def certificate_of(folder: Path) -> Certificate | None:
    """A fold's certificate; None where it has none, or one of other files. Raises RunError for what is none or was
    changed."""
    found = read_certificate(folder)
    return found if found is not None and is_of(found, folder) else None
