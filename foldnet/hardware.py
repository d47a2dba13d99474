"""What the hardware is: processor, GPUs and memory, asked without changing anything."""

import os
import platform
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

# What torch can be asked about a processor; the questions are not public and may go away, which means no.
FEATURES = {
    "AMX": "_is_amx_tile_supported",
    "AVX512-BF16": "_is_avx512_bf16_supported",
    "AVX512-VNNI": "_is_vnni_supported",
    "AVX512": "_is_avx512_supported",
    "AVX2": "_is_avx2_supported",
}
BF16 = ("AMX", "AVX512-BF16")  # either of these multiplies bf16 numbers in hardware
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Processor:
    """The CPU: `cores` are those that this process may use, of `logical`; `load` is the mean of the last minute, if
    known."""

    computed: ClassVar = ("bf16",)
    name: str
    cores: int
    logical: int
    features: tuple[str, ...]
    load: float | None

    @property
    def bf16(self) -> str | None:
        """The feature that multiplies bf16 numbers in hardware; None where they would be emulated."""
        return next((feature for feature in BF16 if feature in self.features), None)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A CUDA device; `bf16` where its hardware has it."""

    name: str
    memory_bytes: int
    capability: str
    bf16: bool


def processor() -> Processor:
    """The CPU of this machine."""
    load = None
    with suppress(OSError, AttributeError):
        load = os.getloadavg()[0]
    return Processor(processor_name(), cores(), os.cpu_count() or 1, cpu_features(), load)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_features() -> tuple[str, ...]:
    """Which of FEATURES this processor has."""
    import torch  # 2 s, which the number of cores and the memory need not wait for

    return tuple(name for name, question in FEATURES.items() if getattr(torch.cpu, question, bool)())


def processor_name() -> str:
    """As its maker calls it, where the system tells; else its architecture."""
    names: list[str] = []
    with suppress(OSError, subprocess.SubprocessError):
        if platform.system() == "Linux":
            lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        elif platform.system() == "Darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            names = [subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()]
    return next((name for name in names if name), platform.processor() or platform.machine())


def gpus() -> tuple[Gpu, ...]:
    """The CUDA devices that torch sees."""
    import torch

    def gpu(index: int) -> Gpu:
        about = torch.cuda.get_device_properties(index)
        with torch.cuda.device(index):
            bf16 = bool(torch.cuda.is_bf16_supported(including_emulation=False))
        return Gpu(about.name, int(about.total_memory), f"{about.major}.{about.minor}", bf16)

    return tuple(map(gpu, range(torch.cuda.device_count() if torch.cuda.is_available() else 0)))


def memory_bytes() -> tuple[int | None, int | None]:
    """(all, free) bytes of memory that this process may use; None where the system does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None, None
    free = None
    with suppress(OSError, KeyError, ValueError):
        entries = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(entries["MemAvailable"].split()[0]) * 1024
    with suppress(OSError, ValueError):  # a container may be given less; without a limit it says "max"
        total = min(total, int(CGROUP_LIMIT.read_text()))
    return total, free if free is None else min(free, total)
