"""foldnet report."""

from pathlib import Path
from typing import Any

from foldnet.verbs.report import SHOWN, Page
from foldnet_cli.options import FORCE, out_file, parameters_of, takes
from foldnet_cli.outputs import argument_of, write

FILE = "Page to write (.html).  [default: a new one in the folder of what is shown]"


@takes(argument_of(SHOWN), out_file(FILE), *parameters_of(Page).values(), FORCE)
def report(named: Path | None, output: Path | None, force: bool, **given: Any) -> Any:
    """Write one page that shows all of a run, a fold or a study: in one file, for any browser, and for paper.

    On it a threshold can be moved: each stop shows what fold prints there, and the graph.
    """
    return write(Page, named, output, force, **given)
