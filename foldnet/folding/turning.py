"""Whether the network's own forward runs more blocks where there are more: one that takes them by their numbers does
not."""

from typing import Any

import torch

from foldnet.errors import FoldnetError
from foldnet.folding.looped import loop_tied
from foldnet.folding.stages import LoopedStage
from foldnet.folding.stepped import SteppedBlock
from foldnet.program.data import Program, Stage
from foldnet.sharing.share import SharedNetwork


@torch.no_grad()
def stuck(stage: Stage, program: Program, tied: SharedNetwork, inputs: tuple[Any, ...]) -> str:
    """Why the loops of a stage run as often as they were found: a pass of the looped form, each turned once more, runs
    its blocks as often as before; empty where it runs more of them. `tied` is left as it was."""
    looped = loop_tied(tied, program).eval()
    place = looped.network.get_submodule(stage.path)
    assert isinstance(place, LoopedStage)
    ran: list[object] = []
    for block in place.blocks.values():
        if isinstance(block, SteppedBlock):
            block.body.register_forward_pre_hook(lambda module, given: ran.append(module))
    for loop in stage.loops:
        looped.set_trips({loop.name: loop.times + 1})
        ran.clear()
        try:
            with torch.random.fork_rng([]):
                looped(*inputs)
        except FoldnetError:
            raise
        except Exception as error:  # of a forward that counts its blocks
            return f"the network's own forward does not take more blocks ({type(error).__name__})"
        more = sum(isinstance(place.blocks[label], SteppedBlock) for label, _ in place.schedule)
        if len(ran) != more:
            return f"the network's own forward takes its blocks by their numbers, and runs {len(ran)} of {more}"
    return ""
