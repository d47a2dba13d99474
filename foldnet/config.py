"""Settings: frozen, checked when made, read from TOML and written as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from foldnet.bounds import BOUNDS, as_code, check_number
from foldnet.errors import SettingError, UnknownName, nearest
from foldnet.store.reading import LARGEST_TOML, NotPlain, parse_toml, read_text
from foldnet.typed import checked

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")
COMPILE = ("auto", "on", "off")
FORMS = ("mean", "sum", "loops")
OPTIMISERS = ("sgd", "adam")
SCHEDULES = ("steps", "constant")
UNITS = ("layer", "block")
# Settings that only some datasets have.
OWN = {
    "image_size": ("folder",),
    "grid": ("paths",),
    "windows": ("paths",),
    "obstacles": ("paths",),
    "target": ("paths",),
    "size": ("mazes",),
    "examples": ("paths", "mazes"),
    "test_examples": ("paths", "mazes"),
}
# What the paper says of shortest paths (section 4.4); batch size, decay and held-out grids it does not say.
_GRIDS = {
    "batch_size": 32,
    "optimiser": "adam",
    "lr": 0.01,
    "schedule": "constant",
    "weight_decay": 0.0,
    "examples": 5000,
    "test_examples": 1000,
}
_ALWAYS = (
    "epochs",
    "batch_size",
    "lr",
    "momentum",
    "weight_decay",
    "seed",
    "validation",
    "recurrence",
    "dropout",
    "cutout",
    "progressive",
)
_WHERE_GIVEN = ("image_size", "grid", "size", "obstacles", "examples", "test_examples")
GRID_PRESETS: dict[str, dict[str, Any]] = {
    "paths": _GRIDS | {"epochs": 250, "grid": 32, "windows": (5, 9, 13, 17, 21), "obstacles": 0.1, "target": "union"},
    "mazes": _GRIDS | {"epochs": 50, "size": 9},
}
DEFAULT_THRESHOLD = 0.95  # the similarity at which layers are tied where nobody says otherwise


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a network is trained. The defaults are the paper's recipe for CIFAR (Savarese & Maire 2019, section 4).

    `validation` is a share of the training data below 1, or a number of images. `recurrence` is the weight lambda of the
    recurrence regulariser, `recurrence_form` what it rewards: the mean or the sum over pairs of layers, or `loops`. `schedule`
    says how the learning rate falls: in steps, or not at all. With `sync_bn` several processes normalise by the statistics of
    their whole batch.
    `cutout` is the side of the square hole in pixels, 0 for none.

    The fields that may be None belong to some datasets only. `paths` draws grids of side `grid`, a phase for each of the
    `windows`, `obstacles` by that probability and the `target` union or one; `mazes` draws mazes of side `size`; both draw
    `examples` grids to train on in each phase and `test_examples` to test on, and `validation` counts grids drawn besides.
    `progressive` is the weight of the loss after a random number of steps, for networks that answer for cells.
    """

    dataset: str = "digits"
    arch: str = "swrn-28-2-4"
    epochs: int = 200
    batch_size: int = 128
    optimiser: str = "sgd"
    lr: float = 0.1
    schedule: str = "steps"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    compile: str = "auto"
    recurrence: float = 0.0
    recurrence_form: str = "mean"
    dropout: float = 0.0
    cutout: int = 0
    validation: float = 0.1
    sync_bn: bool = False
    data_dir: str | None = None
    image_size: int | None = None
    grid: int | None = None
    windows: tuple[int, ...] | None = None
    obstacles: float | None = None
    target: str | None = None
    size: int | None = None
    examples: int | None = None
    test_examples: int | None = None
    progressive: float = 0.0

    def __post_init__(self) -> None:
        for name in _ALWAYS:
            check_number(name, getattr(self, name))
        for name in _WHERE_GIVEN:
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name))
        for name in ("dataset", "arch", "device"):
            _check_text(name, getattr(self, name))
        if self.data_dir is not None:
            _check_text("data_dir", self.data_dir)
        _check_choice("device", self.device.split(":")[0], DEVICES)
        _check_choice("precision", self.precision, PRECISIONS)
        _check_choice("compile", self.compile, COMPILE)
        _check_choice("recurrence_form", self.recurrence_form, FORMS)
        _check_choice("optimiser", self.optimiser, OPTIMISERS)
        _check_choice("schedule", self.schedule, SCHEDULES)
        if not isinstance(self.sync_bn, bool):
            raise SettingError(f"{as_code('sync_bn', self.sync_bn)} is not legal; write true or false")
        self._check_own()
        if self.recurrence and not self.arch.startswith("s"):
            raise SettingError(
                f"`recurrence={self.recurrence:g}` needs coefficients and '{self.arch}' has none; "
                f"leave it out or train a soft network such as 's{self.arch}-4'"
            )

    def _check_own(self) -> None:
        """Raise SettingError for a field of other datasets, or one that is not legal."""
        for name, datasets in OWN.items():
            if getattr(self, name) is not None and self.dataset not in datasets:
                raise SettingError(
                    f"{as_code(name, getattr(self, name))} has no meaning for {self.dataset}; "
                    f"leave it out or use `dataset={datasets[0]!r}`"
                )
        of_cells = self.arch.startswith(("cnn-", "scnn-"))
        if self.progressive and not of_cells:
            raise SettingError(
                f"`progressive={self.progressive:g}` needs a network of steps and '{self.arch}' is none; "
                f"leave it out or train one such as scnn-20-32-1"
            )
        if self.progressive and self.sync_bn:
            raise SettingError(
                f"`progressive={self.progressive:g}` and `sync_bn=True` contradict each other, since processes that run other numbers "
                f"of steps have no norms in common; leave one of them out"
            )
        for name in ("dropout", "cutout"):
            if getattr(self, name) and of_cells:
                raise SettingError(f"`{name}={getattr(self, name):g}` has no place in '{self.arch}'; leave it out")
        if self.windows is not None:
            if not isinstance(self.windows, list | tuple):
                raise SettingError(f"{as_code('windows', self.windows)} is not legal; give a list of whole numbers")
            object.__setattr__(self, "windows", tuple(self.windows))  # JSON and TOML know lists alone
            for window in self.windows:
                check_number("windows", window)
            if not 1 <= len(self.windows) <= self.epochs:
                raise SettingError(
                    f"`windows` names {len(self.windows)} phases and `epochs={self.epochs}` has room for 1 to {self.epochs}; "
                    f"give each phase an epoch at least"
                )


