"""Settings of a training: frozen, checked when made, read from TOML and written as JSON. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from foldnet.bounds import as_code
from foldnet.data.source import Source
from foldnet.data.sources import SOURCES, Digits, source_type
from foldnet.errors import SettingError, UnknownName, check_known
from foldnet.options import Option, check_fields, fields_of, given_of, plain
from foldnet.store.codec import LARGEST_TOML, parse_toml, read_text, reading
from foldnet.zoo.families import COEFFICIENTS, FAMILIES, NORMS, family_of, is_soft, published
from foldnet.zoo.family import check_options, short_name

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")
COMPILE = ("auto", "on", "off")
FORMS = ("mean", "sum", "loops", "signed")
OPTIMISERS = ("sgd", "adam", "adamw")
SCHEDULES = ("steps", "tenths", "cosine", "constant")
NETWORK = Option(
    "swrn-DEPTH-WIDTH[-TEMPLATES] (soft) or wrn-DEPTH-WIDTH (plain), densenet-, densenetbc- and resnext-, "
    "timm/MODEL, torchvision/MODEL, FILE.py:FUNCTION; for paths and mazes scnn- and cnn-; for text and addition sgpt- "
    "and gpt-.",
    suggested=published(),
)
SHARED = Option("Make the network soft: its layers share, each group at most so many templates.")
GROUPED = Option(
    "stage (layers of one shape in one stage share) or position (those at one place in equal blocks).",
    ("stage", "position"),
)
FALLING = Option(
    "steps (times 0.2 at 30, 60 and 80 % of the epochs), tenths (times 0.1 at 50 and 75 %), cosine (half a wave, to 0) "
    "or constant.",
    SCHEDULES,
)
DROPPED = Option("Dropout between a block's convolutions; densenet: behind each; gpt: in both halves of a block.")
NUMBERS = Option("auto, fp32 or bf16; auto is bf16 where the hardware has it.", PRECISIONS)
REWARDED = Option(
    "loops (layers at one place of successive blocks), signed (so too, and of one sign), or mean or sum (the paper's) "
    "over all pairs of layers.",
    FORMS,
)
NAMED = ("dropout", "templates", "group_by", "arch_option", "norm", "step_scale", "coefficients")
OF_PARTS = {"progressive_reach": 1, "mixed_starts": 0}  # what means nothing without `progressive`, unless it is this
REACHING = Option("Random steps go on to so many times the steps, the last of which runs again, from half-time on.")
MIXING = Option("Share of the parts of --progressive that begin where another example is, and run all steps.")
DEEP = Option("Weight of the loss after a quarter, a half and three quarters of the steps of cnn and scnn.")
RESTING = Option("Weight of what the last step of cnn and scnn still changes of the state.")
NORMED = Option("batch, group, rms or none: what steps of cnn and scnn normalise by.", NORMS)
SCALED = Option("A step of cnn and scnn adds this / steps of its change; 0: all of it.")
STRETCHED = Option("Largest spectral norm of the weights in steps of cnn and scnn, 0 for any; with --norm none or rms.")
FIXED = Option(
    "learnt, or fixed as they begin: with --templates 1 at 1, so that all layers of a group are one, a loop by hand.",
    COEFFICIENTS,
)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a network is trained. The defaults are the paper's recipe for CIFAR (Savarese & Maire 2019, section 4).

    `source` is where examples come from, with its own settings. `validation` is a share of the training data below
    1, or a number of images, of text of bytes. `recurrence` is the weight lambda of the recurrence regulariser,
    `recurrence_form` what it rewards: the mean or the sum over pairs of layers, or `loops`; it sets in after
    `recurrence_after` epochs. `schedule` says how the learning rate falls: in steps, to tenths, along half a
    cosine, or not at all; before that it rises over the share `warmup` of the training. With `sync_bn` several
    processes normalise by the statistics of their whole batch. `cutout` is the side of the square hole in pixels, 0
    for none. `progressive` is the weight of the loss after a random number of steps, for networks of steps, as are
    `progressive_reach`, `mixed_starts`, `deep_supervision`, `fixed_point`, `norm`, `step_scale` and `spectral_norm`,
    the largest of their weights; `clip` is the largest norm of gradients, 0 for any. `coefficients` are "learnt" or
    stay "fixed". `templates` makes a network soft whatever its name; `arch_option` are options of a library's or a
    user's own network, by name.
    """

    source: Source = field(default_factory=Digits)
    arch: Annotated[str, NETWORK] = "swrn-28-2-4"
    templates: Annotated[int | None, SHARED] = None
    group_by: Annotated[str, GROUPED] = "stage"
    arch_option: Annotated[Mapping[str, Any] | None, Option(flag=None)] = None
    epochs: Annotated[int, Option("All phases together; with --resume, more make a run longer.")] = 200
    batch_size: Annotated[int, Option("Images a step.")] = 128
    optimiser: Annotated[str, Option("sgd (Nesterov momentum 0.9), adam or adamw.", OPTIMISERS)] = "sgd"
    lr: Annotated[float, Option("Learning rate.")] = 0.1
    schedule: Annotated[str, FALLING] = "steps"
    warmup: Annotated[float, Option("Share of the training in which the learning rate rises to --lr.")] = 0.0
    momentum: Annotated[float, Option(flag=None)] = 0.9
    weight_decay: Annotated[float, Option("Weight decay, never on coefficients; adamw: on weights alone.")] = 5e-4
    seed: Annotated[int, Option("The same seed gives the same run.")] = 0
    device: Annotated[str, Option("auto, cpu, cuda or cuda:N.", DEVICES, before=":")] = "auto"
    precision: Annotated[str, NUMBERS] = "auto"
    compile: Annotated[str, Option("auto (on CUDA), on or off: torch.compile of the training steps.", COMPILE)] = "auto"
    recurrence: Annotated[float, Option("Weight of the recurrence regulariser.")] = 0.0
    recurrence_form: Annotated[str, REWARDED] = "mean"
    recurrence_after: Annotated[int, Option("Epochs before the regulariser sets in.")] = 0
    dropout: Annotated[float, DROPPED] = 0.0
    cutout: Annotated[int, Option("Side of the square hole in pixels, 0 for none.")] = 0
    validation: Annotated[float, Option("Share of the training data, or a number of images; of text, bytes.")] = 0.1
    sync_bn: Annotated[bool, Option("Of several processes, normalise by the statistics of the whole batch.")] = False
    progressive: Annotated[float, Option("Weight of the loss after a random number of steps, for cnn and scnn.")] = 0.0
    progressive_reach: Annotated[float, REACHING] = 1.0
    mixed_starts: Annotated[float, MIXING] = 0.0
    deep_supervision: Annotated[float, DEEP] = 0.0
    fixed_point: Annotated[float, RESTING] = 0.0
    clip: Annotated[float, Option("Largest norm of a step's gradients, 0 for any.")] = 0.0
    norm: Annotated[str, NORMED] = "batch"
    step_scale: Annotated[float, SCALED] = 0.0
    spectral_norm: Annotated[float, STRETCHED] = 0.0
    coefficients: Annotated[str, FIXED] = "learnt"
    data_dir: Annotated[str | None, Option(flag=None)] = None

    def __post_init__(self) -> None:
        check_fields(self)
        self._check_options()
        if not 1 <= (phases := self.source.phases) <= self.epochs:
            raise SettingError(
                f"`{self.source.phases_by}` makes {phases} phases and `epochs={self.epochs}` has room for 1 to "
                f"{self.epochs}; give each phase an epoch at least"
            )
        self._check_network()

    @property
    def dataset(self) -> str:
        """The name of the source."""
        return self.source.name

    @property
    def soft(self) -> bool:
        """Whether layers share templates."""
        return self.templates is not None or is_soft(self.arch)

    @property
    def named(self) -> dict[str, Any]:
        """What is chosen of the network besides its name, by the keywords of `blueprint`."""
        return {name: getattr(self, name) for name in NAMED}

    @property
    def of_steps(self) -> dict[str, float]:
        """The weights of the losses that networks of steps have besides."""
        return {name: getattr(self, name) for name in ("progressive", "deep_supervision", "fixed_point")}

    @property
    def network(self) -> str:
        """The network as a reader calls it."""
        options = ", ".join(f"{name}={value}" for name, value in (self.arch_option or {}).items())
        called = f"{self.arch} ({options})" if options else self.arch
        return called if self.templates is None else f"{called}, {self.templates} template{'s' * (self.templates != 1)}"

    def _check_options(self) -> None:
        """Raise SettingError for options that no network may have; none at all are None."""
        if not isinstance(self.arch_option, Mapping | None):
            raise SettingError(f"{as_code('arch_option', self.arch_option)} is not legal; give options by name")
        check_options(self.arch_option or {})
        object.__setattr__(self, "arch_option", dict(self.arch_option or {}) or None)

    def _check_network(self) -> None:
        """Raise SettingError for what has no meaning for the network."""
        if self.recurrence_after and not (self.recurrence and self.recurrence_after < self.epochs):
            why = (
                f"leaves it none of `epochs={self.epochs}`" if self.recurrence else "means nothing without `recurrence`"
            )
            raise SettingError(f"`recurrence_after={self.recurrence_after}` {why}; give fewer or leave it out")
        family, _ = family_of(self.arch)
        if self.group_by != "stage" and not self.soft:
            raise SettingError(
                f"`group_by={self.group_by!r}` has no meaning for '{self.arch}', which shares nothing; give `templates`"
            )
        if self.recurrence and not self.soft:
            from foldnet.zoo.near import near_names

            soft, *_ = near_names(f"s{self.arch}-4") or [self.source.arch]
            mend = "give `templates=4`" if family and family.outside else f"train a soft network such as '{soft}'"
            raise SettingError(
                f"`recurrence={self.recurrence:g}` needs coefficients and '{self.arch}' has none; "
                f"leave it out or {mend}"
            )
        if family is not None:
            for name in sorted(_of_some().difference(family.trains_with)):
                if (value := getattr(self, name)) != fields_of(TrainSettings)[name].default:
                    raise SettingError(f"{as_code(name, value)} has no place in '{self.arch}'; leave it out")
        for name, whole in OF_PARTS.items():
            if (value := getattr(self, name)) != whole and not self.progressive:
                raise SettingError(f"`{name}={value:g}` means nothing without `progressive`; leave it out")
        if self.spectral_norm and self.norm not in ("none", "rms"):
            said = f"`spectral_norm={self.spectral_norm:g}` means nothing with `norm={self.norm!r}`, which undoes it"
            raise SettingError(f"{said}; leave it out or give `norm='none'`")
        if self.progressive and self.sync_bn:
            raise SettingError(
                f"`progressive={self.progressive:g}` and `sync_bn=True` contradict each other, since processes that "
                f"run other numbers of steps have no norms in common; leave one of them out"
            )
        if self.coefficients == "fixed" and (self.recurrence or not self.soft):
            why = f"`recurrence={self.recurrence:g}` would change them" if self.soft else f"'{self.arch}' has none"
            raise SettingError(f"`coefficients='fixed'` has no meaning, since {why}; leave it out")


