"""The last check before a fold is written: looped against tied, on one batch."""

from collections.abc import Collection

import torch
from torch import nn

from foldnet.choosing.laboratory import Laboratory
from foldnet.folding.folds import Fold
from foldnet.folding.looped import LoopedNetwork
from foldnet.program.data import Program
from foldnet.proof.prove import Proof, prove
from foldnet.training.runs import Run

INPUTS = 16
SEED = 0


def check_fold(
    looped: LoopedNetwork,
    tied: nn.Module,
    program: Program,
    run: Run | Fold,
    laboratory: Laboratory | None,
    ignored: Collection[str],
) -> Proof:
    """Compare on test images where there is a laboratory, else on random inputs of the shape that the run was trained
    on.

    Raises BrokenPromise where the two differ.
    """
    device = next(tied.parameters()).device
    if laboratory is not None:
        x, _ = next(iter(laboratory.test.in_order()))
        return prove(looped, tied, program, (x[:INPUTS].to(device),), kind="test", ignored=ignored)
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(INPUTS, *run.blueprint.image, generator=generator)
    return prove(looped, tied, program, (x.to(device),), kind="random", ignored=ignored)
