"""The training loop: epochs of steps, with what is kept of them left to whoever asked for the training."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from foldnet.analysis.similarity import coefficient_similarity
from foldnet.data.batches import Batches, seed_of
from foldnet.errors import TrainingDiverged
from foldnet.store.codec import to_plain
from foldnet.training.course import Objective
from foldnet.training.evaluate import Score, Tally, evaluate
from foldnet.training.journal import EpochMetrics, Journal, UnderWay, Unwritten
from foldnet.training.machine import Machine, reseed, seeded
from foldnet.training.observer import Observer, Silent, Stopped
from foldnet.training.parallel import Forward
from foldnet.training.recurrence import banks_of, recurrence
from foldnet.training.session import Session
from foldnet.training.world import NOTHING, SAVE, STOP, Agreement, Interruptible


def fit(session: Session, *, observer: Observer | None = None, journal: Journal | None = None) -> None:
    """Train the session's network in place, from where it starts to the end of its course, telling the journal at the
    end of each epoch.

    Everything random in a step depends on (seed, epoch, step) alone, so that a stopped training goes on as if it never
    had. Raises TrainingDiverged where a loss or a weight is not finite, before the journal sees it, and Stopped, once
    the journal has what was done, where the observer wants the end.
    """
    observer, start, course = observer or Silent(), session.start, session.course
    training = _Training(session, observer, journal or Unwritten())
    if session.compilation.on and start.epoch < course.epochs:
        x, _ = next(session.train.of_epoch(start.epoch).epoch(start.epoch))
        observer.note(training.run.warm_up(x))
    with seeded(course.seed, session.machine.device):  # puts the process's own random state back at the end
        for epoch in range(start.epoch, course.epochs):
            training.epoch(epoch, start.under_way if epoch == start.epoch else UnderWay())
    training.agreement.close()


class _Training:
    """What the epochs of one training have in common."""

    def __init__(self, session: Session, observer: Observer, journal: Journal) -> None:
        self.model, self.optimiser, self.machine = session.model, session.optimiser, session.machine
        self.train, self.validation, self.course = session.train, session.validation, session.course
        self.observer, self.journal = observer, journal
        world, regular = self.machine.world, self.train.of_epoch(session.start.epoch).sizes()[0]
        share = regular // world.size + (world.rank < regular % world.size)
        self.run = Forward(self.model, self.machine, session.compilation, share)
        self.agreement = Agreement(world)

    def epoch(self, epoch: int, under_way: UnderWay) -> None:
        """One pass over the training data, or the rest of one, and one over the validation data."""
        course, data = self.course, self.train.of_epoch(epoch)
        rate = course.rate(epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        done = self._steps(epoch, data, under_way)
        self._check_finite(epoch, done.loss / data.images)
        self.machine.world.copy_buffers(self.model)
        score = self._validate(epoch, done)
        task, objective = data.task, course.objective
        metrics = EpochMetrics(
            epoch=epoch + 1,
            lr=rate,
            train_loss=done.loss / data.images,
            train_score=task.score(done.counts, data.images),
            recurrence=recurrence(self.model, objective.form).item() if objective.recurrence else None,
            similarity=_similarity(self.model),
            validation_loss=score.loss if score else None,
            validation_score=score.value if score else None,
            seconds=done.seconds,
            images_per_second=data.images / done.seconds,
            waited=done.waited / done.seconds,
            share=task.share,
        )
        self.journal.after_epoch(metrics)
        # Said last, so that what a user reads is safe on the disk.
        scores = {"train": metrics.train_score, "val": metrics.validation_score}
        written = {name: task.written(value, 1) for name, value in scores.items() if value is not None}
        about = {"measure": task.measure, "unit": task.unit, "course": course.name, "scores": written}
        self.observer.epoch(to_plain(metrics) | about)

    def _steps(self, epoch: int, data: Batches, under_way: UnderWay) -> UnderWay:
        """The steps of an epoch that are left; what the whole epoch came to."""
        world, sizes = self.machine.world, data.sizes()
        self.model.train()
        self.observer.begin(
            f"{self.course.name} {epoch + 1}/{self.course.epochs}", len(sizes), epoch, self.course.epochs
        )
        self.observer.advance(under_way.step)
        tally = Tally(data.task, self.machine, under_way)
        waited, before = under_way.waited, time.perf_counter() - under_way.seconds
        batches = data.epoch(epoch, under_way.step)
        for number in range(under_way.step, len(sizes)):
            asked = time.perf_counter()
            x, y = next(batches)
            waited += time.perf_counter() - asked
            reseed(seed_of(self.course.seed, epoch, number, world.rank), self.machine.device)
            # The processes' gradients are averaged: each counts as much as it has examples.
            share = len(y) * world.size / sizes[number]
            objective = self.course.objective
            tally.add(*step(self.model, self.optimiser, x, y, self.machine, objective, run=self.run, share=share), y)
            self.observer.advance()
            wanted = STOP if self.observer.wants_stop() else SAVE if self.journal.due() else NOTHING
            agreed = self.agreement.after_step(wanted)
            if agreed != NOTHING:
                loss, counts = tally.read()
                reached = UnderWay(number + 1, loss, counts, time.perf_counter() - before, waited)
                self._save(epoch, reached, sum(sizes[: number + 1]), stop=agreed == STOP)
        loss, counts = tally.read()  # the epoch's only synchronisation
        self.observer.end()
        return UnderWay(len(sizes), loss, counts, time.perf_counter() - before, waited)

    def _save(self, epoch: int, reached: UnderWay, examples: int, *, stop: bool) -> None:
        """Keep the state between two steps. Raises Stopped where that was the end."""
        self._check_finite(epoch, reached.loss / examples)
        self.journal.within_epoch(reached)
        if stop:
            raise Stopped

    def _validate(self, epoch: int, done: UnderWay) -> Score | None:
        """The score on the validation data, if there are any."""
        if self.validation is None:
            return None
        data = self.validation.of_epoch(epoch)
        observer = Interruptible(self.observer, self.agreement)
        try:
            score = evaluate(self.model, data, self.machine, observer)
        except Stopped:
            self.journal.within_epoch(done)
            raise
        if not math.isfinite(score.loss):
            raise self._diverged(f"the validation loss of epoch {epoch + 1} is {score.loss}")
        return score

    def _check_finite(self, epoch: int, mean_loss: float) -> None:
        """Raise TrainingDiverged where a number is none."""
        if not math.isfinite(mean_loss):
            raise self._diverged(f"the loss of epoch {epoch + 1} is {mean_loss}")
        # The loss of a step is that before its update: what the last one did to the weights, no training loss has seen.
        if not _all_finite(self.model):
            raise self._diverged(f"epoch {epoch + 1} leaves weights that are not finite")

    def _diverged(self, what: str) -> TrainingDiverged:
        """What is said of a training that went astray."""
        return TrainingDiverged(f"{what}; the checkpoint before, if any, is kept, try `lr={self.course.lr / 10:.3g}`")


def step(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    machine: Machine,
    objective: Objective,
    *,
    run: Callable[[Tensor], Tensor] | None = None,
    share: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """One training step: x (b, ...), y (b, ...) -> (loss without the regulariser, a scalar; outputs (b, ...) in fp32).

    `run` is how the model is run where not by itself. Where other processes take parts of the batch, `share` weighs the
    loss of this one's, which may be empty.
    """
    with machine.autocast():
        outputs = (run or model)(x)
    outputs = outputs.float()
    if not len(y):
        loss = outputs.sum() * 0.0
    elif objective.loss is None:
        loss = objective.task.loss(outputs, y)
    else:
        loss = objective.loss(outputs, y, x)
    total = loss if share == 1 else loss * share
    if objective.recurrence:
        total = total - objective.recurrence * recurrence(model, objective.form)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(total)
    optimiser.step()
    return loss.detach(), outputs.detach()


def _similarity(model: nn.Module) -> dict[str, float] | None:
    """The largest off-diagonal entry of each group's LSM by coefficients; None for a network without banks."""
    largest = {}
    for name, bank in banks_of(model).items():
        matrix = coefficient_similarity(bank.coefficients.detach().double().cpu().numpy())
        matrix[range(len(matrix)), range(len(matrix))] = 0.0
        largest[name] = float(matrix.max())
    return largest or None


def _all_finite(model: nn.Module) -> bool:
    """Whether every weight is a number, asked with one synchronisation."""
    return bool(torch.stack([parameter.isfinite().all() for parameter in model.parameters()]).all())