def _of_some() -> set[str]:
    """The settings that have no meaning for some family."""
    return {name for family in FAMILIES.values() for name in family.trains_with}


def source_settings() -> dict[str, tuple[str, ...]]:
    """The names of all settings that sources have of their own, each with the sources that have it."""
    found: dict[str, tuple[str, ...]] = {}
    for source in SOURCES.values():
        for name in fields_of(source):
            found[name] = (*found.get(name, ()), source.name)
    return found


def make_source(name: str, given: Mapping[str, Any]) -> Source:
    """A source with the settings that were given. Raises UnknownName, SettingError for those of other sources."""
    kind, owners = source_type(name), source_settings()
    for setting, value in given.items():
        if setting not in fields_of(kind):
            raise SettingError(
                f"{as_code(setting, value)} has no meaning for {name}; leave it out or use "
                f"`dataset={owners[setting][0]!r}`"
            )
    return kind(**given)


def preset(dataset: str, arch: str, templates: int | None = None) -> dict[str, Any]:
    """What a family of networks, and above it a source, change in the defaults; `templates` make any network soft.
    Raises UnknownName for another dataset."""
    source, (family, soft) = source_type(dataset), family_of(arch)
    of_family = {} if family is None else dict(family.preset)
    of_soft = dict(source.soft_preset) if family and (soft or templates is not None) else {}
    foreign = set() if family is None else _of_some().difference(family.trains_with)
    return of_family | {name: value for name, value in source.preset.items() if name not in foreign} | of_soft


