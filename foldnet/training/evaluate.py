"""Counting right answers."""

import time
from dataclasses import dataclass

import torch
from torch import nn

from foldnet.data.batches import Loader
from foldnet.training.machine import Machine
from foldnet.training.observer import Observer, Silent


@dataclass(frozen=True, slots=True)
class Score:
    """How many of how many images were classified right, the mean loss in nats, and the speed."""

    right: int
    images: int
    loss: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of images classified right, 0..1."""
        return self.right / self.images

    @property
    def images_per_second(self) -> float:
        """Throughput of this evaluation."""
        return self.images / max(self.seconds, 1e-9)


@torch.no_grad()
def evaluate(model: nn.Module, loader: Loader, machine: Machine, observer: Observer | None = None) -> Score:
    """Classify every image of the loader, in order and without augmentation; the model is left in evaluation mode."""
    observer = observer or Silent()
    model.eval()
    right = torch.zeros((), dtype=torch.int64, device=machine.device)
    loss = torch.zeros((), dtype=torch.float64, device=machine.device)
    start = time.perf_counter()
    observer.begin("evaluate", len(loader))
    for x, y in loader.in_order():
        with machine.autocast():
            logits = model(x)
        right += (logits.argmax(1) == y).sum()
        loss += nn.functional.cross_entropy(logits.float(), y, reduction="sum")
        observer.advance()
    count, total = int(right), float(loss)  # the only synchronisation
    observer.end()
    return Score(count, loader.images, total / max(loader.images, 1), time.perf_counter() - start)
