"""foldnet: train networks with soft parameter sharing, see which layers came alike, and fold them into loops.

The method is that of "Learning Implicitly Recurrent CNNs Through Parameter Sharing" (https://arxiv.org/abs/1902.09701).
Importing this package is cheap: torch is imported by the first name that is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers, the same names as below
    from foldnet.analysis.chance import Chance as Chance, chance as chance
    from foldnet.errors import FoldnetError as FoldnetError
    from foldnet.folding.looped import LoopedNetwork as LoopedNetwork
    from foldnet.folding.opening import load as load
    from foldnet.folding.plan import FoldPlan as FoldPlan
    from foldnet.folding.recalibrate import recalibrate as recalibrate
    from foldnet.program.data import Program as Program
    from foldnet.proof.certificate import Certificate as Certificate
    from foldnet.proof.fold_report import FoldReport as FoldReport
    from foldnet.sharing.plan import SharingPlan as SharingPlan
    from foldnet.sharing.share import SharedNetwork as SharedNetwork, materialise as materialise, share as share
    from foldnet.training.other_grids import OtherGrids as OtherGrids
    from foldnet.training.learner import recurrence as recurrence
    from foldnet.verbs.card import CardReport as CardReport, card as card
    from foldnet.verbs.convert import convert as convert
    from foldnet.verbs.convert_loops import ConvertedLoops as ConvertedLoops, LoopsReport as LoopsReport
    from foldnet.verbs.convert_memory import ConvertedNetwork as ConvertedNetwork, ConvertReport as ConvertReport
    from foldnet.verbs.evaluate import EvaluateReport as EvaluateReport, evaluate as evaluate
    from foldnet.verbs.export import export as export
    from foldnet.verbs.fold import fold as fold
    from foldnet.verbs.fold_memory import FoldedNetwork as FoldedNetwork
    from foldnet.verbs.info import info as info
    from foldnet.verbs.plan import PlanReport as PlanReport, plan as plan
    from foldnet.verbs.lsm import LsmReport as LsmReport, lsm as lsm
    from foldnet.verbs.render import draw as draw
    from foldnet.verbs.report import PageReport as PageReport, report as report
    from foldnet.verbs.sweep import SweepReport as SweepReport, sweep as sweep
    from foldnet.verbs.train import TrainReport as TrainReport, train as train
    from foldnet.verbs.trips import ReachReport as ReachReport, reach as reach
    from foldnet.verbs.verify import verify as verify
    from foldnet.zoo.blueprint import build as build

    __version__: str

_NAMES = {  # the public names, by the module that each is imported from when it is first used
    "analysis.chance": ("Chance", "chance"),
    "errors": ("FoldnetError",),
    "folding.looped": ("LoopedNetwork",),
    "folding.opening": ("load",),
    "folding.plan": ("FoldPlan",),
    "folding.recalibrate": ("recalibrate",),
    "program.data": ("Program",),
    "proof.certificate": ("Certificate",),
    "proof.fold_report": ("FoldReport",),
    "sharing.plan": ("SharingPlan",),
    "sharing.share": ("SharedNetwork", "materialise", "share"),
    "training.learner": ("recurrence",),
    "training.other_grids": ("OtherGrids",),
    "verbs.card": ("CardReport", "card"),
    "verbs.convert_loops": ("ConvertedLoops", "LoopsReport"),
    "verbs.convert_memory": ("ConvertReport", "ConvertedNetwork"),
    "verbs.fold_memory": ("FoldedNetwork",),
    "verbs.render": ("draw",),
    "verbs.report": ("PageReport", "report"),
    "verbs.trips": ("ReachReport", "reach"),
    "zoo.blueprint": ("build",),
    **{f"verbs.{verb}": (verb,) for verb in ("convert", "export", "fold", "info", "verify")},
    **{f"verbs.{verb}": (f"{verb.title()}Report", verb) for verb in ("evaluate", "lsm", "plan", "sweep", "train")},
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name where it lives; `__version__` is that of the installed package."""
    if name == "__version__":
        return import_module("importlib.metadata").version("foldnet")
    if name not in _HOMES:
        raise AttributeError(f"module 'foldnet' has no attribute '{name}'")
    return getattr(import_module(f"foldnet.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
