"""Networks of other people: what counts as a block, and that it folds into what it was."""

import re

import pytest
import torch
import torch.nn.functional as F
from looping import fold_forms, planned
from torch import nn

from foldnet.errors import NothingToFold
from foldnet.folding.equality import differences
from foldnet.folding.looped import loop_tied, unroll
from foldnet.folding.plan import apply_fold
from foldnet.program.data import Loop, Step, Use
from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.sequences import block_names, sequences_of
from foldnet.sharing.share import share


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


class ConvBn(nn.Module):
    def __init__(self, c_in, c_out, size, stride=1, active=True):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, size, stride, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.active = active

    def forward(self, x):
        y = self.bn(self.conv(x))
        return F.relu(y) if self.active else y


class Bottleneck(nn.Module):
    """Its layers stand in an nn.Sequential called body, around a shortcut."""

    def __init__(self, c_in=8, c_out=8, width=4, stride=1):
        super().__init__()
        self.body = nn.Sequential(
            ConvBn(c_in, width, 1), ConvBn(width, width, 3, stride), ConvBn(width, c_out, 1, active=False)
        )
        self.shortcut = nn.Identity() if (c_in, stride) == (c_out, 1) else ConvBn(c_in, c_out, 1, stride, active=False)

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


class Scaled(nn.Module):
    """A block that keeps a number and a function of its own."""

    def __init__(self, scale=1.0, act=torch.tanh):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.scale, self.act = scale, act

    def forward(self, x):
        return x + self.scale * self.act(self.conv(x))


class Residual(nn.Sequential):
    """A Sequential that does more than run its children."""

    def forward(self, x):
        return x + super().forward(x)


class Net(nn.Module):
    """stem -> features -> head; features may be any module."""

    def __init__(self, features, channels=8):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.features = features
        self.head = nn.Linear(channels, 5)

    def forward(self, x):
        return self.head(self.features(self.stem(x)).mean((2, 3)))


class Deep(Net):
    """Two stages a level deeper, with a plain layer between them."""

    def forward(self, x):
        x = self.features.first(self.stem(x))
        return self.head(self.features.second(self.features.between(x)).mean((2, 3)))


