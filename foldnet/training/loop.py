"""The training loop: epochs of steps, with what happens between them left to whoever asked for the training."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foldnet.data.batches import Loader
from foldnet.errors import TrainingDiverged
from foldnet.training.evaluate import evaluate
from foldnet.training.machine import Machine, seeded
from foldnet.training.observer import Observer
from foldnet.training.optimiser import learning_rate
from foldnet.training.recurrence import recurrence

EPOCH_SEED = 1_000_003  # spreads (seed, epoch) over torch's seeds


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One line of metrics.jsonl. Losses in nats, accuracies 0..1; seconds and speed are those of the training steps."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    recurrence: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float
    images_per_second: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Objective:
    """What the steps minimise: `loss` of (logits, targets, inputs' batch) less the weighted recurrence."""

    recurrence: float = 0.0
    form: str = "mean"
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None  # (logits, labels, x); None is cross-entropy


def fit(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    train: Loader,
    validation: Loader | None,
    machine: Machine,
    *,
    epochs: int,
    lr: float,
    seed: int,
    objective: Objective,
    observer: Observer,
    start: int = 0,
    after_epoch: Callable[[EpochMetrics], None] = lambda metrics: None,
) -> None:
    """Train `model` in place from epoch `start` to `epochs`, calling `after_epoch` at the end of each.

    Everything random in an epoch depends on (seed, epoch) alone, so that a stopped training goes on as if it never had.
    Raises TrainingDiverged at the end of an epoch that leaves a loss or a weight that is not finite, before `after_epoch`
    sees it.
    """
    for epoch in range(start, epochs):
        with seeded(seed * EPOCH_SEED + epoch, machine.device):
            metrics = _epoch(model, optimiser, train, validation, machine, epoch, epochs, lr, objective, observer)
            after_epoch(metrics)
            observer.epoch(metrics.to_json())  # said last, so that what a user reads is safe on the disk


def _epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    train: Loader,
    validation: Loader | None,
    machine: Machine,
    epoch: int,
    epochs: int,
    lr: float,
    objective: Objective,
    observer: Observer,
) -> EpochMetrics:
    """One pass over the training data and one over the validation data."""
    rate = learning_rate(epoch, epochs, lr)
    for group in optimiser.param_groups:
        group["lr"] = rate
    model.train()
    start = time.perf_counter()
    loss = torch.zeros((), dtype=torch.float64, device=machine.device)
    right = torch.zeros((), dtype=torch.int64, device=machine.device)
    observer.begin(f"epoch {epoch + 1}/{epochs}", len(train), epoch, epochs)
    for x, y in train.epoch(epoch):
        batch_loss, logits = step(model, optimiser, x, y, machine, objective)
        loss += batch_loss * len(y)
        right += (logits.argmax(1) == y).sum()
        observer.advance()
    mean_loss = float(loss) / train.images  # the epoch's only synchronisation
    observer.end()
    if not math.isfinite(mean_loss):
        raise _diverged(f"the loss of epoch {epoch + 1} is {mean_loss}", lr)
    # The loss of a step is that before its update: what the last one did to the weights, no training loss has seen.
    if not _all_finite(model):
        raise _diverged(f"epoch {epoch + 1} leaves weights that are not finite", lr)
    seconds = time.perf_counter() - start
    score = evaluate(model, validation, machine, observer) if validation is not None else None
    if score is not None and not math.isfinite(score.loss):
        raise _diverged(f"the validation loss of epoch {epoch + 1} is {score.loss}", lr)
    return EpochMetrics(
        epoch=epoch + 1,
        lr=rate,
        train_loss=mean_loss,
        train_accuracy=int(right) / train.images,
        recurrence=recurrence(model, objective.form).item() if objective.recurrence else None,
        validation_loss=score.loss if score else None,
        validation_accuracy=score.accuracy if score else None,
        seconds=seconds,
        images_per_second=train.images / seconds,
    )


def _all_finite(model: nn.Module) -> bool:
    """Whether every weight is a number, asked with one synchronisation."""
    return bool(torch.stack([parameter.isfinite().all() for parameter in model.parameters()]).all())


def _diverged(what: str, lr: float) -> TrainingDiverged:
    """What is said of a training that went astray."""
    return TrainingDiverged(f"{what}; the checkpoint before, if any, is kept, try --lr {lr / 10:.3g}")


def step(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    machine: Machine,
    objective: Objective,
) -> tuple[Tensor, Tensor]:
    """One training step: x (b, c, h, w), y (b,) -> (loss without the regulariser, a scalar; logits (b, classes))."""
    with machine.autocast():
        logits = model(x)
    logits = logits.float()
    loss = nn.functional.cross_entropy(logits, y) if objective.loss is None else objective.loss(logits, y, x)
    total = loss
    if objective.recurrence:
        total = loss - objective.recurrence * recurrence(model, objective.form)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(total)
    optimiser.step()
    return loss.detach(), logits.detach()
