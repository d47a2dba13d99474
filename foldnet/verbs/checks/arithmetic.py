"""Checks of arithmetic: fp32 that is fp32, forms of one network that are one network, and layouts, precisions and
compiled code that agree. All but the first compare passes of one small soft network over one batch."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy

from foldnet.errors import BrokenPromise, MissingTool, SettingError
from foldnet.proof.compare import LIMIT
from foldnet.proof.prove import apart
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.training.learner import CompiledForward, choose_compilation
from foldnet.training.machine import Machine, choose_machine, seeded
from foldnet.verbs.checks.parts import NotHere, Part
from foldnet.verbs.fold import fold
from foldnet.zoo.blueprint import build

ARCH = "swrn-22-1-2"  # the smallest whose stages have two blocks alike, without which nothing loops
COMPILED_ARCH = "swrn-16-1-2"  # the smallest there is: compiling costs seconds a layer
IMAGE = (3, 8, 8)
IMAGES, CLASSES = 16, 10
SIDE = 256  # of the matrices that are multiplied
SEED = 0
# How far two passes may be apart, relative to the length of the second. A unit of nearly zero is switched on by one
# rounding and off by another, and then all that it adds to a gradient is missing: up to 0.3 % was seen, against 1e-6
# where no unit is so close.
ROUNDING = {"outputs": LIMIT, "loss": LIMIT, "gradients": 0.01}
# bf16 has 8 bits, a rounding of up to 0.4 % in each of 22 layers, which switches units too. Seen with three seeds:
# outputs 0.006 to 0.013, loss at most 0.001, gradients 0.12 to 0.17.
BF16_LIMITS = {"outputs": 0.05, "loss": 0.02, "gradients": 0.3}


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass gave: outputs (n, classes) in fp32 and the type they had, the loss, a gradient for each
    parameter."""

    outputs: Tensor
    kind: torch.dtype
    loss: Tensor
    gradients: tuple[Tensor, ...]

    def to(self, other: "Pass", limits: Mapping[str, float]) -> tuple[Part, ...]:
        """How far this pass is from another, in outputs, loss and gradients."""
        return tuple(
            Part(name, apart(getattr(self, name), getattr(other, name)), limit) for name, limit in limits.items()
        )


def check_fp32(machine: Machine) -> tuple[Part, ...]:
    """Products in exact fp32 against float64: TF32, which keeps 11 of 24 bits, would be off by about 3e-4.

    It is allowed before, as a user may have done, so that it shows whether exact fp32 takes that back.
    """
    numbers = torch.Generator().manual_seed(SEED)
    a, b = torch.randn(2, SIDE, SIDE, generator=numbers)
    image, kernel = torch.randn(4, 32, 16, 16, generator=numbers), torch.randn(32, 32, 3, 3, generator=numbers)
    with machine.tf32(allowed=True), machine.exact_fp32():
        product = torch.mm(a.to(machine.device), b.to(machine.device)).cpu()
        convolved = conv2d(image.to(machine.device), kernel.to(machine.device), padding=1).cpu()
    exact = conv2d(image.double(), kernel.double(), padding=1)
    return (
        Part("matrix product to float64", apart(product.double(), a.double() @ b.double()), LIMIT),
        Part("convolution to float64", apart(convolved.double(), exact), LIMIT),
    )


def check_forms(machine: Machine) -> tuple[Part, ...]:
    """Soft against dense and looped against tied, in exact fp32 on the device."""
    soft, (x, _) = small_network(machine), batch(machine)
    with machine.exact_fp32(), torch.no_grad():
        soft(x)  # so that norms have statistics of their own
        soft.eval()
        dense = materialise(soft)
        folded = fold(soft)
        if not folded.report.loops:
            raise BrokenPromise(f"layers that are alike made no loop in '{machine.device}'; report this as a fault")
        return (
            Part("dense to soft", apart(dense(x), soft(x)), LIMIT),
            Part("looped to tied", apart(folded.looped.eval()(x), folded.tied.eval()(x)), LIMIT),
        )


def check_memory_format(machine: Machine) -> tuple[Part, ...]:
    """The same numbers channels last and channels first."""
    network, (x, y) = small_network(machine), batch(machine)
    with machine.exact_fp32():
        last = run_pass(network, x, y, machine)
        for parameter in network.parameters():
            parameter.data = parameter.data.contiguous()
        return last.to(run_pass(network, x.contiguous(), y, machine), ROUNDING)


def check_bf16(machine: Machine) -> tuple[Part, ...]:
    """A pass in bf16 against one in exact fp32."""
    try:
        coarse = replace(machine, precision=choose_machine(str(machine.device), "bf16").precision)
    except SettingError:
        raise NotHere(f"'{machine.device}' has no bf16") from None
    network, (x, y) = small_network(machine), batch(machine)
    with machine.exact_fp32():
        exact = run_pass(network, x, y, machine)
        rounded = run_pass(network, x, y, coarse)
    if rounded.kind != torch.bfloat16:
        raise BrokenPromise(f"a pass in bf16 on '{machine.device}' gave {rounded.kind}; report this as a fault")
    return rounded.to(exact, BF16_LIMITS)


def check_compile(machine: Machine, mode: str = "default") -> tuple[Part, ...]:
    """A training pass compiled in one of torch.compile's modes against that of the same network as it is."""
    try:
        compilation = replace(choose_compilation("on", machine), mode=mode)
    except MissingTool as error:
        raise NotHere(str(error)) from None
    (x, y), network = batch(machine), small_network(machine, COMPILED_ARCH)
    with machine.exact_fp32(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch warns of while it compiles is no matter of this machine
        eager = run_pass(network, x, y, machine)
        forward = CompiledForward(network, compilation, IMAGES)
        forward.warm_up(x, machine)
        return run_pass(network, x, y, machine, forward).to(eager, ROUNDING)


def check_cuda_graphs(machine: Machine) -> tuple[Part, ...]:
    """A pass that was recorded and is played against an eager one, as training in one process on a GPU does it."""
    if machine.device.type != "cuda":
        raise NotHere("a CPU has no CUDA graphs")
    from torch._dynamo.utils import counters  # it takes a second to import

    before = counters["inductor"]["cudagraph_skips"]
    parts = check_compile(machine, "reduce-overhead")
    if counters["inductor"]["cudagraph_skips"] > before:
        raise NotHere("torch compiled the network but recorded no CUDA graph of it")
    return parts


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
    machine.place(network)
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
