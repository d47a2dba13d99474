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

IMAGES = 4096  # enough that the statistics move by less than the folds that they judge


@dataclass
class _Pool:
    """Sums over values of one norm at one step: count, sum and sum of squares a channel, in float64."""

    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))


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
    """Collect what enters each norm; the yielded counter numbers its calls within one forward pass."""
    calls: Counter[nn.Module] = Counter()

    def collect(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        x = args[0].detach()
        pool = pools.setdefault((norm, calls[norm]), _Pool())
        calls[norm] += 1
        axes = [axis for axis in range(x.dim()) if axis != 1]
        variance, mean = torch.var_mean(x.float(), dim=axes, correction=0)
        count, mean = x.numel() // x.shape[1], mean.double()
        pool.count += count
        pool.total = pool.total.to(mean) + count * mean
        pool.squares = pool.squares.to(mean) + count * (variance.double() + mean**2)

    # A norm that loops has stacked statistics, of which each call sees a slice: what it writes there is replaced below.
    handles = [norm.register_forward_pre_hook(collect) for norm in norms]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


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
