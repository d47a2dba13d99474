"""A network for every runtime that reads ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foldnet.drawing.output import Output
from foldnet.options import Option
from foldnet.verbs.exports.subject import NETWORK

if TYPE_CHECKING:
    from torch import nn

    from foldnet.exporting.report import ExportReport

LOOPS = ("loop", "unrolled")


@dataclass(frozen=True, slots=True)
class Onnx(Output):
    """A fold's network with real loops, or a run's, for every runtime that reads ONNX."""

    of, name, endings = NETWORK, "network.onnx", (".onnx",)
    loops: Annotated[
        str | None, Option("loop or unrolled: onnx's loops, or all trips written out.  [default: loop]", LOOPS)
    ] = None
    dial: Annotated[bool, Option("Let onnx's users choose the trips of each loop.")] = False
    inputs: Annotated[Any, Option(flag=None)] = None

    def write(self, what: Path | nn.Module, file: Path, observer: Any) -> ExportReport:
        """Raises RunError, SettingError, MissingTool."""
        from foldnet.exporting.given import given
        from foldnet.exporting.onnx_file import write_onnx

        return write_onnx(given(what, self.inputs), file, loops=self.loops != "unrolled", dial=self.dial)