def train_settings(given: Mapping[str, Any], *, file: Path | None = None) -> TrainSettings:
    """Settings from what was given on top of a TOML file on top of the preset; values of None were not given.

    `dataset` names the source, whose own settings stand beside the others, or in the file in a table [source]. Raises
    SettingError for an illegal value or an unreadable file, UnknownName for a key that does not exist, naming the file
    where what was given is not at fault by itself.
    """
    if file is None:
        return _settings_of(given_of(given))
    together = read_toml(file) | given_of(given)
    try:
        return _settings_of(together)
    except (SettingError, UnknownName) as error:
        try:
            _settings_of(given_of(given))
        except (SettingError, UnknownName) as own:
            if str(own) == str(error):
                raise
        raise type(error)(f"'{file}': {error}") from None


def _settings_of(chosen: dict[str, Any]) -> TrainSettings:
    """Settings from some, by name, on top of the preset."""
    own = source_settings()
    known = {"dataset", *fields_of(TrainSettings), *own}
    check_known(chosen, known, lambda key: f"setting '{key}' does not exist")
    dataset = chosen.pop("dataset", Digits.name)
    for name, value in (("dataset", dataset), ("arch", chosen.get("arch", ""))):
        if not isinstance(value, str):
            raise SettingError(f"{as_code(name, value)} is not legal; give a text")
    arch = chosen["arch"] = short_name(chosen.get("arch", source_type(dataset).arch))
    source = make_source(dataset, {name: chosen.pop(name) for name in list(chosen) if name in own})
    usual = preset(dataset, arch, chosen.get("templates"))
    if chosen.get("progressive") == 0:  # then what the preset says of parts of the way has nothing to say
        usual = {name: value for name, value in usual.items() if name not in OF_PARTS}
    return TrainSettings(source=source, **(usual | chosen))


