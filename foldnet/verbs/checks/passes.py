"""One small soft network, one batch, one pass forward and backward: what two ways of computing are compared by."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from foldnet.proof.compare import LIMIT
from foldnet.proof.prove import apart
from foldnet.sharing.share import SharedNetwork
from foldnet.training.machine import Machine, place, seeded
from foldnet.verbs.checks.parts import Part
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
