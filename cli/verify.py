"""foldnet verify."""

from pathlib import Path
from typing import Any

from foldnet.drawing.output import FOLD
from foldnet_cli.options import keyword, shared, switch, takes
from foldnet_cli.outputs import FOLD_ARGUMENT, taken, watch

EXPORTED = "Check a file that export wrote of the fold instead: it is run beside the fold, on the CPU."
IMAGES = "Compare on so many test images.  [default: all]"


@takes(
    *(FOLD_ARGUMENT, *shared("run"), switch("no_data", "Compare on random inputs only.")),
    keyword("images", int, min=1, metavar="<int>", help=IMAGES, show_default=False),
    *shared("data_dir", "device"),
    keyword("exported", Path, metavar="FILE", help=EXPORTED, show_default=False),
)
def verify(fold: Path | None, no_data: bool, **given: Any) -> Any:
    """Compute again that a fold is what it says, and write its certificate.json.

    Compares soft with dense and tied with looped, layer by layer; folds the run's checkpoint again and compares weights
    and norms; measures every accuracy in report.json; counts what the files hold. It names what it checked.

    Exit status: 0 all of it is true, 1 something is false, 3 nothing false was found but not everything could be
    checked, such as when the run is not there.

    Digests have no key. They show accidents; whoever edits a fold can state them anew, and only its run can tell.
    """
    from foldnet.verbs.verify import verify as recipe

    return watch(recipe, taken(fold, FOLD), data=not no_data, **given)
