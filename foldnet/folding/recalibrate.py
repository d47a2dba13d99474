"""Batch norm statistics, estimated again and exactly: pooled sums and squares over all images of some batches."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldnet.data.batches import Loader
from foldnet.folding.looped import LoopedStage
from foldnet.folding.stepped import SteppedBlock
from foldnet.training.machine import Machine
from foldnet.training.observer import Observer, Silent
from foldnet.typed import checked

IMAGES = 4096  # enough that the statistics move by less than the folds that they judge


@dataclass
class _Pool:
    """Sums over values of one norm at one step: count, sum and sum of squares a channel, in float64."""

    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))


@checked
@torch.no_grad()
def recalibrate(
    model: nn.Module,
    loader: Loader,
    machine: Machine,
    *,
    images: int = IMAGES,
    observer: Observer | None = None,
) -> int:
    """Estimate every batch norm's running mean and variance anew, in place, on about `images` training images.

    The forward pass normalises by each batch's own statistics, as training does; everything else is as in evaluation. In a
    looped network each step has its own statistics. Returns the number of images used.
    """
    observer = observer or Silent()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    model.eval()
    pools: dict[tuple[nn.Module, int], _Pool] = {}
    used = 0
    with _watched(norms, pools) as calls:
        for norm in norms:
            norm.train()
        observer.begin("recalibrate", min(images, loader.images))
        for x, _ in loader.epoch(0):
            calls.clear()
            with machine.autocast():
                model(x)
            used += len(x)
            observer.advance(len(x))
            if used >= images:
                break
        observer.end()
    model.eval()
    steps = _steps(model)
    for (module, call), pool in pools.items():
        _store(module, steps[module][call] if module in steps else None, pool)
    return used


@contextmanager
def _watched(norms: list[_BatchNorm], pools: dict[tuple[nn.Module, int], _Pool]) -> Iterator[Counter[nn.Module]]:
    """Collect each batch's statistics from the norms themselves; the yielded counter numbers their calls within one pass.

    With momentum 1 a norm's running statistics are those of its last batch, which it computes anyway: torch.var_mean of images
    in channels_last takes as long as all convolutions together.
    """
    calls: Counter[nn.Module] = Counter()

    def forget(norm: _BatchNorm, args: tuple[Tensor, ...]) -> None:
        # What is not a number would stay so, even times (1 - momentum). A norm that loops has a slice for each of its steps.
        _statistic(norm, "running_mean").zero_()
        _statistic(norm, "running_var").zero_()

    def collect(norm: _BatchNorm, args: tuple[Tensor, ...], output: Tensor) -> None:
        pool = pools.setdefault((norm, calls[norm]), _Pool())
        calls[norm] += 1
        count = args[0].numel() // args[0].shape[1]
        mean, variance = (_statistic(norm, name).double() for name in ("running_mean", "running_var"))
        pool.count += count
        pool.total = pool.total.to(mean) + count * mean
        pool.squares = pool.squares.to(mean) + (count - 1) * variance + count * mean**2

    momenta = [norm.momentum for norm in norms]
    handles = [norm.register_forward_pre_hook(forget) for norm in norms]
    handles += [norm.register_forward_hook(collect) for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 1.0
        yield calls
    finally:
        for handle in handles:
            handle.remove()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _statistic(norm: _BatchNorm, name: str) -> Tensor:
    """A running statistic as the norm sees it at this moment: inside a loop that of the step that runs."""
    tensor = getattr(norm, name)
    assert isinstance(tensor, Tensor)
    return tensor


def _steps(model: nn.Module) -> dict[nn.Module, list[int]]:
    """Of every norm inside a looped block: which of its steps its first, second, ... call is."""
    steps: dict[nn.Module, list[int]] = {}
    for stage in model.modules():
        if not isinstance(stage, LoopedStage):
            continue
        for label, block in stage.blocks.items():
            if isinstance(block, SteppedBlock):
                order = [step for used, step in stage.schedule if used == label]
                steps.update(dict.fromkeys(block.body.modules(), order))
    return steps


def _store(norm: nn.Module, step: int | None, pool: _Pool) -> None:
    """Put pooled statistics where the norm keeps its running ones (unbiased variance, as torch does)."""
    mean = pool.total / pool.count
    variance = (pool.squares / pool.count - mean**2).clamp_min(0) * (pool.count / max(pool.count - 1, 1))
    for name, value in (("running_mean", mean), ("running_var", variance)):
        kept = norm.get_buffer(name)
        (kept if step is None else kept[step]).copy_(value)
