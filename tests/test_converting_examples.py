"""The network that reads weights which others trained, and the commands by which its frontier is measured."""

import itertools
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import foldnet
from foldnet.data.images import STATISTICS

EXAMPLES = Path(__file__).parents[1] / "examples"
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
def frontier():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        import frontier

        yield frontier


def test_templates_are_the_most_that_a_share_of_the_numbers_holds(frontier):
    layers, sizes = (6, 5, 5), (2304, 9216, 36864)
    whole = sum(count * size for count, size in zip(layers, sizes, strict=True))
    for share, chosen in frontier.TEMPLATES.items():
        top, bottom = map(int, share.split("/"))
        fitting = [
            numbers
            for numbers in itertools.product(*(range(1, count + 1) for count in layers))
            if sum(k * (size + count) for k, size, count in zip(numbers, sizes, layers, strict=True))
            <= whole * top / bottom
        ]
        best = max(fitting, key=lambda numbers: sorted(k / count for k, count in zip(numbers, layers, strict=True)))
        assert best == chosen


def test_its_commands_have_options_that_exist(frontier):
    known = (Path(__file__).parent / "cli" / "options.txt").read_text(encoding="utf-8")
    for command in itertools.chain(*frontier.configurations().values()):
        words = command.split()
        for option in (word for word in words if word.startswith("--")):
            lines = [line for line in known.splitlines() if line.startswith(f"foldnet {words[1]}: ")]
            assert any(option in line.replace("...", "").replace(",", "").split() for line in lines), option


def test_what_was_not_measured_is_said(frontier, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["frontier.py", "--missing"])
    left = [name for name in frontier.configurations() if name not in frontier.read()["result"]]
    assert frontier.main() == int(bool(left))
    assert capsys.readouterr().out == f"missing: {', '.join(left) or 'nothing'}\n"
