"""Settings of a fold: what chooses the clusters, and how they are tied. Knows no torch."""

from dataclasses import dataclass
from typing import Annotated

from foldnet.analysis.choices import LINKAGES, METRICS, TIES, UNITS
from foldnet.bounds import BOUNDS, as_code, checked
from foldnet.errors import SettingError
from foldnet.options import Option, check_choice, check_fields

CHOOSERS = ("clusters", "max_drop", "budget")  # settings that choose the clusters instead of a threshold
DEFAULT_THRESHOLD = 0.95  # the similarity at which layers are tied where nobody says otherwise


def parse_budget(text: str) -> tuple[int, bool]:
    """(number, whether it counts bytes): "12M" is 12,000,000 parameters, "12MB" as many bytes, "500k" 500,000
    parameters.

    Raises SettingError for anything else.
    """
    size = text.strip()
    number = size[:-1] if size.endswith(("B", "b")) else size
    factor = {"k": 10**3, "K": 10**3, "M": 10**6, "m": 10**6, "G": 10**9}.get(number[-1:], 1)
    try:
        value = float(number[:-1] if factor > 1 else number) * factor
        if not 1 <= value < 1e18:
            raise ValueError
        return int(value), number != size
    except ValueError:
        raise SettingError(
            f"`budget={text!r}` is not a size; write 12M or 500k for parameters, 12MB or 500kB for bytes"
        ) from None


@checked
@dataclass(frozen=True, slots=True)
class FoldSettings:
    """How a soft network is folded, and what chooses the clusters: one of `threshold` (a similarity, "chance" for the
    one that 95 % of untrained networks stay below, or "auto" for the knee of the sweep) with `thresholds` (group,
    value) for single groups, `clusters` (a file with the user's own), `max_drop` (points of validation accuracy) or
    `budget` ("12M" parameters or "12MB" of the whole network). None of them is a threshold of 0.95.

    `groups` limits folding to some groups, empty for all; layers in `keep` are never tied. Attributes of blocks that
    are named in `ignore` keep no blocks apart: those of the first block that is merged are used. `metric` None is the
    network's usual one. Each layer that is tied to others keeps, besides the owner that it uses, the matrix of rank
    `residual` that comes closest to what tying leaves over of it. `finetune` epochs of training follow, from
    `finetune_lr` (None: a fifth of the run's) down, residuals and their decay included; with `distill` the soft network
    teaches, `control` trains the soft network as long for comparison. `shares` measures
    each tied layer's share of the added validation loss.
    """

    threshold: float | str | None = None
    thresholds: tuple[tuple[str, float], ...] = ()
    clusters: Annotated[str | None, Option('JSON file of your clusters: {"stage2": [["layer", "layer"], ...]}.')] = None
    max_drop: Annotated[float | None, Option("Points of validation accuracy that a fold may cost, such as 0.5.")] = None
    budget: Annotated[str | None, Option("Fold to this size of the whole network: 12M parameters, or 12MB.")] = None
    groups: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    metric: Annotated[str | None, Option(choices=METRICS)] = None
    unit: Annotated[str, Option("Tie layer by layer, or whole blocks: layer or block.", UNITS)] = "layer"
    tie: Annotated[str, Option("gain (signed lengths kept), signed, or mean (naive).", TIES)] = "gain"
    linkage: Annotated[str, Option("complete, average or single.", LINKAGES)] = "complete"
    residual: Annotated[int, Option("Rank of what each tied layer keeps of its own beside the owner.")] = 0
    checkpoint: Annotated[str, Option("Which weights of the run: last or best (by validation).")] = "last"
    finetune: Annotated[int, Option("Epochs of training on what is stored.")] = 0
    finetune_lr: Annotated[float | None, Option("Learning rate to start from.  [default: a fifth of the run's]")] = None
    distill: Annotated[bool, Option("Let the soft network teach while fine-tuning.")] = True
    control: Annotated[bool, Option("Also train the soft network for as many epochs, to compare.")] = False
    shares: bool = True

    def __post_init__(self) -> None:
        for name in ("thresholds", "groups", "keep", "ignore"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        given = [f"`{name}`" for name in CHOOSERS if getattr(self, name) is not None]
        if self.threshold is not None or self.thresholds:
            given.append("`threshold`")
        if self.threshold == "auto" and self.thresholds:
            given = ["`threshold='auto'`", "thresholds of single groups"]
        if len(given) > 1:
            raise SettingError(f"{given[0]} and {given[1]} contradict each other; give one of them")
        for value in (self.threshold, *(value for _, value in self.thresholds)):
            if isinstance(value, str):
                check_choice("threshold", value, ("auto", "chance"))
            elif value is not None and not BOUNDS["threshold"].holds(value):
                raise SettingError(
                    f"{as_code('threshold', value)} is not a similarity; give a number from 0 to 1, chance or auto"
                )
        check_fields(self)
        if self.budget is not None:
            parse_budget(self.budget)
        if self.control and not self.finetune:
            raise SettingError("`control=True` needs epochs to train; add `finetune=2`")

    @property
    def chooser(self) -> str:
        """What chooses the clusters: "threshold", "chance", "auto", "clusters", "max_drop" or "budget"."""
        usual = self.threshold if isinstance(self.threshold, str) else "threshold"
        return next((name for name in CHOOSERS if getattr(self, name) is not None), usual)

    @property
    def overall_threshold(self) -> float:
        """The similarity at which groups without a threshold of their own are tied."""
        return self.threshold if isinstance(self.threshold, float | int) else DEFAULT_THRESHOLD
