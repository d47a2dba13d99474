"""What the machine offers, and what foldnet chooses for it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from foldnet.config import PRECISIONS
from foldnet.errors import SettingError
from foldnet.hardware import BF16, cpu_features
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
    """Random numbers from `seed` on the CPU and on `device`; their own states, and those of other devices, stay as they were."""
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


def choose_machine(device: str = "auto", precision: str = "auto") -> Machine:
    """Resolve "auto": CUDA where there is one; bf16 on CUDA and on CPUs with AMX or AVX512-BF16, fp32 elsewhere.

    Raises SettingError for a device that is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise SettingError(f"--device '{device}' is not a device; write cpu, cuda or cuda:0")
    if chosen.type == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or (chosen.index or 0) >= count:
            raise SettingError(
                f"--device '{device}' is not there: this machine has {count} CUDA devices; write --device cpu"
            )
    if precision not in PRECISIONS:
        raise SettingError(f"--precision '{precision}' is not legal; choose {', '.join(PRECISIONS)}")
    if precision == "auto":
        precision = "bf16" if _fast_bf16(chosen) else "fp32"
    return Machine(chosen, precision)


def channels_last(model: nn.Module) -> nn.Module:
    """`model` itself, its weights (O, I, h, w) laid out channels last. (Module.to would refuse a bank's five axes.)"""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


def _fast_bf16(device: torch.device) -> bool:
    """Whether bf16 arithmetic is in the hardware; emulated bf16 is slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(feature in cpu_features() for feature in BF16)
