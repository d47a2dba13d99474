"""foldnet verify."""

from typing import Annotated, Any

import typer

from foldnet.drawing.output import FOLD
from foldnet_cli.options import DataDir, Device, FoldArgument, RunOption


def verify(
    fold: FoldArgument = None,
    run: RunOption = None,
    no_data: Annotated[bool, typer.Option("--no-data", help="Compare on random inputs only.")] = False,
    images: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="<int>", help="Compare on so many test images.  [default: all]", show_default=False
        ),
    ] = None,
    data_dir: DataDir = None,
    device: Device = "auto",
) -> Any:
    """Compute again that a fold is what it says, and write its certificate.json.

    Compares soft with dense and tied with looped, layer by layer; folds the run's checkpoint again and compares weights
    and norms; measures every accuracy in report.json; counts what the files hold. It names what it checked.

    Exit status: 0 all of it is true, 1 something is false, 3 nothing false was found but not everything could be
    checked, such as when the run is not there.

    Digests have no key. They show accidents; whoever edits a fold can state them anew, and only its run can tell.
    """
    from foldnet.verbs.verify import verify as recipe
    from foldnet_cli.outputs import taken
    from foldnet_cli.progress import watch

    fold = taken(fold, FOLD)
    return watch(recipe, fold, run=run, data=not no_data, images=images, data_dir=data_dir, device=device)
