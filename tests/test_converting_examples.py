"""The network that reads weights which others trained, and the commands by which its frontier is measured."""

import importlib
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import foldnet
from foldnet.data.images import STATISTICS

TOP = Path(__file__).parents[1]
EXAMPLES = TOP / "examples"
NETWORK = f"{EXAMPLES}/resnet20_cifar.py:make"
SHAPES = {"layer1": (16, 16, 3, 3), "layer2": (32, 32, 3, 3), "layer3": (64, 64, 3, 3)}


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    return foldnet.build(NETWORK).eval()


def test_the_network_has_the_tensors_of_the_weights_that_it_names(resnet):
    convolutions = {
        f"layer{stage}.{block}.conv{place}.weight": (
            16 * 2 ** (stage - 1),
            16 * 2 ** (stage - 1 - (stage > 1 and block == 0 and place == 1)),
            3,
            3,
        )
        for stage, block, place in itertools.product((1, 2, 3), (0, 1, 2), (1, 2))
    }
    norms = {f"layer{s}.{b}.bn{p}": (16 * 2 ** (s - 1),) for s, b, p in itertools.product((1, 2, 3), range(3), (1, 2))}
    expected = {"conv1.weight": (16, 3, 3, 3), "linear.weight": (10, 64), "linear.bias": (10,)} | convolutions
    for name, shape in {"bn1": (16,), **norms}.items():
        expected |= {f"{name}.{own}": shape for own in ("weight", "bias", "running_mean", "running_var")}
        expected[f"{name}.num_batches_tracked"] = ()
    assert {name: tuple(tensor.shape) for name, tensor in resnet.state_dict().items()} == expected
    assert sum(parameter.numel() for parameter in resnet.parameters()) == 269_722


def test_images_come_to_it_as_its_weights_expect_them(resnet):
    pixels = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(values).view(3, 1, 1) / 255 for values in STATISTICS["cifar10"])
    given = []
    resnet.conv1.register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0]))
    resnet((pixels - mean) / std)
    wanted = (pixels - torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)) / torch.tensor((0.229, 0.224, 0.225)).view(
        3, 1, 1
    )
    torch.testing.assert_close(given[0], wanted)


