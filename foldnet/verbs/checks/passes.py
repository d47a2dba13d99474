"""One small soft network, one batch, one pass forward and backward: what two ways of computing are compared by."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from foldnet.errors import MissingTool
from foldnet.proof.compare import LIMIT
from foldnet.proof.prove import apart
from foldnet.sharing.share import SharedNetwork
from foldnet.training.machine import CompiledForward, Machine, choose_compilation, exact_fp32, place, seeded
from foldnet.verbs.checks.parts import NotHere, Part
from foldnet.zoo.build import build

ARCH = "swrn-22-1-2"  # the smallest whose stages have two blocks alike, without which nothing loops
IMAGE = (3, 8, 8)
IMAGES, CLASSES = 16, 10
SEED = 0


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass gave: outputs (n, classes) in fp32 and the type they had, the loss, a gradient for each
    parameter."""

    outputs: Tensor
    kind: torch.dtype
    loss: Tensor
    gradients: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far two passes may be apart, relative to the length of the second."""

    outputs: float
    loss: float
    gradients: float


# A unit of nearly zero is switched on by one rounding and off by another, and then all that it adds to a gradient is
# missing:
# up to 0.3 % was seen, against 1e-6 where no unit is so close.
ROUNDING = Limits(outputs=LIMIT, loss=LIMIT, gradients=0.01)


def small_network(machine: Machine, arch: str = ARCH) -> SharedNetwork:
    """The same soft network everywhere, on the machine's device, in training mode; the layers of each group are alike
    in pairs."""
    with seeded(SEED, torch.device("cpu")):
        network = build(arch, classes=CLASSES, channels=IMAGE[0])
    assert isinstance(network, SharedNetwork)
    with torch.no_grad():
        for bank in network.sources.values():
            coefficients = bank.get_parameter("coefficients")
            coefficients[2:] = -0.5 * coefficients[:-2]
    place(network, machine)
    return network.train()


def batch(machine: Machine) -> tuple[Tensor, Tensor]:
    """x (n, 3, 8, 8), channels last, and labels y (n,), the same everywhere."""
    numbers = torch.Generator().manual_seed(SEED)
    x = torch.randn(IMAGES, *IMAGE, generator=numbers)
    y = torch.randint(CLASSES, (IMAGES,), generator=numbers)
    return x.to(machine.device, memory_format=torch.channels_last), y.to(machine.device)


def run_pass(
    network: nn.Module, x: Tensor, y: Tensor, machine: Machine, run: Callable[[Tensor], Tensor] | None = None
) -> Pass:
    """Forward and backward over x (n, c, h, w), y (n,), in the machine's precision; `run` is how the network is run
    where not by itself."""
    network.zero_grad(set_to_none=True)
    with machine.autocast():
        outputs = (run or network)(x)
    kind, outputs = outputs.dtype, outputs.float()
    loss = cross_entropy(outputs, y)
    torch.autograd.backward(loss)
    # Copies: CUDA graphs write over what they gave before.
    gradients = tuple(parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None)
    return Pass(outputs.detach().clone(), kind, loss.detach().clone(), gradients)


def differences(one: Pass, other: Pass, limits: Limits) -> tuple[Part, ...]:
    """How far the first pass is from the second, in outputs, loss and gradients."""
    return (
        Part("outputs", apart(one.outputs, other.outputs), limits.outputs),
        Part("loss", apart(one.loss, other.loss), limits.loss),
        Part("gradients", apart(one.gradients, other.gradients), limits.gradients),
    )


COMPILED_ARCH = "swrn-16-1-2"  # the smallest there is: compiling costs seconds a layer


def check_compile(machine: Machine) -> tuple[Part, ...]:
    """A compiled pass against an eager one."""
    return _compiled_to_eager(machine, "default")


def check_cuda_graphs(machine: Machine) -> tuple[Part, ...]:
    """A pass that was recorded and is played against an eager one, as training in one process on a GPU does it."""
    if machine.device.type != "cuda":
        raise NotHere("a CPU has no CUDA graphs")
    from torch._dynamo.utils import counters  # it takes a second to import

    before = counters["inductor"]["cudagraph_skips"]
    parts = _compiled_to_eager(machine, "reduce-overhead")
    if counters["inductor"]["cudagraph_skips"] > before:
        raise NotHere("torch compiled the network but recorded no CUDA graph of it")
    return parts


def _compiled_to_eager(machine: Machine, mode: str) -> tuple[Part, ...]:
    """How far a training pass compiled in one of torch.compile's modes is from that of the same network as it is."""
    try:
        compilation = replace(choose_compilation("on", machine), mode=mode)
    except MissingTool as error:
        raise NotHere(str(error)) from None
    (x, y), network = batch(machine), small_network(machine, COMPILED_ARCH)
    with exact_fp32(machine), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch warns of while it compiles is no matter of this machine
        eager = run_pass(network, x, y, machine)
        forward = CompiledForward(network, compilation, IMAGES)
        forward.warm_up(x, machine)
        compiled = run_pass(network, x, y, machine, forward)
    return differences(compiled, eager, ROUNDING)
