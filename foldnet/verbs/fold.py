"""foldnet fold: from a soft run to a folder with the network that loops."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from foldnet.bounds import checked
from foldnet.choosing.choose import Choice, Soft, check_budget_of, choose, soft_of
from foldnet.choosing.laboratory import Laboratory, added_loss_shares
from foldnet.errors import SettingError
from foldnet.folding.feeding import with_feeds
from foldnet.folding.folds import Fold, open_fold, save_fold, stored_groups
from foldnet.folding.looped import LoopedNetwork, loop_tied
from foldnet.folding.plan import FoldPlan, apply_fold, errors_of
from foldnet.folding.recalibrate import NOTHING_ANEW, keeps_statistics
from foldnet.folding.settings import FoldSettings
from foldnet.folding.verdict import LoopVerdict, further_trips
from foldnet.options import takes_fields
from foldnet.proof.fold_report import Accuracies, FoldReport
from foldnet.proof.prove import check_fold, random_inputs
from foldnet.sharing.share import SharedNetwork
from foldnet.show.progress import watched
from foldnet.store.artifact import FOLD, refuse_linked
from foldnet.store.codec import to_plain
from foldnet.store.files import check_free, new_folder, numbered_folder, refuse_unnamed
from foldnet.store.lock import remove_leftovers
from foldnet.training.machine import choose_machine
from foldnet.training.observer import CONTROL, Observer, Silent
from foldnet.training.runs import Run, newest_run, open_run
from foldnet.verbs.fold_memory import FoldedNetwork, fold_in_memory, report_of
from foldnet.verbs.sweep import curve_of
from foldnet.zoo.family import runs_code

PICKING = ("auto", "max_drop", "budget")  # choosers that need the sweep


@runs_code
@takes_fields(FoldSettings)
@watched
@checked
def fold(
    run: Path | str | nn.Module | None = None,
    *,
    out: Path | str | None = None,
    force: int | bool = False,
    dry_run: bool = False,
    evaluated: bool = True,
    data_dir: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
    inputs: Any = None,
    dial: bool = False,
    **settings: Any,
) -> FoldedNetwork:
    """Tie similar layers of a soft run (default: the newest), or of a soft network in memory, and fold it into loops.

    Keywords are FoldSettings' fields. Blocks are merged only where they are proven to compute the same but for what
    steps own: the plan's `kept_apart` says what kept others apart, and attributes named in `ignore` are not looked at.

    A run's fold is written into a folder, `out` or one in the run that says what was asked. Batch norm is estimated
    anew on training images; accuracies are read on the test set, in fp32, and no choice depends on them: what is chosen
    is chosen on the run's validation images. With `evaluated` off no data are touched, so that batch norm stays as it
    was. With `dry_run` nothing is written. With `force` a fold that is there already is replaced, with 2 also one that
    holds notes. Before anything is written, the looped network must compute what the tied one does.

    Of a network in memory, which stays as it was, nothing is measured or written, and batch norm is as it is there.
    With `inputs`, a tensor or a tuple of what it is called with, looped must compute what tied does; without, the
    report's `unproven` says that this was not tried. With `dial` each loop of a run's fold is turned on the test
    images, to say whether it is an iteration or a habit; nothing is chosen by that.

    Progress is shown where a person looks unless an `observer` is given (Silent: none). Raises NothingToFold,
    SettingError, UnknownName, RunError, OutputError, DataError, BrokenPromise.
    """
    chosen = FoldSettings(**settings)
    if isinstance(run, nn.Module):
        if dial:
            raise SettingError("`dial=True` needs test data, and a network in memory has none; leave it out")
        return fold_in_memory(run, chosen, out, inputs)
    if dial and not evaluated:
        raise SettingError("`dial=True` needs test scores, and `evaluated=False` reads none; leave one of them out")
    if inputs is not None:
        raise SettingError("`inputs` are for a network in memory, and a run has its own data; leave them out")
    opened = open_run(Path(run) if run is not None else newest_run())
    folder, numbered = _folder(opened, chosen, out), out is None and not force
    replaces = partial(FOLD.check_replaceable, opened=open_fold, force=force) if force else None
    if not dry_run:
        if out is None:
            refuse_linked(opened.folder)
        remove_leftovers(folder.parent)
        if not numbered:
            refuse_unnamed(folder)
            check_free(folder, replaces)
    folded = _fold_run(opened, chosen, evaluated, partial(Laboratory, opened, data_dir, device, observer or Silent()))
    if dial:
        verdicts = _verdicts(opened, folded, data_dir, device, observer or Silent())
        folded = replace(folded, report=replace(folded.report, dial=verdicts))
    if dry_run:
        return folded
    with numbered_folder(folder) if numbered else _named(folder, replaces) as (temporary, name):
        report = replace(folded.report, fold=str(name))
        _write(temporary, opened, chosen, folded.looped, report)
    return replace(folded, report=report)


def _fold_run(run: Run, chosen: FoldSettings, evaluated: bool, data_of_run: Callable[[], Laboratory]) -> FoldedNetwork:
    """Choose, tie, train and loop; nothing is written. The run's data are loaded where they are needed."""
    soft = soft_of(run.load(chosen.checkpoint)[0], chosen)
    check_budget_of(soft)
    needed = evaluated or chosen.finetune or chosen.chooser in PICKING
    laboratory = data_of_run() if needed else None
    curve = curve_of(run, soft, laboratory) if laboratory and chosen.chooser in PICKING else None
    return fold_soft(run, soft, choose(soft, curve), laboratory, evaluated)


