"""Networks of several kinds as ONNX files: exact in onnxruntime at any batch and any number of trips, small, and clean."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession, SessionOptions
from torch import nn

import foldnet
from foldnet.errors import MissingTool, SettingError
from foldnet.exporting import needs, onnx_file
from foldnet.exporting.given import given
from foldnet.exporting.onnx_file import write_onnx
from foldnet.exporting.unrolled import unique_bytes, written_out

X = torch.linspace(-1, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)


class Block(nn.Module):
    """A convolution with a bias, a norm, and a linear layer over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.mix = nn.Linear(4, 4)

    def forward(self, x):
        y = torch.relu(self.norm(self.conv(x)))
        return x + 0.2 * self.mix(y.movedim(1, -1)).movedim(-1, 1)


class Bottleneck(nn.Module):
    """Convolutions of one pixel before and behind one of nine, each with a norm; of what it adds it takes what is
    positive."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(4, 2, 1, bias=False), nn.Conv2d(2, 4, 1, bias=False)
        self.mid = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm2d(2), nn.BatchNorm2d(2), nn.BatchNorm2d(4)

    def forward(self, x):
        y = torch.relu(self.norm1(self.down(x)))
        y = torch.relu(self.norm2(self.mid(y)))
        return torch.relu(x + 0.2 * self.norm3(self.up(y)))


class Network(nn.Module):
    """Six blocks in a sequence, or in a list that the forward walks, with something between them."""

    def __init__(self, *, listed: bool, block: type[nn.Module] = Block) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = (nn.ModuleList if listed else lambda blocks: nn.Sequential(*blocks))([block() for _ in range(6)])
        self.listed = listed
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.stem(x)
        if self.listed:
            for block in self.blocks:
                x = torch.tanh(block(x))
        else:
            x = self.blocks(x)
        return self.head(x.mean((2, 3)))


@torch.no_grad()
def folded(*, listed: bool, block: type[nn.Module] = Block):
    """A network whose blocks are A A B A A B, every step with a gain, norms and biases of its own."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        soft = foldnet.share(Network(listed=listed, block=block), 2).eval()
        for bank in soft.sources.values():
            rows = torch.tensor([[1.0, 0.2]] * 2 + [[0.3, -1.0]])[[0, 1, 2, 0, 1, 2]]
            bank.coefficients.copy_(rows * torch.tensor([1.0, -0.5, 0.8, 1.2, 0.9, -0.7])[:, None])
        for name, parameter in soft.network.named_parameters():
            if "norm" in name or "bias" in name:
                parameter.uniform_(0.5, 1.5)
        for name, buffer in soft.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 1.5)
    return foldnet.fold(soft, threshold=0.99, inputs=X)


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """(network that loops, its file with dials, what was said of it)."""
    looped = folded(listed=False).looped.eval()
    file = tmp_path_factory.mktemp("nested") / "a.onnx"
    return looped, file, write_onnx(given(looped, X), file, dial=True)


def session(file):
    options = SessionOptions()
    options.log_severity_level = 3
    return InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def apart(looped, file, x, trips=None):
    """The largest difference of the file to the network, its loops turned."""
    looped.set_trips(trips or {})
    feeds = {"input": x.numpy()} | {name: np.array(count) for name, count in (trips or {}).items()}
    found = session(file).run(None, feeds)[0]
    wanted = looped(x).numpy()
    looped.set_trips({})
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max()


def test_loops_in_loops_are_exact_at_every_batch_and_every_number_of_trips(nested):
    looped, file, report = nested
    assert report.loops == {"blocks.loop1": 2, "blocks.loop2": 2}
    assert report.dial == ("blocks.loop1", "blocks.loop2")
    for count in (1, 2, 7):
        assert apart(looped, file, torch.randn(count, 3, 4, 4)) < 1e-5
    for outer in (0, 1, 2, 4):
        for inner in (0, 1, 4):
            assert apart(looped, file, X, {"blocks.loop1": outer, "blocks.loop2": inner}) < 1e-4


def test_every_owner_is_there_once_and_inside_the_body_that_uses_it(nested):
    looped, file, report = nested
    model = onnx.load(file)
    graphs = (model.graph, *loop_graphs(file))
    assert [sum(node.op_type == "Conv" for node in graph.node) for graph in graphs] == [1, 0, 1, 1]
    held = [{tuple(one.dims) for one in graph.initializer} for graph in graphs]
    assert [(4, 4, 3, 3) in shapes for shapes in held] == [False, False, True, True]
    assert report.bytes == file.stat().st_size <= 1.05 * report.unique_bytes + 2**16
    assert report.unique_bytes == unique_bytes(written_out(looped))


