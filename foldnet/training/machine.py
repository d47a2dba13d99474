"""What the machine offers, and what foldnet chooses for it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from foldnet.errors import SettingError
from foldnet.hardware import BF16, cpu_features
from foldnet.training.settings import PRECISIONS
from foldnet.training.world import ALONE, World


@dataclass(frozen=True, slots=True)
class Machine:
    """Where, in which precision ("fp32" or "bf16") and with which other processes the network runs."""

    device: torch.device
    precision: str
    world: World = ALONE

    def autocast(self) -> AbstractContextManager[None]:
        """The context in which a forward pass runs."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers from `seed` on the CPU and on `device`; their own states, and those of other devices, stay as they
    were."""
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if on_cuda else []):
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
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise SettingError(f"`device={device!r}` is not a device; write cpu, cuda or cuda:0")
    if chosen.type == "cuda":
        chosen = _gpu(device, chosen, world)
    if precision not in PRECISIONS:
        raise SettingError(f"`precision={precision!r}` is not legal; choose {', '.join(PRECISIONS)}")
    if precision == "auto":
        precision = "bf16" if _fast_bf16(chosen) else "fp32"
    if precision == "bf16" and not _any_bf16(chosen):
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


def channels_last(model: nn.Module) -> nn.Module:
    """`model` itself, its weights (O, I, h, w) laid out channels last. (Module.to would refuse a bank's five axes.)"""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


def place(model: nn.Module, machine: Machine) -> nn.Module:
    """`model` itself on the machine's device, laid out as that is fastest there (on a CPU the layout of weights is no
    matter)."""
    model.to(machine.device)
    return channels_last(model) if machine.device.type == "cuda" else model


def _any_bf16(device: torch.device) -> bool:
    """Whether the device can do bf16 arithmetic at all."""
    if device.type != "cuda":
        return True
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported())


def _fast_bf16(device: torch.device) -> bool:
    """Whether bf16 arithmetic is in the hardware; emulated bf16 is slower than fp32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(feature in cpu_features() for feature in BF16)


@contextmanager
def exact_fp32(machine: Machine) -> Iterator[None]:
    """Keep CUDA from computing fp32 in TF32, whose ten bits are too few for what is promised."""
    if machine.device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