def test_a_shortcut_takes_every_second_pixel_and_adds_zeros_on_both_sides(resnet):
    block, x = resnet.layer2[0], torch.rand(2, 16, 8, 8)
    nn.init.zeros_(block.bn2.weight)
    out = block(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


def test_it_converts_to_templates_and_to_one_body_a_stage(resnet):
    x = torch.randn(4, 3, 32, 32)
    made = foldnet.convert(resnet, templates=6)
    assert [(group.name, len(group.layers), group.shape) for group in made.report.groups] == [
        (name, 6 if name == "layer1" else 5, shape) for name, shape in SHAPES.items()
    ]
    torch.testing.assert_close(made.soft(x), resnet(x), rtol=1e-4, atol=1e-4)
    looped = foldnet.convert(resnet, loops=1, batches=[x], fit=2).report
    first, *others = ["".join(lines) for lines in stages_in(looped.program)]
    assert first == "layer1: 3x { A }  A = { conv1: a, conv2: b }"
    assert others == [
        f"{stage}: private; 2x {{ A }}  {stage}.0 = {{ conv1: private, conv2: a }}  A = {{ conv1: b, conv2: c }}"
        for stage in ("layer2", "layer3")
    ]


def stages_in(program):
    """The lines of each stage."""
    lines = program.splitlines()
    starts = [index for index, line in enumerate(lines) if not line.startswith(" ")] + [len(lines)]
    return [lines[start:end] for start, end in itertools.pairwise(starts)]


@pytest.fixture(scope="module")
def conversions():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        import conversions

        yield conversions


def test_templates_are_the_most_that_a_share_of_the_numbers_holds(conversions):
    layers, sizes = (6, 5, 5), (2304, 9216, 36864)
    whole = sum(count * size for count, size in zip(layers, sizes, strict=True))
    for share, chosen in conversions.TEMPLATES.items():
        top, bottom = map(int, share.split("/"))
        fitting = [
            numbers
            for numbers in itertools.product(*(range(1, count + 1) for count in layers))
            if sum(k * (size + count) for k, size, count in zip(numbers, sizes, layers, strict=True))
            <= whole * top / bottom
        ]
        best = max(fitting, key=lambda numbers: sorted(k / count for k, count in zip(numbers, layers, strict=True)))
        assert best == chosen
        kept = max(rank for rank in range(1, 64) if owners_and_residuals(rank) <= whole * top / bottom)
        assert conversions.RANKS[share] == kept


def owners_and_residuals(rank):
    """The numbers of one owner a stage, and of a residual, which has the rank of its matrix at most, and a gain a layer."""
    return sum(
        o * i * 9 + layers * (min(rank, o) * (o + i * 9) + 1)
        for layers, (o, i, _, _) in zip((6, 5, 5), SHAPES.values(), strict=True)
    )


@pytest.mark.parametrize("name", ["resnet20-frontier", "loops-in-earnest"])
def test_commands_have_options_that_exist(name, conversions):
    known = (Path(__file__).parent / "cli" / "options.txt").read_text(encoding="utf-8")
    for command in itertools.chain(*conversions.SETS[name][0]().values()):
        words = command.split()
        for option in (word for word in words if word.startswith("--")):
            lines = [line for line in known.splitlines() if line.startswith(f"foldnet {words[1]}: ")]
            assert any(option in line.replace("...", "").replace(",", "").split() for line in lines), option


def test_the_transformer_has_eight_equal_blocks(conversions):
    options = dict(option.split("=") for option in conversions.VISION.split())
    arch_option = {key: int(value) for key, value in options.items()}
    report = foldnet.plan("timm/vit_tiny_patch16_224", arch_option=arch_option)
    assert {len(group.layers) for group in report.groups} == {8}
    assert report.before < 1_000_000


def test_what_was_not_measured_is_measured_and_kept(conversions, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(conversions, "FILES", tmp_path)
    asked = []

    def measure(commands, weights, data_dir):
        asked.append(commands[-1])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"commands": commands, "result": len(asked)}

    monkeypatch.setattr(conversions, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["conversions.py", "loops-in-earnest"])
    with pytest.raises(KeyboardInterrupt):
        conversions.main()
    content = json.loads((tmp_path / "loops-in-earnest.json").read_text())
    assert content["result"] == {
        name: {"commands": [command], "result": index}
        for index, (name, command) in enumerate(zip(content["wanted"], asked[:2], strict=False), 1)
    }
    monkeypatch.setattr(sys, "argv", ["conversions.py", "loops-in-earnest", "--missing"])
    assert conversions.main() == 1
    assert capsys.readouterr().out == f"missing: {', '.join(content['wanted'][2:])}\n"


def measured_frontier(conversions):
    """What a whole file of the frontier might hold."""
    score = {"original": 0.9, "converted": 0.1, "recalibrated": 0.2, "finetuned": 0.88, "low_rank": 0.7}
    score |= {"low_rank_recalibrated": 0.8, "low_rank_finetuned": 0.89}
    templates = {"score": score, "parameters": {"converted": 1500, "control": 1499}}
    loops = {"score": score, "parameters": 700}
    wanted = list(conversions.resnet20())
    accuracy = {"soft": 0.9, "tied": 0.3, "recalibrated": 0.4, "finetuned": 0.895}
    residual = {"parameters": {"folded": 1498}, "accuracy": accuracy}
    ways = {"loops": loops, "templates": templates, "residual": residual}
    machines = {name: "another machine" if name == wanted[-1] else "a machine" for name in wanted}
    results = {name: {"machine": machines[name], "result": ways[name.split()[0]]} for name in wanted}
    command = "python examples/conversions.py resnet20-frontier"
    return {"command": command, "machine": "a machine", "wanted": wanted, "result": results}


def test_the_page_shows_a_frontier_that_is_whole(conversions, tmp_path):
    for name in ("docs", "examples"):
        shutil.copytree(TOP / name, tmp_path / name)
    shutil.copy(TOP / "README.md", tmp_path)
    file = tmp_path / "examples" / "benchmarks" / "resnet20-frontier.json"
    file.write_text(json.dumps(measured_frontier(conversions)))
    subprocess.run([sys.executable, tmp_path / "docs" / "write.py"], capture_output=True, check=True)
    text = (tmp_path / "docs" / "convert.md").read_text()
    assert "| 2/3 | templates | 1,500 | 10.00 % | 20.00 % | 88.00 % |\n" in text
    assert "| 2/3 | low rank, a layer each (the control) | 1,499 | 70.00 % | 80.00 % | 89.00 % |\n" in text
    assert "on a machine; another machine)." in text
    assert "| – | loops, one body a stage | 700 | 10.00 % | – | 88.00 % |\n" in text
    said = "one owner a stage and residuals of low rank 0.50, low rank 1.00, templates 2.00"
    assert f"distilled: {said}. The goal\nwas one and a half at most: one owner" in text


def test_a_frontier_that_is_not_whole_is_not_shown(conversions, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TOP / "docs")
    readings, frontier = importlib.import_module("readings"), importlib.import_module("frontier_readings")
    monkeypatch.setattr(readings, "FILES", tmp_path)
    content = measured_frontier(conversions)
    (tmp_path / "whole.json").write_text(json.dumps(content))
    content["result"].popitem()
    (tmp_path / "half.json").write_text(json.dumps(content))
    assert [frontier.complete(name) for name in ("whole", "half", "none")] == [True, False, False]