def fold_soft(run: Run, soft: Soft, choice: Choice, laboratory: Laboratory | None, evaluated: bool) -> FoldedNetwork:
    """Tie a run's soft network, which stays as it was, as was chosen; without a laboratory no data are touched.

    Raises BrokenPromise where the looped network does not compute what the tied one does.
    """
    plan = soft.plan(choice.clusters)
    tied, score, shares = apply_fold(soft.model, plan), Accuracies(), None
    errors = errors_of(soft.model, plan, tied)
    if laboratory is not None:
        shares = _measure_shares(soft, plan, laboratory)
        score = _train_and_measure(laboratory, soft, tied, evaluated)
    plan = with_feeds(plan, tied, random_inputs(tied, run))
    looped = loop_tied(tied, plan.program)
    proof = check_fold(looped, tied, run, laboratory if evaluated else None, soft.settings.ignore)
    report = replace(report_of(soft, choice, plan, looped, errors, proof, shares), run=str(run.folder))
    return FoldedNetwork(looped.cpu(), tied.cpu(), plan, report.measured(score, run.task))


@contextmanager
def _named(folder: Path, check: Callable[[Path], None] | None) -> Iterator[tuple[Path, Path]]:
    """(a temporary folder to fill, the name that it gets at the end), of a fold that the user names or wishes
    replaced."""
    with new_folder(folder, check=check) as temporary:
        yield temporary, folder


def _measure_shares(soft: Soft, plan: FoldPlan, laboratory: Laboratory) -> dict[str, float] | None:
    """Each tied layer's share of the added validation loss, where that is asked for and can be measured."""
    if not soft.settings.shares or laboratory.split.validation is None:
        return None
    tied = sum(len(cluster) for group in plan.groups for cluster in group.clusters if len(cluster) > 1)
    laboratory.observer.begin("shares of the added validation loss", tied + 1)
    shares = dict(added_loss_shares(plan, soft.algebra, partial(laboratory.share_loss, soft.model)))
    laboratory.observer.end()
    return shares


def _train_and_measure(laboratory: Laboratory, soft: Soft, tied: SharedNetwork, evaluated: bool) -> Accuracies:
    """Recalibrate and fine-tune the tied network in place, and read the test scores on the way."""
    settings, original = soft.settings, copy.deepcopy(soft.model)

    def score(model: nn.Module) -> float | None:
        return laboratory.score(model, laboratory.test, laboratory.observer).value if evaluated else None

    before, as_tied = score(soft.model), score(tied)
    if not keeps_statistics(tied):
        laboratory.observer.note(f"{NOTHING_ANEW}: recalibrated is as tied")
    recalibrated = score(laboratory.recalibrated(tied))
    soft_recalibrated = score(laboratory.recalibrated(soft.model)) if evaluated else None
    finetuned = control = None
    if settings.finetune:
        laboratory.finetune(tied, settings, original if settings.distill else None)
        finetuned = score(tied)
        if settings.control:
            laboratory.finetune(original, settings, None, CONTROL)
            control = score(original)
    images = laboratory.test.images if evaluated else None
    return Accuracies(before, soft_recalibrated, as_tied, recalibrated, finetuned, control, images)


def _verdicts(
    run: Run, folded: FoldedNetwork, data_dir: Path | None, device: str, observer: Observer
) -> tuple[LoopVerdict, ...]:
    """What the dial says of each loop; the network stays as it was."""
    from foldnet.benching.dial import dial_of

    found = dial_of(copy.deepcopy(folded.looped), run, choose_machine(device, "fp32"), anew=True, data_dir=data_dir)
    if not found.loops:
        observer.note("the program has no loop, so that the dial has nothing to turn")
        return ()
    observer.begin("dial", sum(2 + 2 * len(further_trips(trips)) for trips in found.loops.values()))
    verdicts = tuple(found.verdict(loop, observer=observer) for loop in found.loops)
    observer.end()
    return verdicts


def _folder(run: Run, settings: FoldSettings, out: Path | str | None) -> Path:
    """Where the fold goes: what the user names, else a name inside the run that says what was asked."""
    if out is not None:
        return Path(out)
    names = {
        "threshold": f"{settings.overall_threshold:g}",
        "auto": "auto",
        "chance": "chance",
        "clusters": "clusters",
        "max_drop": f"drop{settings.max_drop}",
        "budget": f"{settings.budget}",
    }
    extra = [value for value, usual in ((settings.unit, "layer"), (settings.tie, "gain")) if value != usual]
    further = [f"{name}{value}" for name in ("residual", "finetune") if (value := getattr(settings, name))]
    return run.folder / "-".join(["fold", names[settings.chooser], *extra, *further])


def _write(temporary: Path, run: Run, settings: FoldSettings, looped: LoopedNetwork, report: FoldReport) -> None:
    """Fill a temporary folder with the fold that the report tells of."""
    folder, name = Path(str(report.fold)), run.folder.resolve().name
    digest, groups = run.digest(settings.checkpoint), stored_groups(looped)
    stored = Fold(folder, name, digest, settings.checkpoint, run.blueprint, groups, looped.program, scaling=run.scaling)
    # Folds are given away: what lies in the file are names, never where anything was on this machine.
    names = {"fold": folder.name, "run": name}
    given = {"clusters": None if settings.clusters is None else Path(settings.clusters).name}
    kept = replace(report, dial=None).to_json()
    save_fold(temporary, stored, looped.cpu(), to_plain(settings) | given, kept | names)
