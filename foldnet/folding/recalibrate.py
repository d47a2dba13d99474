"""Batch norm statistics, estimated again and exactly: pooled sums and squares over all images of some batches."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldnet.bounds import checked
from foldnet.data.batches import Loader
from foldnet.errors import SettingError
from foldnet.folding.calling import Inputs, batches_of, count_of, inputs_of, refuse_nan, run_on
from foldnet.training.machine import Machine
from foldnet.training.observer import Observer, Silent

NOTHING_ANEW = "the network has no batch norm, so that there is nothing to recalibrate"  # said where it is asked for
IMAGES = 4096  # enough that the statistics move by less than the folds that they judge


def keeps_statistics(model: nn.Module) -> bool:
    """Whether there is anything to estimate anew: layer norm, say, keeps no statistics."""
    return any(_keeps(module) for module in model.modules())


def _keeps(module: nn.Module) -> bool:
    """Whether a module is a batch norm with running statistics."""
    return isinstance(module, _BatchNorm) and bool(module.track_running_stats)


class _Pool:
    """Sums over the values of one norm, in a loop of one step: count, sum and sum of squares a channel, in float64."""

    def __init__(self, mean: Tensor, variance: Tensor) -> None:
        """`mean` and `variance` are where the norm keeps its running statistics; they hold those of one call when `add`
        is called."""
        self.mean, self.variance = mean, variance
        self.count = 0
        self.total, self.squares = torch.zeros_like(mean.double()), torch.zeros_like(mean.double())

    def add(self, count: int) -> None:
        """One more call, over `count` values a channel."""
        mean, variance = self.mean.double(), self.variance.double()
        self.count += count
        self.total += count * mean
        self.squares += (count - 1) * variance + count * mean**2

    def store(self) -> None:
        """Put the pooled statistics where the norm keeps its running ones (unbiased variance, as torch does)."""
        mean = self.total / self.count
        variance = (self.squares / self.count - mean**2).clamp_min(0) * (self.count / max(self.count - 1, 1))
        self.mean.copy_(mean)
        self.variance.copy_(variance)


@checked
@torch.no_grad()
def recalibrate(
    model: nn.Module,
    batches: Loader | Iterable[Any],
    machine: Machine | None = None,
    *,
    images: int = IMAGES,
    observer: Observer | None = None,
) -> int:
    """Estimate every batch norm's running mean and variance anew, in place, on about `images` images; returns how many
    it saw.

    `batches` is a loader of foldnet's, whose epoch 0 is taken, or any iterable of x or (x, y) on the device of the
    model: x is a tensor (n, ...), a tuple of several positional inputs or a dictionary of keyword inputs, and y is not
    used. A tensor is one batch.

    The forward pass normalises by each batch's own statistics, as training does; everything else is as in evaluation,
    in which the model is left. In a looped network each step has its own statistics. Where a norm is called more than
    once in a pass, its statistics are those of all calls together. Raises SettingError where there is no batch, or
    where one is something else, holds NaN, or is not what the network takes; the statistics are then as they were.
    """
    observer = observer or Silent()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and _keeps(module)]
    model.eval()
    used = 0
    total = min(images, batches.images) if isinstance(batches, Loader) else images
    with _watched(norms) as pools:
        observer.begin("recalibrate", total)
        for inputs, options in _calls(batches):
            with machine.autocast() if machine is not None else nullcontext(), run_on(inputs, options):
                model(*inputs, **options)
            count = count_of((inputs, options))
            used += count
            observer.advance(count)
            if used >= images:
                break
        observer.end()
        if not used:
            raise SettingError("there is no batch to recalibrate on; give an iterable of x or (x, y) not used up")
    for pool in pools.values():
        pool.store()
    return used


def _calls(batches: Loader | Iterable[Any]) -> Iterator[Inputs]:
    """What the network is called with, batch by batch. Raises SettingError for what a user's batch may not be."""
    if isinstance(batches, Loader):
        yield from (((x,), {}) for x, _ in batches.epoch(0))
        return
    for batch in batches_of(batches):
        inputs = inputs_of(batch)
        refuse_nan(inputs)
        if count_of(inputs):
            yield inputs


@contextmanager
def _watched(norms: list[_BatchNorm]) -> Iterator[dict[int, _Pool]]:
    """Collect each batch's statistics from the norms themselves, by where in memory these keep them; errors leave them
    as they were.

    With momentum 1 a norm's running statistics are those of its last call, which it computes anyway: torch.var_mean of
    images in channels_last takes as long as all convolutions together. Inside a loop the hooks are handed a view of the
    norm that has the statistics of the step that runs, a row of the stack.
    """
    pools: dict[int, _Pool] = {}

    def forget(norm: _BatchNorm, args: tuple[Tensor, ...]) -> None:
        # What is not a number would stay so, even times (1 - momentum).
        for statistic in statistics_of(norm):
            statistic.zero_()

    def collect(norm: _BatchNorm, args: tuple[Tensor, ...], output: Tensor) -> None:
        mean, variance = statistics_of(norm)
        pool = pools.setdefault(mean.data_ptr(), _Pool(mean, variance))
        pool.add(args[0].numel() // args[0].shape[1])

    before = [(statistic, statistic.clone()) for norm in norms for statistic in statistics_of(norm)]
    with ExitStack() as after:
        for norm in norms:
            after.enter_context(norm.register_forward_pre_hook(forget))
            after.enter_context(norm.register_forward_hook(collect))
            after.callback(setattr, norm, "momentum", norm.momentum)
            after.callback(norm.eval)
            norm.momentum = 1.0
            norm.train()
        try:
            yield pools
        except BaseException:
            for statistic, value in before:
                statistic.copy_(value)
            raise


def statistics_of(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The running mean and variance of a norm: views of memory, that of the norm or of one step."""
    return norm.running_mean, norm.running_var  # type: ignore[return-value]  # norms without them are left alone
