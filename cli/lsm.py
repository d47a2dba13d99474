"""foldnet lsm."""

from pathlib import Path
from typing import Any

from foldnet.errors import SettingError
from foldnet.verbs.pictures.networks import History, Lsm, write_matrices
from foldnet_cli.options import FORCE, out_file, shared, switch, takes
from foldnet_cli.outputs import RUN_ARGUMENT, taken, write
from foldnet_cli.page import tell

FILE = "File to write as well; its ending chooses the format.  [default: none; a history: inside the run]"


@takes(
    *(RUN_ARGUMENT, *shared("metric"), switch("history", "Draw how the matrices came to be, epoch by epoch.")),
    *(*shared("checkpoint"), out_file(FILE), FORCE),
)
def lsm(run: Path | None, metric: str | None, history: bool, checkpoint: str, output: Path | None, force: bool) -> Any:
    """Show which layers came to be alike: the layer similarity matrix of every group, with its chance level.

    With -o FILE also written: .png, .svg, .pdf, .csv, .json, .npy or .npz.
    """
    if history:
        if metric == "weights" or checkpoint != "last":
            raise SettingError("--history shows the coefficients of every epoch; leave out --metric and --checkpoint")
        return write(History, run, output, force)
    Lsm.check_place(output, force=force)
    from foldnet.verbs.lsm import lsm as recipe

    report = recipe(taken(run), metric=metric, checkpoint=checkpoint)
    if output is not None:
        write_matrices(report, output)
        tell(f"wrote {output}")
    return report
