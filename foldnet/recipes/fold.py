"""foldnet fold: from a soft run to a folder with the network that loops."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foldnet.analysis.clusters import Clusters, check_clusters, merge_heights
from foldnet.config import FoldSettings
from foldnet.errors import SettingError, UnknownName, nearest
from foldnet.files import free_name, new_folder, read_json
from foldnet.folding.fold import FoldPlan, GroupFold, apply_fold, choose_clusters, plan_fold, soft_network
from foldnet.folding.groups import GroupAlgebra, check_metric, groups_of
from foldnet.folding.looped import LoopedNetwork, loop_tied
from foldnet.folding.loops import count_loops
from foldnet.folding.program import count_reuses
from foldnet.folding.program_text import program_text
from foldnet.folding.recalibrate import recalibrate
from foldnet.folds import Fold, save_fold, stored_groups
from foldnet.recipes.loading import loader_of, split_of_run
from foldnet.runs import Run, newest_run, open_run
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.tensors import digest_of, file_bytes
from foldnet.training.checkpoint import FILE
from foldnet.training.evaluate import evaluate
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.observer import Observer, Silent

BATCH = 128  # images a batch when batch norm is estimated anew and accuracies are read


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Test accuracies 0..1 along a fold, None where not measured, and the number of test images."""

    soft: float | None = None
    soft_recalibrated: float | None = None
    tied: float | None = None
    recalibrated: float | None = None
    finetuned: float | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """One count of each form of the whole network: parameters, or bytes of a file."""

    soft: int
    dense: int
    folded: int


@dataclass(frozen=True, slots=True)
class FoldReport:
    """What `foldnet fold` says. `fold` is None for a dry run; `would_merge_at` the highest similarity where nothing merged."""

    fold: str | None
    run: str
    threshold: float | dict[str, float] | None
    settings: FoldSettings
    groups: tuple[GroupFold, ...]
    program: str
    loops: int
    reuses: int
    accuracy: Accuracies
    parameters: Sizes
    bytes: Sizes
    would_merge_at: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "fold": self.fold,
            "run": self.run,
            "threshold": self.threshold,
            "tie": self.settings.tie,
            "metric": self.settings.metric,
            "unit": self.settings.unit,
            "linkage": self.settings.linkage,
            "checkpoint": self.settings.checkpoint,
            "groups": [_group_json(group) for group in self.groups],
            "program": self.program,
            "loops": self.loops,
            "reuses": self.reuses,
            "accuracy": {name: getattr(self.accuracy, name) for name in self.accuracy.__slots__},
            "parameters": {name: getattr(self.parameters, name) for name in self.parameters.__slots__},
            "bytes": {name: getattr(self.bytes, name) for name in self.bytes.__slots__},
            "would_merge_at": self.would_merge_at,
        }


def fold(
    run: Path | str | None = None,
    *,
    out: Path | str | None = None,
    force: bool = False,
    dry_run: bool = False,
    evaluated: bool = True,
    data_dir: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
    **settings: Any,
) -> FoldReport:
    """Tie similar layers of a soft run (default: the newest) and write the looped network; keywords are FoldSettings' fields.

    Batch norm is estimated anew on training images, accuracies are read on the test set, in fp32, and no choice depends on them.
    With `evaluated` off no data are touched, so that batch norm stays as it was. With `dry_run` nothing is written.
    Raises NothingToFold, SettingError, UnknownName, RunError, OutputError, DataError.
    """
    opened = open_run(Path(run) if run is not None else newest_run())
    chosen = FoldSettings(**settings)
    folder = _folder(opened, chosen, out)
    if not dry_run and folder.exists() and not force:
        raise SettingError(f"'{folder}' exists already; give --out another name or add --force")
    model, _ = opened.load(chosen.checkpoint)
    soft = soft_network(model)
    algebra = groups_of(soft)
    chosen = replace(chosen, metric=check_metric(chosen.metric, soft))
    clusters, thresholds = _choose(soft, algebra, chosen)
    plan = plan_fold(soft, algebra, clusters, chosen.tie)
    tied = apply_fold(soft, plan)
    accuracy = Accuracies()
    if evaluated:
        accuracy = _calibrate(opened, soft, tied, choose_machine(device, "fp32"), data_dir, observer or Silent())
    looped = loop_tied(tied, plan.program)
    report = _report(opened, None if dry_run else folder, chosen, thresholds, algebra, plan, soft, looped, accuracy)
    if not dry_run:
        _write(opened, folder, chosen, plan, looped, report)
    return report


def _choose(
    soft: SharedNetwork, algebra: tuple[GroupAlgebra, ...], settings: FoldSettings
) -> tuple[dict[str, Clusters], float | dict[str, float] | None]:
    """Clusters by the user's file or by thresholds, and the threshold to report."""
    names = [entry.group.name for entry in algebra]
    groups = list(settings.groups) if settings.groups else names
    for name in groups:
        if name not in names:
            raise UnknownName(f"--groups '{name}' does not exist{nearest(name, names)}; there are {', '.join(names)}")
    if settings.clusters is not None:
        return _clusters_of_file(Path(settings.clusters), algebra, groups), None
    overall, single = settings.threshold, dict(settings.thresholds)
    for name in single:
        if name not in names:
            raise UnknownName(f"--threshold '{name}' is no group{nearest(name, names)}; there are {', '.join(names)}")
    thresholds = {name: single.get(name, overall) for name in groups}
    clusters = choose_clusters(
        soft,
        algebra,
        thresholds,
        metric=settings.metric or "coefficients",
        unit=settings.unit,
        linkage=settings.linkage,
    )
    return clusters, thresholds if single else overall


