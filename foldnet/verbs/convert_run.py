"""Converting what belongs to a run: measured on its data, distilled from it, and written as a run of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.choosing.laboratory import FINETUNE, Laboratory, taught_by
from foldnet.converting.settings import ConvertSettings
from foldnet.converting.templates import Conversion, to_templates
from foldnet.folding.settings import FoldSettings
from foldnet.sharing.chosen import ChosenGroup
from foldnet.sharing.plan import SharingPlan
from foldnet.sharing.share import SharedNetwork
from foldnet.store.codec import to_plain
from foldnet.store.files import write_json
from foldnet.store.seals import sealed
from foldnet.training.checkpoint import save_coefficients
from foldnet.training.loop import fit
from foldnet.training.machine import choose_machine
from foldnet.training.observer import CONTROL
from foldnet.training.recorder import Recorder, coefficients
from foldnet.training.runs import Run, create_run
from foldnet.training.session import Material, session_of
from foldnet.verbs.convert_memory import ConvertedNetwork, ConvertedScores, converted, wanted_of
from foldnet.verbs.convert_origin import Origin
from foldnet.verbs.train import TrainReport, report_of
from foldnet.zoo.blueprint import Blueprint

BATCHES = 4  # of 128 training images, on which outputs are compared

Place = AbstractContextManager[tuple[Path, Path]]  # (a temporary folder to fill, the name that it gets at the end)


@dataclass(frozen=True, slots=True)
class Begun:
    """A soft network in the place of a trained one, before it is written: the run that it becomes, and what that was
    converted from."""

    soft: SharedNetwork
    run: Run
    facts: Mapping[str, Any]


def soft_blueprint(origin: Blueprint, chosen: ConvertSettings) -> Blueprint:
    """What a network becomes with templates. Raises UnknownName and SettingError for numbers that its groups cannot
    have."""
    if not chosen.by_group:
        assert chosen.templates is not None
        return origin.soft(chosen.templates)
    with torch.device("meta"):
        plan = origin.plan(origin.build_plain())
    return with_groups(origin, plan, wanted_of(chosen, plan))


def with_groups(origin: Blueprint, plan: SharingPlan, templates: Mapping[str, int]) -> Blueprint:
    """The network whose groups, those of a plan, have templates of their own numbers. Raises SettingError for numbers
    that they cannot have."""
    groups = tuple(ChosenGroup(group.name, group.layers, templates[group.name]) for group in plan.groups)
    for group in groups:
        group.check()
    return replace(origin.soft(max(templates.values())), groups=groups)


def convert_run(
    origin: Origin, built: Blueprint, chosen: ConvertSettings, laboratory: Laboratory, place: Place
) -> ConvertedNetwork:
    """Convert a run's network to the templates that a blueprint has, measure it and the control, distil, and write it
    as a soft run."""
    with torch.device("meta"):
        plan = built.plan(built.build_plain())
    batches = inputs(laboratory) if chosen.metric == "outputs" else None
    made = to_templates(origin.trained, plan, chosen.metric, batches)
    found = converted(origin.trained, made, chosen.metric)
    scores = _measured(origin, made, chosen, laboratory)
    templates = {group.name: group.templates for group in built.groups} or built.templates
    begun = Begun(made.soft, new_run(origin.run, built, chosen), {**origin.facts, "templates": templates})
    with place as (temporary, folder):
        trained = write_run(temporary, begun, origin.trained, chosen, laboratory)
        if chosen.finetune:
            scores = replace(scores, finetuned=trained.score)
        about: dict[str, Any] = {"source": origin.facts.get("run", origin.facts.get("weights")), "arch": built.arch}
        about |= {"finetune": chosen.finetune, "score": scores, "task": origin.run.task}
        report = replace(found.report, run=str(folder), **about)
        write_json(temporary / "convert.json", sealed(to_plain(report) | {"run": folder.name}))
    return replace(found, report=report)


def inputs(laboratory: Laboratory) -> Iterator[Tensor]:
    """The first training images, as the run saw them, on the CPU: batches of x."""
    return (x.cpu() for x, _ in islice(laboratory.train.epoch(0), BATCHES))


def _measured(origin: Origin, made: Conversion, chosen: ConvertSettings, laboratory: Laboratory) -> ConvertedScores:
    """Test scores of the trained network, of the converted one and of the control; unless nothing was lost, batch norm
    of these is then estimated anew. With `control` that one is trained."""

    def score(model: nn.Module) -> float:
        return laboratory.score(model, laboratory.test, laboratory.observer).value

    scores = ConvertedScores(score(origin.trained), score(made.soft), images=laboratory.test.images)
    scores = replace(scores, low_rank=score(made.control))
    if not made.is_exact:
        scores = replace(scores, recalibrated=score(laboratory.recalibrated(made.soft)))
        scores = replace(scores, low_rank_recalibrated=score(laboratory.recalibrated(made.control)))
    if chosen.control:
        tuning = FoldSettings(finetune=chosen.finetune, finetune_lr=chosen.finetune_lr)
        laboratory.finetune(made.control, tuning, origin.trained, CONTROL)
        scores = replace(scores, low_rank_finetuned=score(made.control))
    return scores


def new_run(origin: Run, built: Blueprint, chosen: ConvertSettings) -> Run:
    """What a run becomes with another network: its data and recipe, but for the epochs of distillation and their
    rate."""
    settings = origin.settings
    lr = chosen.finetune_lr if chosen.finetune_lr is not None else FINETUNE * settings.lr
    epochs = max(chosen.finetune, settings.source.phases, 1)  # a run has at least one, done or not
    templates = built.templates if built.family.outside else None  # which else stand in the name
    own = replace(settings, arch=built.arch, templates=templates, group_by=built.group_by)
    own = replace(own, epochs=epochs, lr=lr, schedule="steps")
    return replace(origin, settings=replace(own, recurrence=0.0, recurrence_form="mean"), blueprint=built)


def write_run(
    folder: Path, begun: Begun, teacher: nn.Module, chosen: ConvertSettings, laboratory: Laboratory
) -> TrainReport:
    """Fill a folder, which exists, with a soft run: distilled from a teacher for the epochs that are chosen, the best
    of them by validation kept beside the last, and scored on the test set."""
    run = replace(begun.run, folder=folder)
    machine = choose_machine(str(laboratory.machine.device), run.settings.precision)
    run = replace(run, precision=machine.precision)
    material = Material(run, laboratory.dataset, laboratory.split, machine)
    run, session = session_of(material, new=True)
    session.model.load_state_dict(begun.soft.state_dict())
    task = laboratory.dataset.task
    objective = replace(session.objective, loss=taught_by(teacher, task, machine))
    session = replace(session, objective=objective, observer=laboratory.observer)
    run = create_run(folder, run, machine.about(), {"converted": dict(begun.facts)})
    save_coefficients(folder, coefficients(session.model, {}))
    recorder = Recorder(run, session)
    if chosen.finetune:
        fit(session, recorder)
    else:
        recorder.within_epoch(recorder.progress.under_way)
    report = report_of(run, session, recorder, material.plain(material.split.test))
    write_json(folder / "report.json", sealed(report.to_json() | {"identity": run.identity}))
    begun.soft.load_state_dict(session.model.state_dict())
    return report
