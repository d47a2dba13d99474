"""foldnet report: one page, in one file, that shows all there is to see of a run, a fold or a study."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from foldnet.bounds import checked
from foldnet.drawing.output import Output, Subject, Taken, make
from foldnet.options import Option
from foldnet.show.progress import watched
from foldnet.show.report import Report, Table, Text, counted
from foldnet.store.artifact import FOLD, STUDY
from foldnet.store.files import write_whole
from foldnet.training.observer import Observer
from foldnet.zoo.family import runs_code


@dataclass(frozen=True, slots=True)
class PageReport(Report):
    """A page that was written: its file and size, the kind of what it shows, the stops of its threshold, and the
    seconds that it took."""

    file: str
    kind: str
    bytes: int
    stops: int
    seconds: float

    def parts(self) -> Iterator[Table | Text]:
        """In a line."""
        stops = f", {counted(self.stops, 'stop')} of the threshold" if self.stops else ""
        yield Text(f"page of a {self.kind}: {self.bytes / 1000:,.0f} kB{stops}, {self.seconds:.1f} s")


def _take(named: Any) -> Taken:
    """The run, fold or study named, else the newest run. Raises RunError where there is none."""
    from foldnet.training.runs import newest_run

    path = Path(named) if named is not None else newest_run()
    said = "" if named is not None else f"using {path}, the newest run"
    return Taken(path, path if path.is_dir() else path.parent, said)


SHOWN = Subject("RUN or FOLD or STUDY", "Run, fold or study folder; left out, the newest run under --home.", _take)


@dataclass(frozen=True, slots=True)
class Page(Output):
    """Write one page (.html) that shows all of a run, a fold or a study, and asks nothing of any network."""

    of, name, endings, watched = SHOWN, "report.html", (".html",), True
    depth: Annotated[bool, Option("Also measure accuracy against the trips through each loop of the newest fold.")] = (
        False
    )
    run: Annotated[Path | str | None, Option()] = None
    data_dir: Annotated[Path | None, Option()] = None
    device: Annotated[str, Option()] = "auto"

    def write(self, what: Path, file: Path, observer: Any) -> PageReport:
        """Raises RunError for what is damaged, or was changed after it was written."""
        from foldnet.verbs.pages.study import page_of_study, study_html

        start = time.perf_counter()
        if STUDY.is_one(what) or what.is_file():
            kind, stops, html = "study", 0, study_html(page_of_study(what))
        else:
            kind = "fold" if FOLD.is_one(what) else "run"
            stops, html = self._of_network(what, kind, observer)
        write_whole(file, html)
        return PageReport(str(file), kind, len(html.encode()), stops, time.perf_counter() - start)

    def _of_network(self, what: Path, kind: str, observer: Any) -> tuple[int, str]:
        """Of a run, or of a fold with its run: the number of stops, and the page."""
        from foldnet.folding.folds import open_fold
        from foldnet.folding.opening import run_of_fold
        from foldnet.verbs.pages.run import page_of_run
        from foldnet.verbs.pages.write import run_html
        from foldnet.verbs.trips import depth

        fold = what if kind == "fold" else None
        run = what if fold is None else run_of_fold(open_fold(what), self.run).folder
        found = None
        if self.depth:
            found = depth(what, run=self.run, data_dir=self.data_dir, device=self.device, observer=observer)
        page = page_of_run(run, fold, depth=found)
        return len(page.ways.stops) if page.ways is not None else 0, run_html(page)


@runs_code
@watched
@checked
def report(
    path: Path | str | None = None,
    out: Path | str | None = None,
    *,
    force: bool = False,
    depth: bool = False,
    run: Path | str | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
) -> PageReport:
    """Write one page that shows all of a run (default: the newest), a fold or a study: what was trained and how, which
    layers came alike, every fold that a threshold gives, the sweep, the folds that were kept and their certificates.

    The page is one file, which asks nothing of any network; it has at most 500 kB for 28 layers. `out` ends in .html;
    without it the page gets a new name in the folder. With `depth` accuracy is measured against the trips through each
    loop of the newest fold, on the data in `data_dir` and on `device`; `run` names the run of a fold that does not lie
    inside it. Raises OutputError for a file that exists, without `force`, and RunError for a run, fold or study
    that is damaged, or was changed after it was written.
    """
    options = {"depth": depth, "run": run, "data_dir": data_dir, "device": device}
    found = make(Page, path, out, options, force=force, observer=observer)
    page: PageReport = found.report
    return page