def _clusters_of_file(file: Path, algebra: tuple[GroupAlgebra, ...], groups: list[str]) -> dict[str, Clusters]:
    """A user's own clusters: {"stage2": [["layer", "layer"], ...], ...}."""
    content = read_json(file)
    if not isinstance(content, dict):
        raise SettingError(f'--clusters \'{file}\' is not an object such as {{"stage2": [["layer", "layer"]]}}')
    layers = {entry.group.name: entry.group.layers for entry in algebra}
    for name in content:
        if name not in layers:
            raise UnknownName(f"--clusters '{file}' names group '{name}', which does not exist{nearest(name, layers)}")
    return {name: check_clusters(value, layers[name], group=name) for name, value in content.items() if name in groups}


def _calibrate(
    run: Run,
    soft: SharedNetwork,
    tied: SharedNetwork,
    machine: Machine,
    data_dir: Path | None,
    observer: Observer,
) -> Accuracies:
    """Estimate the tied network's batch norm anew, in place, and read the test accuracies on the way."""
    dataset, split = split_of_run(run, data_dir)
    soft.to(machine.device)
    tied.to(machine.device)
    train = loader_of(dataset, split.train, BATCH, machine, seed=run.settings.seed)
    test = loader_of(dataset, split.test, BATCH, machine)

    def accuracy(model: nn.Module) -> float:
        return evaluate(model, test, machine, observer).accuracy

    before, as_tied = accuracy(soft), accuracy(tied)
    recalibrate(tied, train, machine, observer=observer)
    recalibrated = accuracy(tied)
    recalibrate(soft, train, machine, observer=observer)
    return Accuracies(before, accuracy(soft), as_tied, recalibrated, None, test.images)


def _write(
    run: Run, folder: Path, settings: FoldSettings, plan: FoldPlan, looped: LoopedNetwork, report: FoldReport
) -> None:
    """Write the fold's folder, whole or not at all."""
    stored = Fold(
        folder,
        str(run.folder.resolve()),
        digest_of(run.folder / settings.checkpoint / FILE, "model"),
        settings.checkpoint,
        run.settings.arch,
        run.classes,
        run.channels,
        run.settings.dropout,
        stored_groups(looped),
        plan.program,
    )
    with new_folder(folder, force=True) as temporary:
        save_fold(temporary, stored, looped.cpu(), settings.to_json(), report.to_json())


def _folder(run: Run, settings: FoldSettings, out: Path | str | None) -> Path:
    """Where the fold goes: what the user names, else a new name inside the run that says what was asked."""
    if out is not None:
        return Path(out)
    how = "clusters" if settings.clusters is not None else f"{settings.threshold:g}"
    extra = [value for value, usual in ((settings.unit, "layer"), (settings.tie, "gain")) if value != usual]
    return free_name(run.folder / "-".join(["fold", how, *extra]))


def _report(
    run: Run,
    folder: Path | None,
    settings: FoldSettings,
    threshold: float | dict[str, float] | None,
    algebra: tuple[GroupAlgebra, ...],
    plan: FoldPlan,
    soft: SharedNetwork,
    looped: LoopedNetwork,
    accuracy: Accuracies,
) -> FoldReport:
    """Put together what there is to say."""
    with torch.device("meta"):
        dense = materialise(run.network())
    merged = any(group.owners < len(group.layers) for group in plan.groups)
    heights = [
        merge_heights(entry.similarity(settings.metric or "coefficients"), settings.linkage) for entry in algebra
    ]
    return FoldReport(
        None if folder is None else str(folder),
        str(run.folder),
        threshold,
        settings,
        plan.groups,
        program_text(plan.program),
        sum(count_loops(stage.items) for stage in plan.program.stages),
        count_reuses(plan.program),
        accuracy,
        Sizes(*(sum(p.numel() for p in form.parameters()) for form in (soft, dense, looped))),
        Sizes(*(file_bytes(form.state_dict()) for form in (soft, dense, looped))),
        None if merged else max((height[0] for height in heights if height), default=None),
    )


def _group_json(group: GroupFold) -> dict[str, Any]:
    """One group as plain data."""
    return {
        "name": group.name,
        "clusters": [[group.layers[row] for row in cluster] for cluster in group.clusters],
        "owners": group.owners,
        "templates": group.templates,
        "stored": group.stored,
        "weight_numbers": group.weight_numbers,
        "layers": [
            {"name": layer, "owner": int(owner), "gain": float(gain), "error": float(error)}
            for layer, owner, gain, error in zip(
                group.layers, group.tie.assignment, group.tie.gains, group.tie.errors, strict=True
            )
        ],
    }
