"""foldnet: train networks with soft parameter sharing, see which layers came alike, and fold them into loops.

The method is that of "Learning Implicitly Recurrent CNNs Through Parameter Sharing" (https://arxiv.org/abs/1902.09701).
Importing this package is cheap: torch is imported by the first name that is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foldnet.analysis.chance import Chance, chance
    from foldnet.errors import FoldnetError
    from foldnet.folding.looped import LoopedNetwork
    from foldnet.folding.opening import load
    from foldnet.folding.plan import FoldPlan
    from foldnet.folding.recalibrate import recalibrate
    from foldnet.program.data import Program
    from foldnet.proof.certificate import Certificate
    from foldnet.sharing.plan import SharingPlan
    from foldnet.sharing.share import SharedNetwork, materialise, share
    from foldnet.training.other_grids import OtherGrids
    from foldnet.training.recurrence import recurrence
    from foldnet.verbs.evaluate import EvaluateReport, evaluate
    from foldnet.verbs.export import export
    from foldnet.verbs.fold import fold
    from foldnet.verbs.fold_memory import FoldedNetwork
    from foldnet.verbs.fold_report import FoldReport, SweepReport
    from foldnet.verbs.info import info
    from foldnet.verbs.lsm import LsmReport, lsm
    from foldnet.verbs.reach import ReachReport, reach
    from foldnet.verbs.render import draw
    from foldnet.verbs.sweep import sweep
    from foldnet.verbs.train import TrainReport, train
    from foldnet.verbs.verify import verify
    from foldnet.zoo.blueprint import build

    __version__: str

_HOMES = {
    "Certificate": "proof.certificate",
    "Chance": "analysis.chance",
    "EvaluateReport": "verbs.evaluate",
    "FoldPlan": "folding.plan",
    "FoldReport": "verbs.fold_report",
    "FoldedNetwork": "verbs.fold_memory",
    "FoldnetError": "errors",
    "LoopedNetwork": "folding.looped",
    "LsmReport": "verbs.lsm",
    "OtherGrids": "training.other_grids",
    "Program": "program.data",
    "ReachReport": "verbs.reach",
    "SharedNetwork": "sharing.share",
    "SharingPlan": "sharing.plan",
    "SweepReport": "verbs.fold_report",
    "TrainReport": "verbs.train",
    "build": "zoo.blueprint",
    "chance": "analysis.chance",
    "draw": "verbs.render",
    "evaluate": "verbs.evaluate",
    "export": "verbs.export",
    "fold": "verbs.fold",
    "info": "verbs.info",
    "load": "folding.opening",
    "lsm": "verbs.lsm",
    "materialise": "sharing.share",
    "reach": "verbs.reach",
    "recalibrate": "folding.recalibrate",
    "recurrence": "training.recurrence",
    "share": "sharing.share",
    "sweep": "verbs.sweep",
    "train": "verbs.train",
    "verify": "verbs.verify",
}

__all__ = [
    "Certificate",
    "Chance",
    "EvaluateReport",
    "FoldPlan",
    "FoldReport",
    "FoldedNetwork",
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
    "export",
    "fold",
    "info",
    "load",
    "lsm",
    "materialise",
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
