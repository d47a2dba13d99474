"""A network as torch's own exported program."""

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


@dataclass(frozen=True, slots=True)
class Pt2(Output):
    """A network for torch.export.load, its loops written out, every owner once."""

    of, name, endings = NETWORK, "network.pt2", (".pt2",)
    inputs: Annotated[Any, Option(flag=None)] = None

    def write(self, what: Path | nn.Module, file: Path, observer: Any) -> ExportReport:
        """Raises RunError, SettingError."""
        from foldnet.exporting.given import given
        from foldnet.exporting.pt2 import write_pt2

        return write_pt2(given(what, self.inputs), file)
