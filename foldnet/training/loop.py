"""The training loop: epochs of steps, with what is kept of them left to whoever asked for the training."""

import math
import time
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foldnet.analysis.similarity import coefficient_similarity
from foldnet.data.batches import Loader, seed_of
from foldnet.errors import TrainingDiverged
from foldnet.sharing.share import banks_of
from foldnet.store.codec import to_plain
from foldnet.training.evaluate import Score, Tally, evaluate
from foldnet.training.learner import ASKED_FOR, UNCOMPILED, CompiledForward, Learner, recurrence
from foldnet.training.machine import World, reseed, seeded
from foldnet.training.observer import SILENT, EpochMetrics, Journal, Observer, Silent, Stopped, UnderWay
from foldnet.training.session import Session

NOTHING, SAVE, STOP = 0, 1, 2  # what an observer may want after a step


class Agreement(Silent):
    """Lets the processes do an unforeseen thing (save, stop) after the same step, without a wait in any step.

    After every step each process sends what it wants, and acts on what all sent after the step before, which has long
    arrived. The words are CPU tensors, so that reading them never waits for a GPU. As the observer of an evaluation it
    passes on to `observer`, and raises Stopped where that one wants the end.
    """

    def __init__(self, world: World, observer: Observer = SILENT) -> None:
        self.world, self.observer = world, observer
        self.sent: tuple[Any, Tensor] | None = None

    def after_step(self, wanted: int) -> int:
        """What every process does now: NOTHING, or the most that one of them wanted."""
        if self.world.alone:
            return wanted
        agreed = self.close()
        flag = torch.tensor([wanted])
        self.sent = (dist.all_reduce(flag, dist.ReduceOp.MAX, async_op=True), flag)
        return agreed

    def close(self) -> int:
        """Wait for what was sent last; it must not be left under way."""
        if self.sent is None:
            return NOTHING
        work, flag = self.sent
        self.sent = None
        work.wait()
        return int(flag)

    def begin(self, task: str, total: int, part: int = 0, parts: int = 1) -> None:
        """Passed on."""
        self.observer.begin(task, total, part, parts)

    def advance(self, steps: int = 1) -> None:
        """Passed on. Raises Stopped."""
        self.observer.advance(steps)
        if self.after_step(STOP if self.observer.wants_stop() else NOTHING) == STOP:
            raise Stopped

    def end(self) -> None:
        """Passed on."""
        self.observer.end()


def fit(session: Session, journal: Journal | None = None) -> None:
    """Train the session's network in place, from where it starts to the end of its course, telling the journal at the
    end of each epoch.

    Everything random in a step depends on (seed, epoch, step) alone, so that a stopped training goes on as if it never
    had. Raises TrainingDiverged where a loss or a weight is not finite, before the journal sees it, and Stopped, once
    the journal has what was done, where the observer wants the end.
    """
    start, course, training = session.start, session.course, _Training(session, journal or Journal())
    if session.compilation.on and start.epoch < course.epochs:
        x, _ = next(session.train[course.phase(start.epoch)].epoch(start.epoch))
        session.observer.note(training.steps.warm_up(x))
    with seeded(course.seed, session.machine.device):  # puts the process's own random state back at the end
        for epoch in range(start.epoch, course.epochs):
            training.epoch(epoch, start.under_way if epoch == start.epoch else UnderWay())
    training.agreement.close()


