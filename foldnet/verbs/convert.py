"""foldnet convert: a trained network to one that shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from foldnet.bounds import checked
from foldnet.choosing.laboratory import Laboratory
from foldnet.converting.settings import ConvertSettings
from foldnet.errors import SettingError
from foldnet.options import fields_of, takes_fields
from foldnet.show.progress import watched
from foldnet.store.artifact import RUN
from foldnet.store.files import check_free, new_folder, numbered_folder, refuse_unnamed
from foldnet.store.lock import remove_leftovers
from foldnet.training.observer import Observer, Silent
from foldnet.training.runs import default_name, file_name, open_run
from foldnet.verbs.convert_loops import ConvertedLoops, loops_in_memory, loops_of_run
from foldnet.verbs.convert_memory import ConvertedNetwork, convert_in_memory
from foldnet.verbs.convert_origin import Origin, origin_of_file, origin_of_run
from foldnet.verbs.convert_run import convert_run, soft_blueprint
from foldnet.zoo.blueprint import Blueprint
from foldnet.zoo.family import runs_code

if TYPE_CHECKING:
    from collections.abc import Iterator


@runs_code
@takes_fields(ConvertSettings, leave=("templates",))
@watched
@checked
def convert(
    source: Path | str | nn.Module | None = None,
    *,
    templates: int | Mapping[str, int] | None = None,
    batches: Iterable[Any] | None = None,
    arch: str | None = None,
    weights: Path | str | None = None,
    arch_option: Mapping[str, Any] | None = None,
    dataset: str | None = None,
    out: Path | str | None = None,
    force: int | bool = False,
    data_dir: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
    **settings: Any,
) -> ConvertedNetwork | ConvertedLoops:
    """Convert a trained network to one that shares: that of a run (default: the newest), of the architecture `arch`
    (with its `arch_option`) and the `weights` in a file, or one in memory. Plain or sharing already, it is left as it
    was.

    Keywords are ConvertSettings' fields. Each group of layers gets `templates`, or with {group: number} its own number;
    groups that are left out have it from `by_group`, or one a layer: those from which its weights can be mixed best, or
    with `metric` "outputs" those from which what its layers compute can be. With as many templates as layers the
    network computes the same. Layers of networks trained without sharing are hardly alike: fewer templates
    keep little more than their share of the weights, as the report says, and less than weights of low rank do in the
    same numbers, the `control`.

    With `loops` every run of more equal blocks is cut into at most so many segments, by how alike what the blocks do
    is, and each segment gets one body, fitted to what its blocks give; steps keep norms, biases and gains of their own.
    The result is a fold: a network that loops, beside the same unrolled. Of a run it lies in the run that is written,
    and is that of the last epoch of distillation.

    What belongs to a run is measured on its data (`dataset` names those of a file of weights), distilled from the
    trained network for `finetune` epochs, and written as a run of its own, `out` or a new one where runs lie; with
    templates its `best/` holds the epoch that is best by validation, and no choice depends on the test set. With
    `force` a run that is there already is replaced, with 2 also one that holds folds and notes.

    Of a network in memory nothing is measured or written. Outputs are compared on `batches` of x or (x, y), and so are
    blocks: give a list of them or a loader, which can be gone through again.

    Progress is shown where a person looks unless an `observer` is given (Silent: none). Raises SettingError,
    UnknownName, NothingToFold where no layers can share, RunError, DataError, OutputError.
    """
    if isinstance(templates, Mapping):
        chosen = ConvertSettings(**settings | {"by_group": tuple(templates.items())})
    else:
        chosen = ConvertSettings(templates=templates, **settings)
    of_file = {"arch": arch, "weights": weights, "arch_option": arch_option or None, "dataset": dataset}
    if isinstance(source, nn.Module):
        return _in_memory(source, chosen, batches, of_file | {"out": out, "data_dir": data_dir})
    if batches is not None:
        raise SettingError("`batches` of this kind are for a network in memory; leave them out, or give the network")
    origin = _origin(source, of_file, data_dir, chosen.checkpoint)
    built = soft_blueprint(origin.run.blueprint, chosen) if chosen.loops is None else None
    place = _place(origin, built, chosen, out, force)
    laboratory = Laboratory(origin.run, data_dir, device, observer or Silent())
    if built is None:
        return loops_of_run(origin, chosen, laboratory, place, data_dir)
    return convert_run(origin, built, chosen, laboratory, place)


def _in_memory(
    network: nn.Module, chosen: ConvertSettings, batches: Iterable[Any] | None, other: dict[str, Any]
) -> ConvertedNetwork | ConvertedLoops:
    """A network in memory, converted. Raises SettingError for what needs a run."""
    of_runs = ("checkpoint", "finetune", "finetune_lr", "control")
    usual = {name: field.default for name, field in fields_of(ConvertSettings).items()}
    for name, value in (other | {name: getattr(chosen, name) for name in of_runs}).items():
        if value != usual.get(name):
            raise SettingError(
                f"`{name}={value!r}` needs a run and a network in memory has none; leave it out, or convert a run"
            )
    if chosen.loops is None:
        return convert_in_memory(network, chosen, batches)
    if batches is None:
        raise SettingError(f"`loops={chosen.loops}` needs `batches` of inputs, on which blocks are compared; give some")
    return loops_in_memory(network, chosen, batches)


def _origin(source: Path | str | None, of_file: dict[str, Any], data_dir: Path | None, checkpoint: str) -> Origin:
    """The network that is named: a run's, or that `of_file`. Raises SettingError for contradictions, and what opens it
    raises."""
    if not any(of_file.values()):
        return origin_of_run(source, checkpoint)
    if source is not None:
        raise SettingError(
            f"run '{source}' has an architecture, weights and data of its own; leave out `arch`, `weights` and "
            "`dataset`, or the run"
        )
    arch, weights = of_file["arch"], of_file["weights"]
    if arch is None or weights is None:
        missing, there = ("weights", f"`arch={arch!r}`") if arch is not None else ("arch", "`weights`")
        raise SettingError(f"{there} needs `{missing}` beside it; give both, or a run")
    return origin_of_file(data_dir=data_dir, **of_file)


def _place(
    origin: Origin, built: Blueprint | None, chosen: ConvertSettings, out: Path | str | None, force: int | bool
) -> Any:
    """Where the converted run goes, checked before anything is computed: a temporary folder and the name that it
    gets."""
    if out is None:
        settings = origin.run.settings
        name = f"{origin.run.blueprint.arch}-loops{chosen.loops}"
        if built is not None:
            name = built.arch
            name += f"-templates{built.templates}" if built.family.outside else ""  # which else stand in the name
        return numbered_folder(default_name(settings).with_name(f"{settings.dataset}-{file_name(name)}-converted"))
    folder = Path(out)
    remove_leftovers(folder.parent)
    refuse_unnamed(folder)
    check = partial(RUN.check_replaceable, opened=open_run, force=force) if force else None
    check_free(folder, check)
    return _named(folder, check)


@contextmanager
def _named(folder: Path, check: Any) -> Iterator[tuple[Path, Path]]:
    """(a temporary folder to fill, the name that it gets at the end)."""
    with new_folder(folder, check=check) as temporary:
        yield temporary, folder
