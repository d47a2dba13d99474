"""What a fold is measured on, and how it is trained on: the run's own data, and no choice on the test set."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from foldnet.choosing.sweep import Outcome
from foldnet.data.batches import Loader
from foldnet.data.tasks import Task
from foldnet.errors import SettingError
from foldnet.folding.groups import GroupAlgebra
from foldnet.folding.looped import loop_used_up
from foldnet.folding.plan import FoldPlan, GroupFold, apply_fold
from foldnet.folding.recalibrate import IMAGES, keeps_statistics, recalibrate
from foldnet.folding.settings import FoldSettings
from foldnet.sharing.share import SharedNetwork
from foldnet.store.tensors import file_bytes
from foldnet.training.evaluate import Score, evaluate
from foldnet.training.learner import Objective, build_optimiser
from foldnet.training.loop import fit
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.observer import TUNING, Observer, Silent
from foldnet.training.runs import Run
from foldnet.training.session import Course, Session, loader_of, split_of_run, training_loader

BATCH = 128  # images a batch when batch norm is estimated anew and accuracies are read
SHARE_IMAGES = 1024  # images on which a layer's share of the added loss is measured: it is a hint, not a result
FINETUNE = 0.2  # of the run's learning rate, where fine-tuning is given none of its own
TEMPERATURE, TEACHING = 2.0, 0.5  # of distillation: softening of the logits, and weight of the teacher's part


class Laboratory:
    """A run's data on a machine, and what is done with them."""

    def __init__(self, run: Run, data_dir: Path | None, device: str, observer: Observer) -> None:
        """Loads the data. Raises DataError, RunError where they have changed, SettingError for a bad device."""
        self.run, self.observer = run, observer
        self.machine = choose_machine(device, "fp32")
        self.dataset, self.split = split_of_run(run, data_dir)

    @cached_property
    def train(self) -> Loader:
        """Training images as the run saw them."""
        return training_loader(self.dataset, self.split.train, self.run.settings, self.machine, BATCH)

    @cached_property
    def test(self) -> Loader:
        """The test images."""
        return loader_of(self.dataset, self.split.test, BATCH, self.machine)

    @cached_property
    def validation(self) -> Loader:
        """The validation images. Raises SettingError where the run set none aside."""
        if self.split.validation is None:
            raise SettingError(
                f"run '{self.run.folder}' was trained without validation data (`validation=0`), so nothing can be "
                f"chosen or weighed; give `threshold` a number, or train a run with `validation=0.1`"
            )
        return loader_of(self.dataset, self.split.validation, BATCH, self.machine)

    def score(self, model: nn.Module, loader: Loader, observer: Observer | None = None) -> Score:
        """As the data's task scores, in fp32."""
        return evaluate(model.to(self.machine.device), loader, self.machine, observer or Silent())

    def recalibrated(self, model: nn.Module, images: int = IMAGES) -> nn.Module:
        """`model` itself, its batch norm, if it has any, estimated anew on training images."""
        model.to(self.machine.device)
        if keeps_statistics(model):
            recalibrate(model, self.train, self.machine, images=images)
        return model

    @cached_property
    def few(self) -> Loader:
        """The first of the validation images."""
        images = self.validation.source
        return loader_of(self.dataset, images.take(torch.arange(min(SHARE_IMAGES, len(images)))), BATCH, self.machine)

    def judge(self, soft: SharedNetwork, plan: FoldPlan) -> Outcome:
        """Tie, recalibrate, and score on validation images."""
        tied = apply_fold(soft, plan)
        score = self.score(self.recalibrated(tied), self.validation)
        looped = loop_used_up(tied, plan.program)
        parameters, size = sum(one.numel() for one in looped.parameters()), file_bytes(looped.state_dict())
        self.observer.advance()
        return Outcome(score.value, score.accuracy, score.right, score.images, parameters, size)

    def share_loss(self, soft: SharedNetwork, plan: FoldPlan) -> float:
        """Tie, recalibrate, and take the validation loss, all on few images."""
        tied = self.recalibrated(apply_fold(soft, plan), SHARE_IMAGES)
        self.observer.advance()
        return self.score(tied, self.few).loss

    def finetune(self, model: nn.Module, settings: FoldSettings, teacher: nn.Module | None, name: str = TUNING) -> None:
        """Train `model` in place on what it stores, as the run was trained, then estimate its batch norm anew.

        With a teacher half of the loss is its softened answer (Hinton et al., https://arxiv.org/abs/1503.02531).
        """
        run, task = self.run.settings, self.dataset.task
        machine = choose_machine(str(self.machine.device), run.precision)
        lr = settings.finetune_lr if settings.finetune_lr is not None else FINETUNE * run.lr
        loss = None if teacher is None else taught_by(teacher, task, machine)
        chosen = {"momentum": run.momentum, "weight_decay": run.weight_decay}
        session = Session(
            model=model.to(machine.device),
            optimiser=build_optimiser(model, kind=run.optimiser, lr=lr, **chosen),
            machine=machine,
            objective=Objective(task=task, loss=loss),
            train=[training_loader(self.dataset, self.split.train, run, machine)],
            course=Course(settings.finetune, lr, run.seed, name=name),
            observer=self.observer,
        )
        fit(session)
        self.recalibrated(model)


