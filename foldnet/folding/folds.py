"""A fold folder: the folded network as a program, tensors and a report, and how it is opened again.

What builds networks is imported by what loads one: whoever reads the program alone needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from msgspec import Meta

from foldnet.bounds import BOUNDS, check_number, shown
from foldnet.errors import RunError, ShapeMismatch
from foldnet.options import check_choice
from foldnet.program.data import Program, gain_names
from foldnet.program.json import program_from_json
from foldnet.store.artifact import CHECKPOINTS, FOLD
from foldnet.store.codec import from_plain, read_json, to_plain
from foldnet.store.files import write_json
from foldnet.store.seals import check_files, check_seal, sha256_of
from foldnet.store.tensors import load_tensors, save_tensors
from foldnet.zoo.blueprint import Blueprint
from foldnet.zoo.families import COEFFICIENTS, NORMS
from foldnet.zoo.recorded import blueprint_in, shape_of
from foldnet.zoo.scaling import Scaling, scaling_in

if TYPE_CHECKING:
    from foldnet.data.tasks import Task
    from foldnet.folding.looped import LoopedNetwork

WEIGHTS = "weights.safetensors"
MODEL = "model.safetensors"  # what a card calls the same, for the Hugging Face Hub
READINGS = 5  # times that a fold is read which is replaced meanwhile
OWNERS, TEMPLATES, SIDE, RANK = (
    Meta(ge=BOUNDS[name].least, le=BOUNDS[name].most) for name in ("owners", "templates", "weight_side", "residual")
)
Read = TypeVar("Read")
SEALED = (WEIGHTS, "program.json", "report.json")  # files whose digests stand in config.json, the weights first


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """How one group lies in the file: `owners` weights, or `templates` that mix them where that is not None. `ranks`
    has for each owner the rank of the residuals that its layers keep; nothing where there are none."""

    name: str
    owners: Annotated[int, OWNERS]
    templates: Annotated[int, TEMPLATES] | None
    shape: tuple[Annotated[int, SIDE], ...]
    ranks: tuple[Annotated[int, RANK], ...] = ()


@dataclass(frozen=True, slots=True)
class Fold:
    """An opened fold folder. `run` is the name of the run that it was made from, which may be gone; `run_sha256` the
    digest of the soft weights in that run's `checkpoint`. `files` has the SHA-256 of every other file of the folder as
    it was written. `scaling` is what its network takes; None in folds of before it was kept.
    """

    unwritten: ClassVar = ("folder", "blueprint", "program", "files")  # as they are
    folder: Path
    run: str
    run_sha256: str
    checkpoint: str
    blueprint: Blueprint
    groups: tuple[StoredGroup, ...]
    program: Program
    files: tuple[tuple[str, str], ...] = ()
    scaling: Scaling | None = None

    @property
    def weights(self) -> Path:
        """The file of its tensors."""
        return self.folder / (MODEL if MODEL in dict(self.files) else WEIGHTS)

    @property
    def stated(self) -> tuple[str, ...]:
        """The files whose digests stand in config.json."""
        return (self.weights.name, *SEALED[1:])

    @property
    def arch(self) -> str:
        """The name of the network that was folded."""
        return self.blueprint.arch

    @property
    def task(self) -> Task:
        """What the network answers for."""
        from foldnet.data.tasks import TASKS

        return TASKS[self.blueprint.task]

    def load_structure(self) -> LoopedNetwork:
        """The looped network without its tensors (under torch.device("meta"): unallocated)."""
        from foldnet.folding.looped import LoopedNetwork
        from foldnet.sharing.share import SharedNetwork
        from foldnet.sharing.tied import Owners

        try:
            built = self.blueprint.build()
            plain = built.network if isinstance(built, SharedNetwork) else built  # shared layers without weights
            forms = {group.name: (group.owners, group.templates, group.shape, group.ranks) for group in self.groups}
            return LoopedNetwork(plain, self.program, {name: Owners(*form) for name, form in forms.items()})
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError, ShapeMismatch) as error:
            raise RunError(
                f"the config.json and program.json in '{self.folder}' do not make a network ({error}); "
                "fold the run again"
            ) from None

    def load(self) -> LoopedNetwork:
        """The looped network in evaluation mode, on the CPU; no weight is written out. Raises RunError."""

        from foldnet.training.checkpoint import fill
        from foldnet.training.machine import channels_last

        file = self.weights
        with self.blueprint.to_be_filled():
            looped = self.load_structure()
        fill(looped, load_tensors(file).tensors, file)
        self.check_weights()
        channels_last(looped.eval())
        return looped

    def gains(self) -> dict[str, float]:
        """The gain of each layer that uses an owner, by its name; no network is built. Raises RunError."""
        file = self.weights
        tensors = load_tensors(file).tensors
        self.check_weights()
        try:
            return {layer: tensors[f"network.{name}"][step].item() for name, step, layer in gain_names(self.program)}
        except (KeyError, IndexError):
            raise RunError(f"'{file}' does not fit the program beside it; it is another fold's") from None

    def check_weights(self) -> None:
        """Raise RunError where the weights, though sound in themselves, are another fold's."""
        if self.files:
            check_files(self.folder, self.files, [self.weights.name])