def test_a_file_says_what_it_is_and_nothing_of_whose_code_or_machine(nested):
    _, file, _ = nested
    content, model = file.read_bytes(), onnx.load(file)
    assert not [word for word in (b"/foldnet", b".py", b"Traceback", b"stack_trace") if word in content]
    about = {entry.key: entry.value for entry in model.metadata_props}
    facts = json.loads(about["foldnet"])
    assert (facts["form"], facts["format"], facts["loops"]) == (
        "looped",
        "onnx",
        {"blocks.loop1": 2, "blocks.loop2": 2},
    )
    assert (
        facts["versions"]["torch"] == torch.__version__.split("+")[0] or facts["versions"]["torch"] == torch.__version__
    )
    assert about["foldnet.program.text"].startswith("blocks: 2x { 2x { A }; B }")
    assert [entry.name for entry in model.graph.input] == ["input", "blocks.loop1", "blocks.loop2"]
    assert [entry.name for entry in model.graph.output] == ["output"]
    dims = [entry.type.tensor_type.shape.dim[0].dim_param for entry in (model.graph.input[0], model.graph.output[0])]
    assert dims == ["batch", "batch"]
    onnx.checker.check_model(model, full_check=True)


def test_norms_of_a_bottlenecks_trips_are_inside_its_weights(tmp_path):
    looped = folded(listed=False, block=Bottleneck).looped.eval()
    report = write_onnx(given(looped, X), tmp_path / "a.onnx", dial=True)
    assert report.loops == {"blocks.loop1": 2, "blocks.loop2": 2}
    assert report.notes == ()  # a convolution of fewer outputs than 64 is small whatever it takes
    kinds = [node.op_type for graph in loop_graphs(tmp_path / "a.onnx") for node in graph.node]
    assert [kinds.count(kind) for kind in ("If", "Conv", "BatchNormalization")] == [1, 6, 2]
    for trips in ({}, {"blocks.loop1": 3}, {"blocks.loop2": 0}):
        assert apart(looped, tmp_path / "a.onnx", X, trips) < 1e-4


def loop_graphs(file):
    """The body of the one loop in a file, and the bodies that it chooses."""
    (loop,) = (node for node in onnx.load(file).graph.node if node.op_type == "Loop")
    body = loop.attribute[0].g
    return body, *(one.g for node in body.node if node.op_type == "If" for one in node.attribute)


def test_loops_of_a_networks_own_forward_are_written_out_exactly_and_said(tmp_path):
    looped = folded(listed=True).looped.eval()
    report = write_onnx(given(looped, X), tmp_path / "a.onnx")
    assert report.loops == {}
    assert set(report.unrolled.values()) == {"the network's own forward does something between its trips"}
    assert apart(looped, tmp_path / "a.onnx", X) < 1e-5
    shapes = [tuple(one.dims) for one in onnx.load(tmp_path / "a.onnx").graph.initializer]
    assert shapes.count((4, 4, 3, 3)) == 2
    assert "written out, its weights once" in "".join(report.texts())


def test_what_cannot_be_written(nested, tmp_path, monkeypatch):
    looped = nested[0]

    def refused(kind, network=looped, inputs=X, **options):
        with pytest.raises(kind) as error:
            write_onnx(given(network, inputs), tmp_path / "a.onnx", **options)
        assert not any(tmp_path.iterdir())
        return str(error.value)

    said = "`dial=True` makes the trips of loops an input, and "
    assert refused(SettingError, loops=False, dial=True) == f"{said}`loops='unrolled'` writes none; leave one out"
    assert refused(SettingError, Network(listed=False), dial=True) == f"{said}the network has no loop; leave it out"
    assert refused(SettingError, inputs=None) == (
        "a network in memory is exported by running it once; give `inputs`, a batch of two or more"
    )
    assert refused(SettingError, inputs=X[:1]) == (
        "`inputs` is a batch of one, which is taken for a fixed size; give two or more"
    )
    with monkeypatch.context() as patch:
        patch.delattr(torch.onnx.ops, "symbolic")
        said = f"torch {torch.__version__} cannot write loops to ONNX; install torch 2.8 or newer"
        assert refused(MissingTool) == said
    monkeypatch.setattr(onnx_file, "MOST", 100)
    assert refused(SettingError).endswith("holds less than 2 GiB; write it with `format='safetensors'`")
    monkeypatch.setattr(needs, "import_module", lambda name: exec("raise ImportError"))
    assert refused(MissingTool) == ("onnx and onnxscript are not installed; `pip install 'foldnet[onnx]'` brings them")


def test_a_decoder_takes_sequences_of_any_length(tmp_path):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        soft = foldnet.build("sgpt-2-8-2-1", size=6).eval()
        x = torch.randint(256, (2, 6))
    looped = foldnet.fold(soft, threshold=0.9, inputs=x).looped.eval()
    known = replace(given(looped, x), length=6)
    report = write_onnx(known, tmp_path / "a.onnx")
    assert report.loops == {"blocks.loop1": 2}
    for count, length in ((1, 6), (3, 1), (2, 4)):
        assert apart(looped, tmp_path / "a.onnx", x[:1, :length].repeat(count, 1)) < 1e-5
    dims = [dim.dim_param for dim in onnx.load(tmp_path / "a.onnx").graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", "length"]


def test_what_onnx_has_no_words_for_is_refused_in_a_sentence(tmp_path):
    class Strange(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x[..., :3, :3]).real

    with pytest.raises(
        SettingError,
        match=r"^torch.onnx cannot write the network \(.*\); write it with `format='pt2'` or `format='safetensors'`$",
    ):
        write_onnx(given(Strange(), X), tmp_path / "a.onnx")
    assert not any(tmp_path.iterdir())
