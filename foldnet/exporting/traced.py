"""torch.export of a network that was written out, any number of inputs in a batch."""

import io
import logging
import re
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.errors import SettingError

REASON = 160  # characters of what torch says
BATCH, LENGTH = "batch", "length"
CONSTANT = re.compile(r"marked (\w+) as dynamic but your code specialized it to be a constant \((\d+)\)")
_ALONE = threading.Lock()


def traced(network: nn.Module, inputs: Sequence[Any], length: int | None = None) -> Any:
    """The torch.export.ExportedProgram of a network called with these inputs, whose tensors have the batch as their
    first dimension, and with `length` that of a sequence, which is the most, as their second.

    Raises SettingError, in one sentence, for a network that torch.export cannot follow, or whose batch is fixed.
    """
    batch = torch.export.Dim(BATCH)
    sizes = {0: batch} | ({1: torch.export.Dim(LENGTH, max=length)} if length is not None else {})
    shapes = tuple(sizes if isinstance(one, Tensor) and one.dim() else None for one in inputs)
    given = (shapes,) if _takes_any(network) else shapes
    try:
        with torch.no_grad(), alone(), _plain_attention():
            return torch.export.export(network, tuple(inputs), dynamic_shapes=given, strict=False)
    except Exception as error:  # torch raises whatever it meets
        raise SettingError(
            f"torch.export does not follow the network with any number of inputs in a batch ({_reason(error)}); write "
            "its forward without branches on what is in a tensor, without len(x), and with x.shape[0] where the size "
            "of a batch is needed"
        ) from error


@contextmanager
def alone() -> Iterator[None]:
    """One thread at a time in this block, in which torch follows or writes a network: it keeps how far it is in
    globals. What it prints and logs of one that it cannot follow, graphs and hints for its authors, is not shown."""
    with _ALONE:
        before = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            with redirect_stderr(io.StringIO()):
                yield
        finally:
            logging.disable(before)


def _reason(error: Exception) -> str:
    """What torch says, in a few words."""
    constant = CONSTANT.search(str(error))
    if constant is not None:
        return f"its code makes a constant of the {constant[1]}, {constant[2]} here"
    said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return textwrap.shorten(said.rstrip("."), REASON, placeholder="...")


def _takes_any(network: nn.Module) -> bool:
    """Whether a forward takes its inputs as one tuple, as torch.export sees it."""
    import inspect

    return any(one.kind is one.VAR_POSITIONAL for one in inspect.signature(network.forward).parameters.values())


@contextmanager
def _plain_attention() -> Iterator[None]:
    """torch's own fused attention for inference has no counterpart elsewhere."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
