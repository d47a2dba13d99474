"""Tensors and the program beside them, in one safetensors file, of which a loader of a few lines makes a network
again."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from torch import Tensor, nn

from foldnet.errors import RunError
from foldnet.exporting.given import Given
from foldnet.exporting.report import ExportReport
from foldnet.exporting.unrolled import written_out
from foldnet.folding.looped import LoopedNetwork
from foldnet.program.data import loops_of
from foldnet.sharing.tied import Owners
from foldnet.store.seals import sha256_of
from foldnet.store.tensors import load_tensors, save_tensors


def write_tensors(given: Given, file: Path) -> ExportReport:
    """Write every tensor of the network once, of a looped one as its fold has them, with owners written out where
    templates mix them; whole or not at all."""
    tensors = state_of(given.network)
    unique = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    loops = loops_of(given.program) if given.program is not None else {}
    texts = given.about(format="safetensors", loops=loops, dial=[], unique_bytes=unique)
    facts = json.loads(texts["foldnet"])
    if "foldnet.program" in texts:
        facts["program"] = json.loads(texts["foldnet.program"])
    save_tensors(file, tensors, facts)
    return ExportReport(
        file=str(file),
        format="safetensors",
        form=given.form,
        source=given.source,
        sha256=sha256_of(file),
        bytes=file.stat().st_size,
        unique_bytes=unique,
        loops=loops,
        notes=given.notes,
        scaling=given.scaling,
    )


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """The tensors that are written, by name."""
    if isinstance(network, LoopedNetwork):
        return _with_owners(network).state_dict()
    return written_out(network).state_dict()


def rebuilt_tensors(given: Given, file: Path) -> nn.Module:
    """The network with the tensors of a file. Raises RunError where the file was changed, or does not fit."""
    assert isinstance(given.network, LoopedNetwork)
    network = _with_owners(given.network)
    try:
        network.load_state_dict(load_tensors(file).tensors)
    except RuntimeError:
        raise RunError(f"'{file}' holds other tensors than the fold that it names; export the fold again") from None
    return network.eval()


def _with_owners(network: LoopedNetwork) -> LoopedNetwork:
    """A copy in which no templates mix owners."""
    looped = copy.deepcopy(network)
    for name, owners in network.owners.items():
        assert isinstance(owners, Owners)
        if owners.templates is not None:
            count, _, shape, ranks = owners.form
            plain = Owners(count, None, shape, ranks)
            for kept, weight in zip(plain.owners or (), owners.owner_weights(), strict=True):
                kept.data = weight.detach().clone()
            looped.owners[name] = plain
    return looped
