"""foldnet export: runs and folds for other programs, each format declared in EXPORTS."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldnet.bounds import checked
from foldnet.drawing.output import Output, chosen, make
from foldnet.errors import SettingError, either, nearest
from foldnet.options import fields_of
from foldnet.verbs.exports.graphs import Dot, Graphml, Json
from foldnet.verbs.exports.onnx import Onnx
from foldnet.verbs.exports.pt2 import Pt2
from foldnet.verbs.exports.safetensors import Safetensors
from foldnet.zoo.family import runs_code

if TYPE_CHECKING:
    from torch import nn

EXPORTS: dict[str, type[Output]] = {
    "onnx": Onnx,
    "pt2": Pt2,
    "safetensors": Safetensors,
    "dot": Dot,
    "graphml": Graphml,
    "json": Json,
}


@runs_code
@checked
def export(
    path: "Path | str | nn.Module | None" = None,
    out: Path | str | None = None,
    *,
    format: str | None = None,
    force: bool = False,
    **options: Any,
) -> Path:
    """Write a fold (default: the newest fold of the newest run), a run or a network in memory in one of EXPORTS.

    `format` may be left out where the ending of `out` says it; without `out` the file gets a new name in the fold or
    run, or of a network in memory in the working directory. `options` are the format's own, such as `dial=True`, or
    `inputs=batch` for a network in memory that is to be run. Returns the file. Raises UnknownName, SettingError,
    OutputError, RunError, NothingToFold, MissingTool.
    """
    known = {option for kind in EXPORTS.values() for option in fields_of(kind)}
    for option in options:
        if option not in known:
            raise SettingError(f"export() got an unexpected keyword argument '{option}'{nearest(option, known)}")
    return make(format_of(format, out), path, out, options, force=force).file


def format_of(name: str | None, out: Path | str | None) -> type[Output]:
    """The format of that name, else the one whose ending `out` has. Raises UnknownName, SettingError where neither says
    it."""
    if name is not None:
        return chosen(EXPORTS, name, "format")
    ending = Path(out).suffix.lower() if out is not None else ""
    for known in EXPORTS.values():
        if ending in known.endings:
            return known
    told = f"ending '{ending}' of `out` names none" if ending else "`out` names none by its ending"
    raise SettingError(f"no `format` is given and {told}; choose {either(EXPORTS)}")
