"""Where a network runs: the device, the precision, and the processes that train one network together."""

import json
import platform
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foldnet.errors import SettingError
from foldnet.hardware import BF16, cpu_features, processor_name
from foldnet.options import check_choice
from foldnet.training.settings import PRECISIONS

LISTENING = 12.0  # seconds that a process waits for others to hear its last words: a busy one needs a few to connect


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train one network; one alone is a world of size 1 and skips the collectives.

    This process is number `rank` of `size`, and `local` of the `beside` on its machine; `store` is where they leave
    words. Whatever changes data does so alike in every process.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    beside: int = 1
    store: Any = field(default=None, compare=False)

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files and speaks to the user."""
        return self.rank == 0

    def add_up(self, *tensors: Tensor) -> None:
        """Put the sum over all processes into each tensor."""
        if not self.alone:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def copy_buffers(self, model: nn.Module) -> None:
        """Give every process the buffers (batch norm's statistics) of process 0."""
        if not self.alone:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def tell(self, topic: str, value: Any) -> None:
        """Leave plain data under a name for the other processes."""
        if not self.alone:
            self.store.set(f"foldnet/{topic}", json.dumps(value))

    def tell_before_leaving(self, topic: str, value: Any) -> None:
        """The same of a process that ends then, and the store with it: wait until all others have heard it, or for
        LISTENING seconds, since one of them may be dead."""
        if self.alone:
            return
        self.tell(topic, value)
        deadline = time.monotonic() + LISTENING
        while self.store.add(f"heard/{topic}", 0) < self.size - 1 and time.monotonic() < deadline:
            time.sleep(0.05)

    def hear(self, topic: str) -> Any:
        """What another process left or will leave under a name."""
        value = json.loads(self.store.get(f"foldnet/{topic}"))
        with suppress(RuntimeError, dist.DistError):  # whoever left it may have waited long enough
            self.store.add(f"heard/{topic}", 1)
        return value

    def heard(self, topic: str, seconds: float) -> Any:
        """What another process leaves under a name within so many seconds, else None."""
        deadline = time.monotonic() + seconds
        with suppress(RuntimeError, dist.DistError):  # the store may have gone with its process
            while not self.alone and time.monotonic() < deadline:
                if self.store.check([f"foldnet/{topic}"]):
                    return self.hear(topic)
                time.sleep(0.1)
        return None


ALONE = World()


@dataclass(frozen=True, slots=True)
class Machine:
    """Where, in which precision ("fp32" or "bf16") and with which other processes a network runs."""

    device: torch.device
    precision: str
    world: World = ALONE

    @property
    def on_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def fp32(self) -> Self:
        """The same in fp32."""
        return replace(self, precision="fp32")

    def autocast(self) -> AbstractContextManager[None]:
        """The context in which a forward pass runs."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def exact_fp32(self) -> AbstractContextManager[None]:
        """Keep CUDA from computing fp32 in TF32, whose ten bits are too few for what is promised."""
        return self.tf32(allowed=False)

    @contextmanager
    def tf32(self, *, allowed: bool) -> Iterator[None]:
        """Let CUDA compute fp32 in TF32 while the block runs, or keep it from doing so."""
        if not self.on_cuda:
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if allowed else "highest")
        try:
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=allowed):
                yield
        finally:
            torch.set_float32_matmul_precision(before)

    def place(self, model: nn.Module) -> nn.Module:
        """`model` itself on the device, laid out as that is fastest there (on a CPU the layout of weights is no
        matter)."""
        model.to(self.device)
        return channels_last(model) if self.on_cuda else model

    def put(self, x: Tensor) -> Tensor:
        """Inputs on the device, images (n, c, h, w) laid out channels last."""
        if x.dim() == 4:
            return x.to(self.device, memory_format=torch.channels_last)
        return x.to(self.device)

    def about(self) -> dict[str, Any]:
        """Versions and hardware, for whoever wants to run it again; of a CPU what it offers too, which decides the
        speed."""
        about = {
            "foldnet": version("foldnet"),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "device": str(self.device),
            "processor": torch.cuda.get_device_name(self.device) if self.on_cuda else processor_name(),
            "threads": torch.get_num_threads(),
        }
        return about if self.on_cuda else about | {"features": list(cpu_features())}


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers from `seed` on the CPU and on `device`; their own states, and those of other devices, stay as they
    were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        reseed(seed, device)
        yield


def reseed(seed: int, device: torch.device) -> None:
    """Start the random numbers of the CPU and of `device` anew."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU, and put none back
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def choose_machine(device: str = "auto", precision: str = "auto", world: World = ALONE) -> Machine:
    """Resolve "auto": CUDA where there is one; bf16 on CUDA and on CPUs with AMX or AVX512-BF16, fp32 elsewhere.

    Of several processes each takes the GPU of its number on its machine.
    Raises SettingError for a device that is not there, or that does not offer the precision.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = None
    with suppress(RuntimeError):
        chosen = torch.device(device)
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise SettingError(f"`device={device!r}` is not a device; write cpu, cuda or cuda:0")
    if chosen.type == "cuda":
        chosen = _gpu(device, chosen, world)
    check_choice("precision", precision, PRECISIONS)
    if precision == "auto":
        precision = "bf16" if _has_bf16(chosen, emulated=False) else "fp32"
    if precision == "bf16" and not _has_bf16(chosen, emulated=True):
        raise SettingError(f"`precision='bf16'` is not what '{device}' can do; write fp32")
    return Machine(chosen, precision, world)


def _gpu(device: str, chosen: torch.device, world: World) -> torch.device:
    """The GPU that this process takes. Raises SettingError where there is none for it."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not world.alone and chosen.index is not None:
        raise SettingError(f"`device={device!r}` names one GPU for {world.size} processes; write cuda")
    index = chosen.index or 0 if world.alone else world.local
    if index >= count:
        devices = "device" if count == 1 else "devices"
        process = "" if world.alone else f" for process {world.local} of this machine"
        raise SettingError(
            f"`device={device!r}` is not there{process}: this machine has {count} CUDA {devices}; write `device='cpu'`"
        )
    return chosen if world.alone else torch.device("cuda", index)


def _has_bf16(device: torch.device, *, emulated: bool) -> bool:
    """Whether the device multiplies bf16 numbers, in hardware or `emulated`, which every CPU can and is slower than
    fp32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=emulated))
    return emulated or any(feature in cpu_features() for feature in BF16)


def channels_last(model: nn.Module) -> nn.Module:
    """`model` itself, its weights (O, I, h, w) laid out channels last. (Module.to would refuse a bank's five axes.)"""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model