def default_arch(dataset: str) -> str:
    """The network that is trained where none is named."""
    return "scnn-20-32-20" if dataset in GRID_PRESETS else TrainSettings().arch


def preset(dataset: str, arch: str) -> dict[str, Any]:
    """What a dataset and a family of networks change in the defaults."""
    if dataset == "digits":
        small: dict[str, Any] = {"epochs": 30, "batch_size": 64, "validation": 360}
        return small | ({"recurrence": 0.5, "recurrence_form": "loops"} if arch.startswith("s") else {})
    return GRID_PRESETS.get(dataset, {})


def train_settings(given: Mapping[str, Any], *, file: Path | None = None) -> TrainSettings:
    """Settings from what was given on top of a TOML file on top of the preset; values of None were not given.

    Raises SettingError for an illegal value or an unreadable file, UnknownName for a key that does not exist.
    """
    chosen = (read_toml(file) if file is not None else {}) | {k: v for k, v in given.items() if v is not None}
    known = {field.name for field in fields(TrainSettings)}
    for key in chosen:
        if key not in known:
            raise UnknownName(f"setting '{key}' does not exist{nearest(key, known)}")
    dataset = chosen.get("dataset", TrainSettings().dataset)
    _check_text("dataset", dataset)
    arch = chosen.setdefault("arch", default_arch(dataset))
    _check_text("arch", arch)
    return TrainSettings(**(preset(dataset, arch) | chosen))


def to_json(settings: TrainSettings) -> dict[str, Any]:
    """The settings as plain data, for config.json."""
    return asdict(settings)


def read_toml(file: Path) -> dict[str, Any]:
    """The settings in a TOML file; dashes in keys may stand for underscores. Raises SettingError where it cannot be read."""
    try:
        content = parse_toml(read_text(file, most=LARGEST_TOML, links=True))
    except OSError as error:
        raise SettingError(f"`config={str(file)!r}` cannot be read ({error.strerror}); check the path") from None
    except NotPlain as error:
        raise SettingError(f"`config={str(file)!r}` {error}") from None
    except ValueError as error:
        raise SettingError(f"`config={str(file)!r}` is not valid TOML ({error}); mend that line") from None
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    return {key.replace("-", "_"): value for key, value in plain.items()}


def _check_text(name: str, value: Any) -> None:
    """Raise SettingError unless `value` is a text."""
    if not isinstance(value, str):
        raise SettingError(f"{as_code(name, value)} is not legal; give a text")


