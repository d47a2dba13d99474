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
    from foldnet.folding.program_text import program_text
    from foldnet.folding.recalibrate import recalibrate
    from foldnet.recipes.by_length import OtherGrids
    from foldnet.recipes.certificate import Certificate
    from foldnet.recipes.evaluate import EvaluateReport, evaluate, load
    from foldnet.recipes.fold import fold
    from foldnet.recipes.fold_report import FoldReport, SweepReport
    from foldnet.recipes.fold_sweep import sweep
    from foldnet.recipes.info import info
    from foldnet.recipes.lsm import LsmReport, lsm
    from foldnet.recipes.reach import ReachReport, reach
    from foldnet.recipes.render import draw
    from foldnet.recipes.train import TrainReport, train
    from foldnet.recipes.verify import verify
    from foldnet.sharing.plan import SharingPlan, plan_sharing
    from foldnet.sharing.share import SharedNetwork, materialise, share
    from foldnet.training.recurrence import recurrence
    from foldnet.zoo.build import build

    __version__: str

_HOMES = {
    "Certificate": "recipes.certificate",
    "Chance": "analysis.chance",
    "EvaluateReport": "recipes.evaluate",
    "FoldPlan": "folding.fold",
    "FoldReport": "recipes.fold_report",
    "FoldnetError": "errors",
    "LoopedNetwork": "folding.looped",
    "LsmReport": "recipes.lsm",
    "OtherGrids": "recipes.by_length",
    "Program": "folding.program",
    "ReachReport": "recipes.reach",
    "SharedNetwork": "sharing.share",
    "SharingPlan": "sharing.plan",
    "SweepReport": "recipes.fold_report",
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
    "program_text": "folding.program_text",
    "reach": "recipes.reach",
    "recalibrate": "folding.recalibrate",
    "recurrence": "training.recurrence",
    "share": "sharing.share",
    "sweep": "recipes.fold_sweep",
    "train": "recipes.train",
    "verify": "recipes.verify",
}

__all__ = [
    "Certificate",
    "Chance",
    "EvaluateReport",
    "FoldPlan",
    "FoldReport",
    "FoldnetError",
    "LoopedNetwork",
    "LsmReport",
    "OtherGrids",
    "Program",
    "ReachReport",
    "SharedNetwork",
    "SharingPlan",
    "SweepReport",
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
    "program_text",
    "reach",
    "recalibrate",
    "recurrence",
    "share",
    "sweep",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it lives, when it is first used; `__version__` is that of the installed package."""
    if name == "__version__":
        return import_module("importlib.metadata").version("foldnet")
    if name not in _HOMES:
        raise AttributeError(f"module 'foldnet' has no attribute '{name}'")
    return getattr(import_module(f"foldnet.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