def taught_by(teacher: nn.Module, task: Task, machine: Machine) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The task's loss, half of it with the labels and half with the teacher's softened answer to the same images."""
    teacher = copy.deepcopy(teacher).to(machine.device).eval()

    def loss(outputs: Tensor, targets: Tensor, x: Tensor) -> Tensor:
        with torch.no_grad(), machine.autocast():
            answer = teacher(x).float()
        soft = task.imitation(outputs / TEMPERATURE, answer / TEMPERATURE)
        return (1 - TEACHING) * task.loss(outputs, targets) + TEACHING * TEMPERATURE**2 * soft

    return loss


def added_loss_shares(
    plan: FoldPlan, algebra: tuple[GroupAlgebra, ...], loss: Callable[[FoldPlan], float]
) -> Mapping[str, float]:
    """Each tied layer's share of the validation loss that tying added, 0..1 and 1 in sum (all 0 where none takes any
    away).

    `loss` recalibrates a fold and gives its validation loss in nats: the part of layer l is the loss of the whole fold
    less that of the fold with l restored, never below 0. Layers that are alone are left out.
    """
    whole = loss(plan)
    parts = {}
    for index, (group, entry) in enumerate(zip(plan.groups, algebra, strict=True)):
        for cluster in group.clusters:
            for row in cluster if len(cluster) > 1 else ():
                groups = (*plan.groups[:index], restored(group, row, entry), *plan.groups[index + 1 :])
                parts[group.layers[row]] = max(0.0, whole - loss(replace(plan, groups=groups)))
    total = sum(parts.values())
    return {layer: part / total if total > 0 else 0.0 for layer, part in parts.items()}


def restored(group: GroupFold, row: int, algebra: GroupAlgebra) -> GroupFold:
    """The same fold of a group, in which one layer uses a weight of its own; the others keep their owner and gains."""
    tie = group.tie
    clusters = [tuple(member for member in cluster if member != row) for cluster in group.clusters]
    owners = np.vstack([tie.owners, algebra.coefficients[row]])
    gains, assignment, errors = tie.gains.copy(), tie.assignment.copy(), tie.errors.copy()
    gains[row], assignment[row], errors[row] = 1.0, len(tie.owners), 0.0
    changed = replace(tie, owners=owners, gains=gains, assignment=assignment, errors=errors)
    ranks = (*group.ranks, 0) if group.ranks else ()
    return replace(group, clusters=(*(cluster for cluster in clusters if cluster), (row,)), tie=changed, ranks=ranks)
