"""How long a call takes beside others and where, how much memory it holds at its worst, and how many operations it
counts."""

import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

LEAST_SECONDS = 0.02  # a sample this long is well above the clock's grain; shorter calls are repeated within it


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds a call, one sample a round. Samples of one round stand beside each other, so that ratios pair them."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle sample."""
        return median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between these lies the middle half of the samples."""
        lower, upper = np.quantile(self.samples, (0.25, 0.75))
        return float(lower), float(upper)

    def ratio(self, base: "Timings") -> "Timings":
        """This by `base`, round by round: what slows a whole round down cancels out."""
        return Timings(tuple(own / other for own, other in zip(self.samples, base.samples, strict=True)))


def time_in_turns(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    device: torch.device,
    least_seconds: float = LEAST_SECONDS,
    after_round: Callable[[], None] = lambda: None,
) -> dict[str, Timings]:
    """Time some calls in turns, each once a round, starting with another one in every round.

    Each is run twice to warm up; the second run says how often a sample repeats it.
    """
    counts = {}
    for name, call in calls.items():
        call()
        counts[name] = max(1, round(least_seconds / max(_seconds(call, 1, device), 1e-9)))
    names = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(_seconds(calls[name], counts[name], device))
        after_round()
    return {name: Timings(tuple(values)) for name, values in samples.items()}


@torch.no_grad()
def peak_bytes(model: nn.Module, call: Callable[[], object], inputs: Tensor) -> int:
    """Bytes of tensors that are alive at the worst moment of `call`, the model's own and `inputs` included.

    On CUDA as the allocator counts them. On a CPU every storage is followed from the operation that makes it until it
    is freed: that is exact and repeatable, but does not see what an operation uses only within itself.
    """
    known = [*model.parameters(), *model.buffers(), inputs]
    own = sum({_storage(tensor).data_ptr(): int(_storage(tensor).nbytes()) for tensor in known}.values())
    if inputs.device.type == "cuda":
        torch.cuda.synchronize(inputs.device)
        torch.cuda.reset_peak_memory_stats(inputs.device)
        before = torch.cuda.memory_allocated(inputs.device)
        call()
        torch.cuda.synchronize(inputs.device)
        return own + int(torch.cuda.max_memory_allocated(inputs.device)) - int(before)
    with (counter := _StorageCounter(known)):
        call()
    return own + counter.peak


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations in the matrix products and convolutions of `call`, a multiplication and an addition
    being two."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def profile(call: Callable[[], object], *, calls: int, device: torch.device) -> dict[str, float]:
    """Seconds that one `call` spends in each operator itself, the costliest first, by torch's profiler over some calls.

    On CUDA the seconds are those of the kernels, on the device. What is below a thousandth of all is summed up as
    "other".
    """
    on_cuda = device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * on_cuda
    with torch.profiler.profile(activities=kinds) as profiler:
        for _ in range(calls):
            call()
        _wait(device)
    spent: dict[str, float] = {}
    for event in profiler.key_averages():
        microseconds = event.self_device_time_total if on_cuda else event.self_cpu_time_total
        spent[event.key] = spent.get(event.key, 0.0) + microseconds / 1e6 / calls
    return largest(dict(sorted(spent.items(), key=lambda item: -item[1])), 0.001)


def largest(spent: Mapping[str, float], share: float) -> dict[str, float]:
    """Seconds by operator, those summed up as "other" that are below a share of all."""
    total = sum(spent.values())
    large = {name: seconds for name, seconds in spent.items() if seconds >= share * total and name != "other"}
    return large | {"other": total - sum(large.values())}


class _StorageCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make while it is active, and takes them away as they are freed."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = 0
        self.seen: dict[int, object] = {_storage(tensor)._cdata: None for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor) and _storage(value)._cdata not in self.seen:
                self._follow(_storage(value))
        return out

    def _follow(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is freed; a later one may get its address."""
        address, size = storage._cdata, storage.nbytes()

        def freed(_: object) -> None:
            self.seen.pop(address, None)
            self.alive -= size

        self.seen[address] = weakref.ref(storage, freed)
        self.alive += size
        self.peak = max(self.peak, self.alive)


def _seconds(call: Callable[[], object], count: int, device: torch.device) -> float:
    """Mean seconds of `count` calls, the device's queue emptied before and after."""
    _wait(device)
    start = time.perf_counter()
    for _ in range(count):
        call()
    _wait(device)
    return (time.perf_counter() - start) / count


def _wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    """Where a tensor's numbers lie."""
    return tensor.untyped_storage()
