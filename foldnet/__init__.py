"""foldnet: train networks with soft parameter sharing, see which layers came alike, and fold them into loops.

The method is that of "Learning Implicitly Recurrent CNNs Through Parameter Sharing" (https://arxiv.org/abs/1902.09701).
Importing this package is cheap: torch is imported by the first name that is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foldnet.analysis.chance import Chance, chance
    from foldnet.errors import FoldnetError
    from foldnet.folding.fold import FoldPlan, fold_network
    from foldnet.folding.looped import LoopedNetwork
    from foldnet.folding.program import Program
    from foldnet.folding.recalibrate import recalibrate
    from foldnet.recipes.evaluate import EvaluateReport, evaluate, load
    from foldnet.recipes.fold import FoldReport, fold
    from foldnet.recipes.info import info
    from foldnet.recipes.lsm import LsmReport, lsm
    from foldnet.recipes.render import draw
    from foldnet.recipes.train import TrainReport, train
    from foldnet.sharing.plan import SharingPlan, plan_sharing
    from foldnet.sharing.share import SharedNetwork, materialise, share
    from foldnet.zoo.build import build

_HOMES = {
    "Chance": "analysis.chance",
    "EvaluateReport": "recipes.evaluate",
    "FoldPlan": "folding.fold",
    "FoldReport": "recipes.fold",
    "FoldnetError": "errors",
    "LoopedNetwork": "folding.looped",
    "LsmReport": "recipes.lsm",
    "Program": "folding.program",
    "SharedNetwork": "sharing.share",
    "SharingPlan": "sharing.plan",
    "TrainReport": "recipes.train",
    "build": "zoo.build",
    "chance": "analysis.chance",
    "draw": "recipes.render",
    "evaluate": "recipes.evaluate",
    "fold": "recipes.fold",
    "fold_network": "folding.fold",
    "info": "recipes.info",
    "load": "recipes.evaluate",
    "lsm": "recipes.lsm",
    "materialise": "sharing.share",
    "plan_sharing": "sharing.plan",
    "recalibrate": "folding.recalibrate",
    "share": "sharing.share",
    "train": "recipes.train",
}

__all__ = [
    "Chance",
    "EvaluateReport",
    "FoldPlan",
    "FoldReport",
    "FoldnetError",
    "LoopedNetwork",
    "LsmReport",
    "Program",
    "SharedNetwork",
    "SharingPlan",
    "TrainReport",
    "build",
    "chance",
    "draw",
    "evaluate",
    "fold",
    "fold_network",
    "info",
    "load",
    "lsm",
    "materialise",
    "plan_sharing",
    "recalibrate",
    "share",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it lives, when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'foldnet' has no attribute '{name}'")
    return getattr(import_module(f"foldnet.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
