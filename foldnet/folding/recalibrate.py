"""Batch norm statistics, estimated again and exactly: pooled sums and squares over all images of some batches."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foldnet.data.batches import Loader
from foldnet.errors import SettingError
from foldnet.training.machine import Machine
from foldnet.training.observer import Observer, Silent
from foldnet.typed import checked

IMAGES = 4096  # enough that the statistics move by less than the folds that they judge

Inputs = tuple[tuple[Any, ...], dict[str, Any]]  # of one call of a network


class _Pool:
    """Sums over the values of one norm, in a loop of one step: count, sum and sum of squares a channel, in float64."""

    def __init__(self, mean: Tensor, variance: Tensor) -> None:
        """`mean` and `variance` are where the norm keeps its running statistics; they hold those of one call when `add` is called."""
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
    """Estimate every batch norm's running mean and variance anew, in place, on about `images` images; returns how many it saw.

    `batches` is a loader of foldnet's, whose epoch 0 is taken, or any iterable of x or (x, y) on the device of the model: x is a tensor
    (n, ...), a tuple of several positional inputs or a dictionary of keyword inputs, and y is not used.

    The forward pass normalises by each batch's own statistics, as training does; everything else is as in evaluation, in which
    the model is left. In a looped network each step has its own statistics. Where a norm is called more than once in a pass, its
    statistics are those of all calls together.
    Raises SettingError where there is no batch, or where one is something else.
    """
    observer = observer or Silent()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    model.eval()
    used = 0
    total = min(images, batches.images) if isinstance(batches, Loader) else images
    with _watched(norms) as pools:
        for norm in norms:
            norm.train()
        observer.begin("recalibrate", total)
        for batch in batches.epoch(0) if isinstance(batches, Loader) else batches:
            inputs, options = inputs_of(batch)
            with machine.autocast() if machine is not None else nullcontext():
                model(*inputs, **options)
            count = len(next(_tensors_in(inputs, options)))
            used += count
            observer.advance(count)
            if used >= images:
                break
        observer.end()
    model.eval()
    if not used:
        raise SettingError("there is no batch to recalibrate on; give an iterable of x or (x, y) that is not used up")
    for pool in pools.values():
        pool.store()
    return used


def inputs_of(batch: Any) -> Inputs:
    """What a network is called with for one batch, x or (x, y). Raises SettingError for a batch without a tensor."""
    x = batch[0] if isinstance(batch, tuple | list) and len(batch) else batch
    inputs: Inputs
    if isinstance(x, Mapping):
        inputs = (), dict(x)
    else:
        inputs = tuple(x) if isinstance(x, tuple | list) else (x,), {}
    if next(_tensors_in(*inputs), None) is None:
        raise SettingError(
            f"a batch is a {type(batch).__name__} without a tensor; give x or (x, y), where x is a tensor, a tuple of positional "
            f"inputs or a dictionary of keyword inputs"
        )
    return inputs


def _tensors_in(inputs: tuple[Any, ...], options: dict[str, Any]) -> Iterator[Tensor]:
    """The tensors among the inputs that have a first dimension, whose length is the number of images."""
    return (value for value in (*inputs, *options.values()) if isinstance(value, Tensor) and value.dim())


@contextmanager
def _watched(norms: list[_BatchNorm]) -> Iterator[dict[int, _Pool]]:
    """Collect each batch's statistics from the norms themselves, by where in memory these keep them.

    With momentum 1 a norm's running statistics are those of its last call, which it computes anyway: torch.var_mean of images
    in channels_last takes as long as all convolutions together. Inside a loop the hooks are handed a view of the norm that has the
    statistics of the step that runs, a row of the stack.
    """
    pools: dict[int, _Pool] = {}

    def forget(norm: _BatchNorm, args: tuple[Tensor, ...]) -> None:
        # What is not a number would stay so, even times (1 - momentum).
        for statistic in _statistics(norm):
            statistic.zero_()

    def collect(norm: _BatchNorm, args: tuple[Tensor, ...], output: Tensor) -> None:
        mean, variance = _statistics(norm)
        pool = pools.setdefault(mean.data_ptr(), _Pool(mean, variance))
        pool.add(args[0].numel() // args[0].shape[1])

    momenta = [norm.momentum for norm in norms]
    handles = [norm.register_forward_pre_hook(forget) for norm in norms]
    handles += [norm.register_forward_hook(collect) for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 1.0
        yield pools
    finally:
        for handle in handles:
            handle.remove()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The running mean and variance of a norm: views of memory, that of the norm or of one step."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    return mean, variance