def conv(size=3, **options):
    return nn.Conv2d(8, 8, size, padding=size // 2, **options)


def randomised(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def alike(soft):
    """Every group's layers all multiples of one another."""
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.copy_(
                torch.outer(*(torch.randn(n, dtype=torch.float64) for n in bank.coefficients.shape))
            )
    return soft


def assert_folds_into_what_it_was(make, threshold=0.99, plan=None):
    """Soft, tied, looped and unrolled agree; the program comes back."""
    torch.manual_seed(0)
    soft = alike(share(randomised(make().double()), plan)).eval()
    looped, tied, fold = fold_forms(soft, threshold)
    x = torch.randn(2, 3, 8, 8).double()
    expected = soft(x)
    assert expected.std() > 0
    for network in (tied, looped, unroll(looped, make().double())):
        torch.testing.assert_close(network.eval()(x), expected, rtol=1e-9, atol=1e-9)
    tied.train()
    looped.train()
    torch.testing.assert_close(looped(x), tied(x), rtol=1e-9, atol=1e-9)
    return fold.program


def test_bottleneck_blocks_in_a_sequential_become_a_loop():
    program = assert_folds_into_what_it_was(lambda: Net(nn.Sequential(*[Bottleneck() for _ in range(4)])))
    (stage,) = program.stages
    assert stage.items == (Loop(4, (Step("A"),), "features.loop1"),)
    assert stage.blocks[2].uses == (
        Use("features.2.body.0.conv", "body.0.conv", "features-4x8x1x1", 0),
        Use("features.2.body.1.conv", "body.1.conv", "features-4x4x3x3", 0),
        Use("features.2.body.2.conv", "body.2.conv", "features-8x4x1x1", 0),
    )
    assert (program.before, program.after) == (("stem",), ("head",))


def test_a_first_block_of_other_widths_is_a_step_of_its_own_although_its_layers_share():
    def make():
        return Net(nn.Sequential(Bottleneck(stride=2), *[Bottleneck() for _ in range(3)]))

    program = assert_folds_into_what_it_was(make)
    (stage,) = program.stages
    assert [type(item) for item in stage.items] == [Step, Loop]
    assert stage.blocks[0].label == "private1"  # its shortcut is its own
    assert [use.group is None for use in stage.blocks[0].uses] == [False, False, False, True]


@pytest.mark.parametrize("bias", [True, False])
def test_a_plain_stack_of_layers_is_a_sequence_of_blocks_that_are_layers(bias):
    program = assert_folds_into_what_it_was(lambda: Net(nn.Sequential(*[conv(bias=bias) for _ in range(5)])))
    (stage,) = program.stages
    assert stage.items == (Loop(5, (Step("A"),), "features.loop1"),)
    assert stage.blocks[3].uses == (Use("features.3", "", "features", 0),)


def test_layers_between_others_without_weights_still_run_in_their_places():
    def make():
        return Net(nn.Sequential(conv(), nn.ReLU(), conv(), nn.BatchNorm2d(8), conv(), nn.ReLU()))

    program = assert_folds_into_what_it_was(make)
    assert [block.label for block in program.stages[0].blocks] == ["A", "B", "A", "C", "A", "B"]


def test_conv_norm_modules_become_a_loop():
    program = assert_folds_into_what_it_was(lambda: Net(nn.Sequential(*[ConvBn(8, 8, 3) for _ in range(3)])))
    assert program.stages[0].items == (Loop(3, (Step("A"),), "features.loop1"),)


def test_a_block_that_keeps_another_number_or_function_is_another_body():
    def make():
        return Net(nn.Sequential(Scaled(0.5), Scaled(0.5), Scaled(2.0), Scaled(0.5, torch.sin)))

    program = assert_folds_into_what_it_was(make)
    assert [block.label for block in program.stages[0].blocks] == ["A", "A", "B", "C"]
    torch.manual_seed(0)
    by_block = fold_forms(alike(share(make())), 0.99, unit="block")[2]
    assert by_block.groups[0].clusters == ((0, 1), (2,), (3,))


def test_a_private_block_may_have_a_part_called_body():
    def make():
        return Net(nn.Sequential(Bottleneck(8, 8, 5), *[Bottleneck() for _ in range(2)]))

    program = assert_folds_into_what_it_was(make)
    assert [block.label for block in program.stages[0].blocks] == ["private1", "A", "A"]


def test_sequences_may_stand_deeper_and_be_declared():
    def make():
        parts = {"first": nn.Sequential(*[ConvBn(8, 8, 3) for _ in range(2)]), "between": conv()}
        network = Deep(nn.ModuleDict(parts | {"second": nn.Sequential(*[ConvBn(8, 8, 3) for _ in range(3)])}))
        network.sequences = ("features.first", "features.second")
        return network

    program = assert_folds_into_what_it_was(make)
    assert [(stage.name, stage.items[0].times) for stage in program.stages] == [
        ("features.first", 2),
        ("features.second", 3),
    ]
    assert sequences_of(make(), ["features.second.1.conv"]) == ("features.second",)
    assert block_names(make(), "features.second") == tuple(f"features.second.{n}" for n in range(3))


def test_layers_that_are_kept_stay_themselves_inside_a_loop_of_others():
    def make():
        return Net(nn.Sequential(*[Bottleneck() for _ in range(4)]))

    plan = plan_sharing(make(), keep={"features.1.body.1.conv": "it is special"})
    program = assert_folds_into_what_it_was(make, plan=plan)
    assert [block.label for block in program.stages[0].blocks] == ["A", "private1", "A", "A"]


def test_a_sequential_that_does_more_than_run_its_children_is_a_block_and_no_sequence():
    def make():
        return Net(nn.Sequential(*[Residual(conv(), nn.ReLU()) for _ in range(3)]))

    program = assert_folds_into_what_it_was(make)
    assert program.stages[0].items == (Loop(3, (Step("A"),), "features.loop1"),)
    assert_stands_alone(lambda: Net(Residual(conv(), conv())), "features")


def assert_stands_alone(make, *blocks):
    program = assert_folds_into_what_it_was(make)
    assert [(stage.name, stage.path, stage.alone) for stage in program.stages] == [
        (name, name, True) for name in blocks
    ]
    assert [[block.name for block in stage.blocks] for stage in program.stages] == [[name] for name in blocks]
    assert program.loops == 0


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = conv(), conv()

    def forward(self, x):
        return self.left(x) + self.right(x)


def test_a_block_outside_the_sequences_stands_alone():
    assert_stands_alone(lambda: Net(Branches()), "features")


def test_layers_outside_the_sequences_stand_in_the_largest_block_that_holds_none_of_them():
    class Mixed(Branches):
        def __init__(self):
            super().__init__()
            self.blocks = nn.Sequential(ConvBn(8, 8, 3), ConvBn(8, 8, 3))

        def forward(self, x):
            return self.blocks(super().forward(x))

    program = assert_folds_into_what_it_was(lambda: Net(Mixed()))
    assert [stage.path for stage in program.stages] == ["features.left", "features.right", "features.blocks"]


def test_a_block_that_runs_twice_stands_alone():
    def make():
        block = ConvBn(8, 8, 3)
        return Net(nn.Sequential(block, ConvBn(8, 8, 3), ConvBn(8, 8, 3), block))

    assert_stands_alone(make, "features")


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("feature", nn.Sequential(conv(), conv())),
        ("features", nn.ModuleDict({"a": conv(), "b": conv()})),
        ("features", Residual(conv(), conv())),
    ],
)
def test_a_declared_sequence_that_is_none_is_refused(name, features):
    network = Net(features)
    network.sequences = (name,)
    said = (
        f"'{name}', which the network's attribute 'sequences' names, is no nn.Sequential or nn.ModuleList of blocks that each run "
        f"once, in order, so it cannot come to loop; make it one"
    )
    with pytest.raises(NothingToFold, match=exactly(said)):
        sequences_of(network, ["features.0"])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (conv(), conv(), True),
        (conv(), conv(bias=False), False),
        (conv(), conv(groups=2), False),
        (nn.BatchNorm2d(8), nn.BatchNorm2d(8, eps=1e-3), False),
        (Bottleneck(), Bottleneck(), True),
        (Bottleneck(), Bottleneck(stride=2), False),
        (Scaled(), Scaled(), True),
        (Scaled(), Scaled(2.0), False),
        (Scaled(), Scaled(act=torch.sin), False),
    ],
)
def test_structure_is_all_but_the_numbers_in_tensors(one, other, equal):
    assert (not list(differences(one, other))) == equal


def test_own_parameters_of_a_block_are_kept_apart_by_step():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv()
            self.gate = nn.Parameter(torch.randn(8, 1, 1))
            self.register_buffer("shift", torch.randn(1), persistent=False)

        def forward(self, x):
            return x + self.gate * torch.tanh(self.conv(x) + self.shift)

    torch.manual_seed(0)
    network = Net(nn.Sequential(*[Gated() for _ in range(3)]))
    soft = alike(share(network))
    plan = planned(soft, {"features": ((0, 1, 2),)})
    tied = apply_fold(soft, plan).eval()
    looped = loop_tied(tied, plan.program).eval()
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(looped(x), tied(x))
    assert looped.network.features.blocks["A"].body.gate.shape == (3, 8, 1, 1)
    assert not any("shift" in name for name in looped.state_dict())
