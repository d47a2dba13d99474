"""Checks of arithmetic: fp32 that is fp32, forms of one network that are one network, layouts and precisions that
agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from foldnet.errors import BrokenPromise, SettingError
from foldnet.program.data import loops_in
from foldnet.proof.compare import LIMIT
from foldnet.proof.prove import apart
from foldnet.sharing.share import materialise
from foldnet.training.machine import Machine, choose_machine, exact_fp32
from foldnet.verbs.checks.parts import NotHere, Part
from foldnet.verbs.checks.passes import ROUNDING, SEED, Limits, batch, differences, run_pass, small_network
from foldnet.verbs.fold_memory import fold_network

SIDE = 256  # of the matrices that are multiplied
# bf16 has 8 bits, a rounding of up to 0.4 % in each of 22 layers, which switches units too. Seen with three seeds:
# outputs 0.006 to
# 0.013, loss at most 0.001, gradients 0.12 to 0.17.
BF16_LIMITS = Limits(outputs=0.05, loss=0.02, gradients=0.3)


def check_fp32(machine: Machine) -> tuple[Part, ...]:
    """Products in exact fp32 against float64: TF32, which keeps 11 of 24 bits, would be off by about 3e-4."""
    numbers = torch.Generator().manual_seed(SEED)
    a, b = torch.randn(2, SIDE, SIDE, generator=numbers)
    image, kernel = torch.randn(4, 32, 16, 16, generator=numbers), torch.randn(32, 32, 3, 3, generator=numbers)
    with _tf32_allowed(machine), exact_fp32(machine):
        product = _multiply(a.to(machine.device), b.to(machine.device))
        convolved = conv2d(image.to(machine.device), kernel.to(machine.device), padding=1)
    return (
        Part("matrix product to float64", apart(product.cpu().double(), a.double() @ b.double()), LIMIT),
        Part(
            "convolution to float64",
            apart(convolved.cpu().double(), conv2d(image.double(), kernel.double(), padding=1)),
            LIMIT,
        ),
    )


def check_forms(machine: Machine) -> tuple[Part, ...]:
    """Soft against dense and looped against tied, in exact fp32 on the device."""
    soft, (x, _) = small_network(machine), batch(machine)
    with exact_fp32(machine), torch.no_grad():
        soft(x)  # so that norms have statistics of their own
        soft.eval()
        dense = materialise(soft)
        looped, tied, plan = fold_network(soft)
        if not any(any(loops_in(stage.items)) for stage in plan.program.stages):
            raise BrokenPromise(f"layers that are alike made no loop in '{machine.device}'; report this as a fault")
        return (
            Part("dense to soft", apart(dense(x), soft(x)), LIMIT),
            Part("looped to tied", apart(looped.eval()(x), tied.eval()(x)), LIMIT),
        )


def check_memory_format(machine: Machine) -> tuple[Part, ...]:
    """The same numbers channels last and channels first."""
    network, (x, y) = small_network(machine), batch(machine)
    with exact_fp32(machine):
        last = run_pass(network, x, y, machine)
        for parameter in network.parameters():
            parameter.data = parameter.data.contiguous()
        first = run_pass(network, x.contiguous(), y, machine)
    return differences(last, first, ROUNDING)


def check_bf16(machine: Machine) -> tuple[Part, ...]:
    """A pass in bf16 against one in exact fp32."""
    try:
        coarse = replace(machine, precision=choose_machine(str(machine.device), "bf16").precision)
    except SettingError:
        raise NotHere(f"'{machine.device}' has no bf16") from None
    network, (x, y) = small_network(machine), batch(machine)
    with exact_fp32(machine):
        exact = run_pass(network, x, y, machine)
        rounded = run_pass(network, x, y, coarse)
    if rounded.kind != torch.bfloat16:
        raise BrokenPromise(f"a pass in bf16 on '{machine.device}' gave {rounded.kind}; report this as a fault")
    return differences(rounded, exact, BF16_LIMITS)


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """a (n, n) times b (n, n)."""
    return a @ b


@contextmanager
def _tf32_allowed(machine: Machine) -> Iterator[None]:
    """Let CUDA compute in TF32, as a user may have, so that it shows whether exact fp32 takes that back."""
    if machine.device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=True):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
