"""Checks of torch.compile: that it can be had, and that what is compiled, and what CUDA graphs play, is the network's
own pass."""

import warnings
from dataclasses import replace

from foldnet.errors import MissingTool
from foldnet.training.compile import CompiledForward, choose_compilation
from foldnet.training.machine import Machine, exact_fp32
from foldnet.verbs.checks.parts import NotHere, Part
from foldnet.verbs.checks.passes import IMAGES, ROUNDING, batch, differences, run_pass, small_network

ARCH = "swrn-16-1-2"  # the smallest there is: compiling costs seconds a layer


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
    (x, y), network = batch(machine), small_network(machine, ARCH)
    with exact_fp32(machine), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch warns of while it compiles is no matter of this machine
        eager = run_pass(network, x, y, machine)
        forward = CompiledForward(network, compilation, IMAGES)
        forward.warm_up(x, machine)
        compiled = run_pass(network, x, y, machine, forward)
    return differences(compiled, eager, ROUNDING)