def save_fold(
    folder: Path, fold: Fold, looped: LoopedNetwork, settings: dict[str, Any], report: dict[str, Any]
) -> None:
    """Fill `folder`, which exists, with everything that the fold is; config.json comes last, with the digests of the
    others."""
    save_tensors(folder / WEIGHTS, looped.state_dict())
    write_json(folder / "program.json", to_plain(fold.program))
    write_json(folder / "report.json", report)
    content = {
        "network": {"arch": fold.arch} | fold.blueprint.named | shape_of(fold.blueprint),
        "settings": settings,
        "files": {name: sha256_of(folder / name) for name in SEALED},
    }
    FOLD.write_config(folder, to_plain(fold) | content)


def is_as_stated(file: Path) -> bool | None:
    """Whether a file of a fold is as the fold's config.json says; None where it is in no fold, or nothing is said of
    it."""
    try:
        config = FOLD.config(file.parent)
        check_seal(config, file.parent / "config.json")
        stated = config.get("files")
    except RunError:
        return None
    if not isinstance(stated, dict) or file.name not in stated:
        return None
    return bool(sha256_of(file) == stated[file.name])


def open_fold(folder: Path) -> Fold:
    """Read a fold folder, its tensors aside.

    Raises RunError where it is missing, empty, damaged, foreign, of another schema, or where config.json or
    program.json was changed after folding.
    """

    def read(config: dict[str, Any]) -> Fold:
        files = tuple(from_plain(dict[str, str], config["files"]).items())
        if files:
            check_files(folder, files, ["program.json"])
        network = config["network"]
        if config["checkpoint"] not in CHECKPOINTS:  # it names a folder
            raise ValueError(f"checkpoint {shown(config['checkpoint'])!r}")
        return Fold(
            folder,
            Path(str(config["run"])).name,  # version 0.1 wrote the whole path, which is nobody else's business
            str(config["run_sha256"]),
            str(config["checkpoint"]),
            blueprint_in(network, str(network["arch"]), **_named(network)),
            from_plain(tuple[StoredGroup, ...], config["groups"]),
            program_from_json(read_json(folder / "program.json")),
            files,
            scaling_in(config),
        )

    return FOLD.open(folder, read)[0]


def _named(network: dict[str, Any]) -> dict[str, Any]:
    """What a config.json has of a network besides its name. Raises SettingError for a number that is not legal."""
    check_number("dropout", network["dropout"], field="'dropout'")
    found = {"dropout": float(network["dropout"]), "arch_option": network.get("arch_option")}
    if (templates := network.get("templates")) is not None:
        check_number("templates", templates, field="'templates'")
    check_choice("group_by", group_by := network.get("group_by", "stage"), ("stage", "position"))
    check_choice("norm", norm := network.get("norm", "batch"), NORMS)
    check_choice("coefficients", coefficients := network.get("coefficients", "learnt"), COEFFICIENTS)
    check_number("step_scale", scale := network.get("step_scale", 0.0), field="'step_scale'")
    found |= {"norm": norm, "step_scale": float(scale), "coefficients": coefficients}
    return found | {"templates": templates, "group_by": group_by}


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings by which a fold was made, as they stand in its config.json. Raises RunError as open_fold does."""
    settings = FOLD.config(folder).get("settings")
    return dict(settings) if isinstance(settings, dict) else {}


def read_fold(folder: Path, read: Callable[[Fold], Read]) -> tuple[Fold, Read]:
    """A fold and what is read of it, both of one writing: where another command replaces it meanwhile, it is read anew.

    Raises RunError.
    """
    for _ in range(READINGS):
        before = _which(folder)
        try:
            fold = open_fold(folder)
            return fold, read(fold)
        except RunError:
            if _which(folder) == before:
                raise
    raise RunError(f"'{folder}' is replaced again and again while it is read; wait for whoever does that")


def _which(folder: Path) -> tuple[int, int] | None:
    """Which folder it is that has this name now; None where there is none."""
    try:
        there = folder.stat()
    except OSError:
        return None
    return there.st_dev, there.st_ino


def stored_groups(looped: LoopedNetwork) -> tuple[StoredGroup, ...]:
    """How the groups of a looped network are stored."""
    return tuple(StoredGroup(name, *owners.form) for name, owners in looped.owners.items())  # type: ignore[misc]
