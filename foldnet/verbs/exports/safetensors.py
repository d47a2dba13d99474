"""A network's tensors and its program, for whoever loads them with a few lines of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldnet.drawing.output import Output
from foldnet.verbs.exports.subject import NETWORK

if TYPE_CHECKING:
    from torch import nn

    from foldnet.exporting.report import ExportReport


@dataclass(frozen=True, slots=True)
class Safetensors(Output):
    """Every tensor once, with the program."""

    of, name, endings = NETWORK, "network.safetensors", (".safetensors",)

    def write(self, what: Path | nn.Module, file: Path, observer: Any) -> ExportReport:
        """Raises RunError."""
        from foldnet.exporting.given import given
        from foldnet.exporting.tensors_file import write_tensors

        return write_tensors(given(what, runs=False), file)
