"""Every form of a fold, side by side."""

from pathlib import Path

import torch
from torch import nn

from foldnet.errors import RunError
from foldnet.folding.folds import Fold
from foldnet.folding.looped import LoopedNetwork, gain_slots, unroll
from foldnet.folding.opening import soft_of_fold
from foldnet.folding.owners import Owners, TiedLayers
from foldnet.sharing.share import SharedNetwork, materialise

FORMS = ("soft", "dense", "tied", "looped", "plain")
SEED = 0  # of weights that stand for others


def forms_of(fold: Fold, named: Path | str | None = None) -> tuple[dict[str, nn.Module], tuple[str, ...]]:
    """All forms of a fold on the CPU, in evaluation mode, and what there is to say about them; `named` is its run.

    Raises RunError where a run that is named is not the fold's.
    """
    looped, notes = fold.load(), []
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        soft = fold.blueprint.build()
        plain = fold.blueprint.build_plain()
    try:
        soft = soft_of_fold(fold, named)
    except RunError as error:
        if named is not None:
            raise
        notes.append(f"soft and dense have random weights, which costs the same time ({error})")
    with torch.device("meta"):
        unrolled = materialise(fold.blueprint.build())
    assert isinstance(soft, SharedNetwork)
    forms = {
        "soft": soft,
        "dense": materialise(soft),
        "tied": _tied(looped, unroll(looped, unrolled), soft),
        "looped": looped,
        "plain": plain,
    }
    return {name: forms[name].eval() for name in FORMS}, tuple(notes)


def _tied(looped: LoopedNetwork, unrolled: nn.Module, soft: SharedNetwork) -> SharedNetwork:
    """Owners and gains in an unrolled network that takes `unrolled` over."""
    owner_of = {use.layer: use.owner for use in looped.program.uses if use.owner is not None}
    gains = {layer: gain[step] for gain, step, layer in gain_slots(looped)}
    sources: dict[str, nn.Module] = {}
    for group in soft.plan.groups:
        owners = looped.owners[group.name]
        assert isinstance(owners, Owners)
        tied = TiedLayers(owners, tuple(owner_of[layer] for layer in group.layers))
        tied.gains = nn.Parameter(torch.stack([gains[layer].detach() for layer in group.layers]))
        sources[group.name] = tied
    return SharedNetwork(unrolled, soft.plan, sources)
