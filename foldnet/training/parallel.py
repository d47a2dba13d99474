"""One network in several processes: gradients averaged by torch's DistributedDataParallel, batch norm's statistics on
request."""

import warnings
from inspect import signature
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from foldnet.training.machine import Machine


def averaging(model: nn.Module, machine: Machine) -> nn.Module:
    """`model` in torch's DistributedDataParallel."""
    on_gpu = [machine.device] if machine.on_cuda else None
    # Buffers differ between the processes until the end of the epoch, when those of process 0 count.
    newer = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    apart: dict[str, Any] = {"forward_sync_buffers" if newer else "broadcast_buffers": False}
    # Of 1x1 convolutions, whose layout has more than one right description.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    return DistributedDataParallel(model, device_ids=on_gpu, gradient_as_bucket_view=True, **apart)


def synchronise_norms(model: nn.Module, machine: Machine) -> nn.Module:
    """`model` itself, its batch norms normalising by the statistics of the whole batch instead of this process's part.

    torch's SyncBatchNorm on GPUs; on the CPU, where that one raises, the project's own, also where this process is
    alone: torch's plain norm adds up a large batch in fp32 one number after the other, which alone moves gradients by
    up to a per cent.
    """
    if machine.on_cuda:
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for name, module in model.named_children():
        if isinstance(module, _BatchNorm):
            setattr(model, name, SyncedBatchNorm.like(module))
        else:
            synchronise_norms(module, machine)
    return model


def is_synchronised(model: nn.Module) -> bool:
    """Whether `synchronise_norms` found norms in it."""
    return any(isinstance(module, SyncedBatchNorm | nn.SyncBatchNorm) for module in model.modules())


class SyncedBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes. Shapes: x (n, c, ...) -> the same; n may be 0 in some processes."""

    @classmethod
    def like(cls, norm: _BatchNorm) -> "SyncedBatchNorm":
        """A norm with the same parameters and statistics, which it takes over."""
        synced = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        synced._parameters, synced._buffers = norm._parameters, norm._buffers
        synced.training = norm.training
        return synced

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes behind the channels will do."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, and in training take the statistics into account."""
        if not self.training:
            return super().forward(x)
        y, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps)
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked += 1
                rate = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, rate)
                self.running_var.lerp_(variance * count / (count - 1).clamp_min(1), rate)
        normalised: Tensor = y
        return normalised


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) · weight + bias with mean and variance over all processes' values of a
    channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, ...]:
        axes, wide = _axes(x), x.float()
        sums = torch.cat([wide.sum(axes), wide.new_full((1,), x.numel() / x.shape[1])])
        _add_up(sums)
        mean, count = sums[:-1] / sums[-1], sums[-1]
        # Around the mean, not as a difference of squares, which would lose digits.
        squares = (wide - _over(mean, x)).square().sum(axes)
        _add_up(squares)
        variance = squares / count
        inverse = (variance + eps).rsqrt()
        y = (wide - _over(mean, x)) * _over(inverse, x)
        if weight is not None and bias is not None:
            y = y * _over(weight, x) + _over(bias, x)
        ctx.save_for_backward(x, weight, mean, inverse, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        axes, wide = _axes(x), grad.float()
        normalised = (x.float() - _over(mean, x)) * _over(inverse, x)
        own = torch.stack([wide.sum(axes), (wide * normalised).sum(axes)])
        every = own.clone()
        _add_up(every)
        level, slope = every / count
        inner = (wide - _over(level, x) - normalised * _over(slope, x)) * _over(inverse, x)
        if weight is None:
            return inner.to(x.dtype), None, None, None
        return (inner * _over(weight, x)).to(x.dtype), own[1].to(weight.dtype), own[0].to(weight.dtype), None


def _add_up(sums: Tensor) -> None:
    """Put the sum over all processes into `sums`."""
    if dist.is_initialized():
        dist.all_reduce(sums)


def _axes(x: Tensor) -> list[int]:
    """Every axis but the channels'."""
    return [axis for axis in range(x.dim()) if axis != 1]


def _over(channel: Tensor, x: Tensor) -> Tensor:
    """A value a channel, (c,), as it broadcasts over x."""
    return channel.view(-1, *[1] * (x.dim() - 2))