class _Training:
    """What the epochs of one training have in common."""

    def __init__(self, session: Session, journal: Journal) -> None:
        self.session, self.journal = session, journal
        self.model, self.machine, self.course = session.model, session.machine, session.course
        world, regular = self.machine.world, session.train[self.course.phase(session.start.epoch)].sizes()[0]
        self.steps = Steps(session, regular // world.size + (world.rank < regular % world.size))
        self.agreement = Agreement(world, session.observer)

    def epoch(self, epoch: int, under_way: UnderWay) -> None:
        """One pass over the training data, or the rest of one, and one over the validation data."""
        course, data = self.course, self.session.train[self.course.phase(epoch)]
        self.steps.epoch = epoch
        if self.session.objective.begin is not None:
            self.session.objective.begin(epoch / course.epochs)
        done = self._steps(epoch, data, under_way)
        self._check_finite(epoch, done.loss / data.images)
        self.machine.world.copy_buffers(self.model)
        score = self._validate(epoch, done)
        task, objective = data.task, self.session.objective
        metrics = EpochMetrics(
            epoch=epoch + 1,
            lr=course.rate(epoch, len(data) - 1, len(data)),  # that of the last step
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
        self.session.observer.epoch(to_plain(metrics) | about)

    def _steps(self, epoch: int, data: Loader, under_way: UnderWay) -> UnderWay:
        """The steps of an epoch that are left; what the whole epoch came to. Raises Stopped."""
        world, course, observer, sizes = self.machine.world, self.course, self.session.observer, data.sizes()
        self.model.train()
        observer.begin(f"{course.name} {epoch + 1}/{course.epochs}", len(sizes), epoch, course.epochs)
        observer.advance(under_way.step)
        tally = Tally(data.task, self.machine, under_way)
        waited, before = under_way.waited, time.perf_counter() - under_way.seconds
        batches = data.epoch(epoch, under_way.step)
        for number in range(under_way.step, len(sizes)):
            asked = time.perf_counter()
            x, y = next(batches)
            waited += time.perf_counter() - asked
            for group in self.session.optimiser.param_groups:
                group["lr"] = course.rate(epoch, number, len(sizes))
            reseed(seed_of(course.seed, epoch, number, world.rank), self.machine.device)
            # The processes' gradients are averaged: each counts as much as it has examples.
            tally.add(*self.steps(x, y, share=len(y) * world.size / sizes[number]), y)
            observer.advance()
            wanted = STOP if observer.wants_stop() else SAVE if self.journal.due() else NOTHING
            agreed = self.agreement.after_step(wanted)
            if agreed != NOTHING:
                reached = UnderWay(number + 1, *tally.read(), time.perf_counter() - before, waited)
                self._check_finite(epoch, reached.loss / sum(sizes[: number + 1]))
                self.journal.within_epoch(reached)
                if agreed == STOP:
                    raise Stopped
        done = tally.read()  # the epoch's only synchronisation
        observer.end()
        return UnderWay(len(sizes), *done, time.perf_counter() - before, waited)

    def _validate(self, epoch: int, done: UnderWay) -> Score | None:
        """The score on the validation data, if there are any."""
        if not self.session.validation:
            return None
        data = self.session.validation[self.course.phase(epoch)]
        try:
            score = evaluate(self.model, data, self.machine, self.agreement)
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
        if not torch.stack([parameter.isfinite().all() for parameter in self.model.parameters()]).all():  # one wait
            raise self._diverged(f"epoch {epoch + 1} leaves weights that are not finite")

    def _diverged(self, what: str) -> TrainingDiverged:
        """What is said of a training that went astray."""
        return TrainingDiverged(f"{what}; the checkpoint before, if any, is kept, try `lr={self.course.lr / 10:.3g}`")


class Steps:
    """The training steps of a learner: compiled where that was chosen, and of several processes such that gradients are
    averaged.

    A process may have no example in a batch and takes part all the same.
    """

    def __init__(self, learner: Learner, batch: int) -> None:
        """`batch` is how many examples this process has in a regular batch."""
        self.learner, network, self.takes_nothing = learner, learner.model, True
        if not learner.machine.world.alone:
            from foldnet.training.parallel import averaging, is_synchronised

            network, self.takes_nothing = averaging(network, learner.machine), is_synchronised(network)
        self.forward = CompiledForward(network, learner.compilation, batch)
        self.epoch = 0  # from 0; the regulariser may set in later
        # Of several processes each would leave other layers without a gradient.
        self._in_part = learner.objective.run is not None and learner.machine.world.alone

    def __call__(self, x: Tensor, y: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """One step: x (b, ...), y (b, ...) -> (loss without the regulariser, a scalar; outputs (b, ...) in fp32).

        Where other processes take parts of the batch, `share` weighs the loss of this one's, which may be empty.
        """
        learner, objective = self.learner, self.learner.objective
        with learner.machine.autocast():
            outputs = self._run(x)
        outputs = outputs.float()
        if not len(y):
            loss = outputs.sum() * 0.0
        elif objective.loss is None or self._in_part:
            loss = objective.task.loss(outputs, y)
        else:
            loss = objective.loss(outputs, y, x)
        total = loss if share == 1 else loss * share
        if objective.recurrence and self.epoch >= objective.after:
            total = total - objective.recurrence * recurrence(learner.model, objective.form)
        learner.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        if objective.clip:
            torch.nn.utils.clip_grad_norm_(learner.model.parameters(), objective.clip)
        learner.optimiser.step()
        if objective.settle is not None:
            objective.settle()
        return loss.detach(), outputs.detach()

    def _run(self, x: Tensor) -> Tensor:
        """x (b, ...) -> outputs (b, ...)."""
        if self._in_part and self.learner.objective.run is not None:
            return self.learner.objective.run(x)
        if len(x) or self.takes_nothing:
            return self.forward(x)
        return self.forward(x.new_zeros(1, *x.shape[1:]))[:0]  # batch norm can't take nothing

    def warm_up(self, x: Tensor) -> str:
        """Compile for batches like x, leaving no trace; what came of it, in words. Raises what torch.compile raises if
        it was asked for."""
        if not len(x):
            return "nothing to compile for: this process has no examples in a batch"
        try:
            return f"compiled in {self.forward.warm_up(x, self.learner.machine):.0f} s"
        except Exception as error:  # compilers fail in many ways, and nobody asked for this one
            if self.learner.compilation.why == ASKED_FOR:
                raise
            self.forward = CompiledForward(self.forward.network, UNCOMPILED, len(x))
            reason = str(error).strip().split("\n")[0]
            return f"not compiled, since that failed ({type(error).__name__}: {reason})"


def _similarity(model: nn.Module) -> dict[str, float] | None:
    """The largest off-diagonal entry of each group's LSM by coefficients; None for a network without banks."""
    largest = {}
    for name, bank in banks_of(model).items():
        matrix = coefficient_similarity(bank.coefficients.detach().double().cpu().numpy())
        matrix[range(len(matrix)), range(len(matrix))] = 0.0
        largest[name] = float(matrix.max())
    return largest or None
