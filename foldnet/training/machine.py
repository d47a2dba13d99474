"""What the machine offers, and what foldnet chooses for it."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from foldnet.errors import MissingTool, SettingError
from foldnet.hardware import BF16, cpu_features
from foldnet.training.settings import COMPILE, PRECISIONS
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


def exact_fp32(machine: Machine) -> AbstractContextManager[None]:
    """Keep CUDA from computing fp32 in TF32, whose ten bits are too few for what is promised."""
    return tf32(machine, allowed=False)


@contextmanager
def tf32(machine: Machine, *, allowed: bool) -> Iterator[None]:
    """Let CUDA compute fp32 in TF32 while the block runs, or keep it from doing so."""
    if machine.device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=allowed):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


COMPILERS = ("c++", "g++", "clang++")  # one of these builds what inductor writes for a CPU
TRITON_NEEDS = (7, 0)  # compute capability for which Triton, inductor's other way, writes kernels
WARM_UPS = 3  # of CUDA graphs: the first run warms up, the second is recorded, the third is played


@dataclass(frozen=True, slots=True)
class Compilation:
    """Whether training steps are compiled, in which of torch.compile's modes (None: not compiled), and why."""

    on: bool
    mode: str | None
    why: str


ASKED_FOR = "asked for"
UNCOMPILED = Compilation(False, None, ASKED_FOR)


def choose_compilation(choice: str, machine: Machine) -> Compilation:
    """Resolve "auto", "on" or "off" for a machine.

    "auto" is on for CUDA: there, fused kernels and, in one process alone, CUDA graphs (mode "reduce-overhead") spare
    launches and trips to memory; several processes reduce gradients in between, which a graph would have to be cut for.
    On a CPU it is off: convolutions are nearly all of a step and compiling leaves them as they are. Raises SettingError
    for another word, MissingTool where "on" lacks a compiler.
    """
    if choice not in COMPILE:
        raise SettingError(f"`compile={choice!r}` is not legal; choose {', '.join(COMPILE)}")
    if choice == "off":
        return UNCOMPILED
    on_cuda = machine.device.type == "cuda"
    mode = "reduce-overhead" if on_cuda and machine.world.alone else "default"
    lacking = _lacking(machine)
    if choice == "on":
        if lacking is not None:
            raise MissingTool(f"`compile='on'` needs {lacking}; install it or use `compile='off'`")
        return Compilation(True, mode, ASKED_FOR)
    if not on_cuda:
        return Compilation(False, None, "on a CPU the convolutions are nearly all of a step, and they are not compiled")
    if lacking is not None:
        return Compilation(False, None, f"it needs {lacking}, which is not there")
    graphs = " and CUDA graphs" if mode == "reduce-overhead" else ""
    return Compilation(True, mode, f"fused kernels{graphs} spare launches and trips to memory")


class CompiledForward:
    """A network's forward pass for training batches of one size; any other batch, and evaluation, take the network
    itself.

    So nothing is ever compiled twice for an epoch's last batch. Parameters and buffers are the network's own.
    Shapes: as those of the network.
    """

    def __init__(self, network: nn.Module, compilation: Compilation, batch: int) -> None:
        """`batch` is the number of examples in a regular batch of this process; `network` may be
        DistributedDataParallel's."""
        self.network, self.batch = network, batch
        self._compiled: Callable[[Tensor], Tensor] | None = None
        if compilation.on:
            # Inductor's modes are exclusive; "default" is said as None in older versions, which every version takes.
            mode = None if compilation.mode == "default" else compilation.mode
            self._compiled = torch.compile(network, dynamic=False, mode=mode)

    def __call__(self, x: Tensor) -> Tensor:
        """x (b, c, h, w) -> the network's output."""
        if self._compiled is None or len(x) != self.batch or not self.network.training:
            out: Tensor = self.network(x)
            return out
        if x.device.type == "cuda":
            # The step before is over: its outputs may be written over.
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return self._compiled(x)

    def warm_up(self, x: Tensor, machine: Machine) -> float:
        """Compile, by forward and backward passes over a batch x (b, c, h, w), and return the seconds that it took.

        Nothing is left of them: buffers are put back, gradients taken away, random states kept.
        """
        if self._compiled is None:
            return 0.0
        start = time.perf_counter()
        kept = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        was_training = self.network.training
        self.network.train()
        with seeded(0, machine.device):
            for _ in range(WARM_UPS):
                with machine.autocast():
                    out = self(x)
                torch.autograd.backward(out.float().square().mean())
                self.network.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in self.network.named_buffers():
                buffer.copy_(kept[name])
        self.network.train(was_training)
        if machine.device.type == "cuda":
            torch.cuda.synchronize(machine.device)
        return time.perf_counter() - start


def _lacking(machine: Machine) -> str | None:
    """What inductor needs and does not find."""
    if machine.device.type == "cuda":
        able = find_spec("triton") is not None and torch.cuda.get_device_capability(machine.device) >= TRITON_NEEDS
        return None if able else f"Triton and a GPU of compute capability {TRITON_NEEDS[0]}.{TRITON_NEEDS[1]} or more"
    return None if any(map(shutil.which, COMPILERS)) else "a C++ compiler (g++ or clang++)"