def _check_choice(name: str, value: str, legal: tuple[str, ...]) -> None:
    """Raise SettingError unless `value` is one of the legal words."""
    if value not in legal:
        near = nearest(value, legal) if isinstance(value, str) else ""
        raise SettingError(f"{as_code(name, value)} is not legal; choose {', '.join(legal)}{near}")


def parse_budget(text: str) -> tuple[int, bool]:
    """(number, whether it counts bytes): "12M" is 12,000,000 parameters, "12MB" as many bytes, "500k" 500,000 parameters.

    Raises SettingError for anything else.
    """
    number, in_bytes = text.strip(), False
    if number[-1:] in ("B", "b"):
        number, in_bytes = number[:-1], True
    factors = {"k": 10**3, "K": 10**3, "M": 10**6, "m": 10**6, "G": 10**9}
    factor = factors.get(number[-1:], 1)
    try:
        value = float(number[:-1] if factor > 1 else number) * factor
        if not 1 <= value < 1e18:
            raise ValueError
        return int(value), in_bytes
    except ValueError:
        raise SettingError(
            f"`budget={text!r}` is not a size; write 12M or 500k for parameters, 12MB or 500kB for bytes"
        ) from None


@checked
@dataclass(frozen=True, slots=True)
class FoldSettings:
    """How a soft network is folded, and what chooses the clusters: one of `threshold` (a similarity, "chance" for the one that 95 %
    of untrained networks stay below, or "auto" for the knee of the sweep) with `thresholds` (group, value) for single groups,
    `clusters` (a file with the user's own), `max_drop` (points of validation accuracy) or `budget` ("12M" parameters or "12MB" of the
    whole network). None of them is a threshold of 0.95.

    `groups` limits folding to some groups, empty for all; layers in `keep` are never tied. Attributes of blocks that are named in
    `ignore` keep no blocks apart: those of the first block that is merged are used. `metric` None is the network's
    usual one. `finetune` epochs of training follow, from `finetune_lr` (None: a fifth of the run's) down; with `distill` the soft network teaches, `control`
    trains the soft network as long for comparison. `shares` measures each tied layer's share of the added validation loss.
    """

    threshold: float | str | None = None
    thresholds: tuple[tuple[str, float], ...] = ()
    clusters: str | None = None
    max_drop: float | None = None
    budget: str | None = None
    groups: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    metric: str | None = None
    unit: str = "layer"
    tie: str = "gain"
    linkage: str = "complete"
    checkpoint: str = "last"
    finetune: int = 0
    finetune_lr: float | None = None
    distill: bool = True
    control: bool = False
    shares: bool = True

    def __post_init__(self) -> None:
        for name in ("thresholds", "groups", "keep"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_choosers()
        for value in (self.threshold, *(value for _, value in self.thresholds)):
            if isinstance(value, str):
                _check_choice("threshold", value, ("auto", "chance"))
            elif value is not None and not BOUNDS["threshold"].holds(value):
                raise SettingError(
                    f"{as_code('threshold', value)} is not a similarity; give a number from 0 to 1, chance or auto"
                )
        if self.max_drop is not None:
            check_number("max_drop", self.max_drop)
        if self.budget is not None:
            parse_budget(self.budget)
        _check_choice("unit", self.unit, UNITS)
        check_number("finetune", self.finetune)
        if self.finetune_lr is not None:
            check_number("finetune_lr", self.finetune_lr)
        if self.control and not self.finetune:
            raise SettingError("`control=True` needs epochs to train; add `finetune=2`")

    @property
    def chooser(self) -> str:
        """What chooses the clusters: "threshold", "chance", "auto", "clusters", "max_drop" or "budget"."""
        for name in ("clusters", "max_drop", "budget"):
            if getattr(self, name) is not None:
                return name
        return self.threshold if isinstance(self.threshold, str) else "threshold"

    @property
    def overall_threshold(self) -> float:
        """The similarity at which groups without a threshold of their own are tied."""
        return self.threshold if isinstance(self.threshold, float | int) else DEFAULT_THRESHOLD

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def _check_choosers(self) -> None:
        """Raise SettingError where two options would choose."""
        given = [name for name in ("clusters", "max_drop", "budget") if getattr(self, name) is not None]
        if self.threshold is not None or self.thresholds:
            given.append("threshold")
        if self.threshold == "auto" and self.thresholds:
            raise SettingError(
                "`threshold='auto'` and thresholds of single groups contradict each other; give one of them"
            )
        if len(given) > 1:
            first, second = (f"`{name}`" for name in given[:2])
            raise SettingError(f"{first} and {second} contradict each other; give one of them")