def to_json(settings: TrainSettings) -> dict[str, Any]:
    """The settings as plain data, for config.json: those of the source in an object of their own."""
    return {"source": {"name": settings.source.name} | plain(settings.source)} | plain(settings)


def from_json(content: Mapping[str, Any]) -> TrainSettings:
    """The settings in a config.json. Raises SettingError, UnknownName, KeyError and TypeError for what are none."""
    source = dict(content["source"])
    name, own = source.pop("name"), {key: value for key, value in content.items() if key != "source"}
    unknown = [*(own.keys() - fields_of(TrainSettings).keys()), *(source.keys() - source_settings().keys())]
    if unknown:
        raise SettingError(f"'{min(unknown)}' does not exist")
    return TrainSettings(source=make_source(name, source), **own)


def flat(settings: TrainSettings) -> dict[str, Any]:
    """The settings as they are given: the source by name, its own beside the others."""
    return {"dataset": settings.dataset} | plain(settings.source) | plain(settings)


def read_toml(file: Path) -> dict[str, Any]:
    """The settings in a TOML file, flat; dashes in keys may stand for underscores. Raises SettingError where it cannot
    be read."""
    with reading(f"`config={str(file)!r}`", "TOML"):
        content = parse_toml(read_text(file, most=LARGEST_TOML, links=True))
    table = content.pop("source", {})
    if not isinstance(table, dict):
        said = f"`config={str(file)!r}` has a source that is no table"
        raise SettingError(f'{said}; write [source] and below it name = "paths"')
    if "name" in table:
        content.setdefault("dataset", table.pop("name"))
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in (content | table).items()}
    return {key.replace("-", "_"): value for key, value in values.items()}
