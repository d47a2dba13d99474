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
from foldnet.verbs.convert_run import convert_run
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
    dataset: str | None = None,
    out: Path | str | None = None,
    force: int | bool = False,
    data_dir: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
    **settings: Any,
) -> ConvertedNetwork | ConvertedLoops:
    """Convert a trained network to one that shares: that of a run (default: the newest), of the architecture `arch`
    with the `weights` in a file, or one in memory. Plain or sharing already, it is left as it was.

    Keywords are ConvertSettings' fields. Each group of layers gets `templates`: those from which its weights can be
    mixed best, or with `metric` "outputs" those from which what its layers compute can be. With as many templates as
    layers the network computes the same. Layers of networks trained without sharing are hardly alike: fewer templates
    keep little more than their share of the weights, as the report says, and less than weights of low rank do in the
    same numbers, the `control`.

    With `loops` every run of more equal blocks is cut into at most so many segments, by how alike what the blocks do
    is, and each segment gets one body, fitted to what its blocks give; steps keep norms, biases and gains of their own.
    The result is a fold: a network that loops, beside the same unrolled. Of a run it lies in the run that is written.

    What belongs to a run is measured on its data (`dataset` names those of a file of weights), distilled from the
    trained network for `finetune` epochs, and written as a run of its own, `out` or a new one where runs lie; `best/`
    holds the epoch that is best by validation, and no choice depends on the test set. With `force` a run that is there
    already is replaced, with 2 also one that holds folds and notes.

    Of a network in memory nothing is measured or written. Its groups may get different numbers of templates ({group:
    number}), and one number for all is for each at most that of its layers; outputs are compared on `batches` of x or
    (x, y), and so are blocks: give a list of them or a loader, which can be gone through again.

    Progress is shown where a person looks unless an `observer` is given (Silent: none). Raises SettingError,
    UnknownName, NothingToFold where no layers can share, RunError, DataError, OutputError.
    """
    if isinstance(source, nn.Module):
        of_runs = {"arch": arch, "weights": weights, "dataset": dataset, "out": out, "data_dir": data_dir}
        return _in_memory(source, templates, batches, of_runs, settings)
    if batches is not None or isinstance(templates, Mapping):
        name = "batches" if batches is not None else "templates"
        raise SettingError(f"`{name}` of this kind are for a network in memory; leave them out, or give the network")
    chosen = ConvertSettings(templates=templates, **settings)
    origin = _origin(source, arch, weights, dataset, data_dir, chosen)
    place = _place(origin, chosen, out, force)
    laboratory = Laboratory(origin.run, data_dir, device, observer or Silent())
    if chosen.loops is not None:
        return loops_of_run(origin, chosen, laboratory, place, data_dir)
    return convert_run(origin, chosen, laboratory, place)


def _in_memory(
    network: nn.Module,
    templates: int | Mapping[str, int] | None,
    batches: Iterable[Any] | None,
    other: dict[str, Any],
    settings: dict[str, Any],
) -> ConvertedNetwork | ConvertedLoops:
    """A network in memory, converted. Raises SettingError for what needs a run."""
    of_runs = ("checkpoint", "finetune", "finetune_lr", "control")
    usual = {name: field.default for name, field in fields_of(ConvertSettings).items()}
    for name, value in (other | {name: settings[name] for name in of_runs if name in settings}).items():
        if value != usual.get(name):
            raise SettingError(
                f"`{name}={value!r}` needs a run and a network in memory has none; leave it out, or convert a run"
            )
    given = {"templates": 1} if isinstance(templates, Mapping) else {"templates": templates}
    chosen = ConvertSettings(**settings, **given)
    if chosen.loops is None:
        return convert_in_memory(network, templates or 1, chosen.metric, batches)
    if batches is None:
        raise SettingError(f"`loops={chosen.loops}` needs `batches` of inputs, on which blocks are compared; give some")
    return loops_in_memory(network, chosen, batches)


def _origin(
    source: Path | str | None,
    arch: str | None,
    weights: Path | str | None,
    dataset: str | None,
    data_dir: Path | None,
    chosen: ConvertSettings,
) -> Origin:
    """The network that is named. Raises SettingError for contradictions, and what opens it raises."""
    if arch is None and weights is None and dataset is None:
        return origin_of_run(source, chosen.checkpoint)
    if source is not None:
        raise SettingError(
            f"run '{source}' has an architecture, weights and data of its own; leave out `arch`, `weights` and "
            "`dataset`, or the run"
        )
    if arch is None or weights is None:
        missing, there = ("weights", f"`arch={arch!r}`") if arch is not None else ("arch", "`weights`")
        raise SettingError(f"{there} needs `{missing}` beside it; give both, or a run")
    return origin_of_file(arch, Path(weights), dataset, data_dir)


def _place(origin: Origin, chosen: ConvertSettings, out: Path | str | None, force: int | bool) -> Any:
    """Where the converted run goes, checked before anything is computed: a temporary folder and the name that it
    gets."""
    if out is None:
        settings, built = origin.run.settings, origin.run.blueprint
        name = f"{built.arch}-loops{chosen.loops}"
        if chosen.templates is not None:
            name = built.soft(chosen.templates).arch
            name += f"-templates{chosen.templates}" if built.family.outside else ""  # which else stand in the name
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
