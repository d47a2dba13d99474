"""Compiling: what is chosen where, and that compiled steps are the network's own."""

import re
import shutil

import pytest
import torch
from torch import nn

from foldnet.errors import MissingTool, SettingError
from foldnet.store.codec import to_plain
from foldnet.training import learner as compiling
from foldnet.training.learner import Compilation, CompiledForward, choose_compilation
from foldnet.training.machine import Machine, World

CPU = Machine(torch.device("cpu"), "fp32")
CUDA = Machine(torch.device("cuda"), "bf16")
SEVERAL = Machine(torch.device("cuda"), "bf16", World(0, 2))
OFF = Compilation(False, None, "asked for")
ON = Compilation(True, "default", "asked for")


@pytest.fixture
def lacking(monkeypatch):
    """Plays what the machine lacks: lacking(None) is nothing."""

    def play(what):
        monkeypatch.setattr(compiling, "_lacking", lambda machine: what)

    return play


@pytest.mark.parametrize(
    ("choice", "machine", "what", "on", "mode"),
    [
        ("off", CUDA, None, False, None),
        ("on", CPU, None, True, "default"),
        ("on", CUDA, None, True, "reduce-overhead"),
        ("auto", CPU, None, False, None),
        ("auto", CUDA, None, True, "reduce-overhead"),
        ("auto", CUDA, "Triton", False, None),
        ("auto", SEVERAL, None, True, "default"),
        ("on", SEVERAL, None, True, "default"),
    ],
)
def test_what_is_chosen(lacking, choice, machine, what, on, mode):
    lacking(what)
    found = choose_compilation(choice, machine)
    assert (found.on, found.mode) == (on, mode)
    assert found.why
    assert to_plain(found) == {"on": on, "mode": mode, "why": found.why}


def test_what_is_refused(lacking):
    sentence = "`compile='maybe'` is not legal; choose auto, on or off"
    with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
        choose_compilation("maybe", CPU)
    lacking("a C++ compiler (g++ or clang++)")
    sentence = "`compile='on'` needs a C++ compiler (g++ or clang++); install it or use `compile='off'`"
    with pytest.raises(MissingTool, match=f"^{re.escape(sentence)}$"):
        choose_compilation("on", CPU)


def test_a_cpu_needs_a_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert choose_compilation("auto", CPU).on is False
    with pytest.raises(MissingTool, match=r"^`compile='on'` needs a C\+\+ compiler "):
        choose_compilation("on", CPU)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "clang++" else None)
    assert choose_compilation("on", CPU).on


@pytest.mark.parametrize(
    ("triton", "capability", "on"),
    [(True, (9, 0), True), (True, (7, 0), True), (True, (6, 1), False), (False, (9, 0), False)],
)
def test_a_gpu_needs_triton(monkeypatch, triton, capability, on):
    monkeypatch.setattr(compiling, "find_spec", lambda name: object() if triton else None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = choose_compilation("auto", CUDA)
    assert found.on is on
    if not on:
        assert found.why == "it needs Triton and a GPU of compute capability 7.0 or more, which is not there"
        with pytest.raises(
            MissingTool, match=r"^`compile='on'` needs Triton and a GPU of compute capability 7\.0 or more; "
        ):
            choose_compilation("on", CUDA)


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten()).train()


class Counted:
    """Stands for torch.compile: counts the batches that go through it."""

    def __init__(self, monkeypatch):
        self.batches: list[int] = []
        self.options: dict[str, object] = {}
        monkeypatch.setattr(torch, "compile", self)

    def __call__(self, network, **options):
        self.options = options

        def forward(x):
            self.batches.append(len(x))
            return network(x)

        return forward


def test_only_training_batches_of_the_regular_size_are_compiled(monkeypatch):
    counted, network = Counted(monkeypatch), small()
    forward = CompiledForward(network, ON, 4)
    assert counted.options == {"dynamic": False, "mode": None}
    for count in (4, 3, 5):
        assert forward(torch.randn(count, 3, 6, 6)).shape == (count, 64)
    assert counted.batches == [4]
    network.eval()
    forward(torch.randn(4, 3, 6, 6))
    assert counted.batches == [4]


@pytest.mark.parametrize("compilation", [OFF, ON])
@pytest.mark.parametrize("training", [True, False])
def test_warming_up_leaves_nothing_behind(monkeypatch, compilation, training):
    counted, network = Counted(monkeypatch), small().train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    seconds = CompiledForward(network, compilation, 4).warm_up(
        torch.randn(4, 3, 6, 6, generator=torch.Generator()), CPU
    )
    assert (seconds > 0, counted.batches) == ((True, [4, 4, 4]) if compilation.on else (False, []))
    assert network.training is training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.filterwarnings("default")  # what torch warns of while it compiles is not foldnet's
def test_compiled_steps_compute_what_the_network_computes(monkeypatch, tmp_path):
    if not any(map(shutil.which, compiling.COMPILERS)):
        pytest.fail("this test needs a C++ compiler, as `compile='on'` does")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    results = []
    for compilation in (OFF, ON):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()).train()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view(parameter.shape))
        forward = CompiledForward(network, compilation, 2)
        x = torch.linspace(-1, 2, 2 * 3 * 36).view(2, 3, 6, 6)
        forward.warm_up(x, CPU)
        out = forward(x)
        torch.autograd.backward(out.square().mean())
        results.append([out, *network.buffers(), *(parameter.grad for parameter in network.parameters())])
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-5)
