"""Blocks that hide a difference are kept apart, and the looped network computes what the tied one does."""

import collections
import copy
import dataclasses
import enum
import functools
import math
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from looping import fold_forms
from torch import nn

from foldnet.folding.equality import differences
from foldnet.folding.structures import structures_of
from foldnet.sharing.share import share

WIDTH = 4


class Body(nn.Module):
    """x + hidden number * tanh(norm(conv(x))); what is hidden how is a matter of the subclass."""

    def __init__(self, hidden=None):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.hidden = hidden

    def forward(self, x):
        return x + self.read(self.hidden) * self.act(self.norm(self.conv(x)))

    def act(self, y):
        return torch.tanh(y)

    @staticmethod
    def read(hidden):
        return 1.0


class Net(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 1)
        self.body = nn.Sequential(*blocks)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))


class Color(enum.Enum):
    RED = 1.0
    BLUE = 2.0


class Slotted:
    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number


class Plain:
    def __init__(self, number):
        self.inside = {"number": [number]}

    def __eq__(self, other):
        return True

    __hash__ = None

    def __repr__(self):
        return "Plain()"


class Numbers(list):
    pass


@dataclasses.dataclass(frozen=True)
class Config:
    name: str
    number: float = dataclasses.field(compare=False, repr=False)


Pair = collections.namedtuple("Pair", "name number")


def long_tensor(number):
    """Its text shows six of 2,000 numbers."""
    values = torch.ones(2000)
    values[1000] = number
    return values


def scaler(number):
    return lambda y: number * y


def scale(y, number=1.0):
    return y * number


class Scaler:
    def __init__(self, number):
        self.number = number

    def scale(self, y):
        return self.number * y


# What is hidden in a block, made of a number; and how the block reads a number from it.
HIDDEN = {
    "number": (float, float),
    "numbers that differ by a rounding": (lambda n: 1.0 if n == 1 else math.nextafter(1.0, 2.0), float),
    "whole number and number": (lambda n: 1 if n == 1 else 1.0, float),
    "sign of zero": (lambda n: 0.0 if n == 1 else -0.0, lambda h: math.copysign(1.0, h)),
    "text": (str, float),
    "bytes": (lambda n: str(n).encode(), float),
    "complex number": (lambda n: complex(1, n), lambda h: h.imag),
    "list": (lambda n: [1, [n]], lambda h: h[1][0]),
    "order in a dictionary": (lambda n: {1.0: 0, 2.0: 0} if n == 1 else {2.0: 0, 1.0: 0}, lambda h: next(iter(h))),
    "set": (lambda n: {"a", str(n)}, lambda h: max(float(x) for x in h if x != "a")),
    "named tuple": (lambda n: Pair("a", n), lambda h: h.number),
    "subclass of list": (lambda n: Numbers([n]), lambda h: h[0]),
    "attribute of a list": (lambda n: with_attribute(Numbers(), n), lambda h: h.number),
    "deque": (lambda n: collections.deque([0], maxlen=int(n)), lambda h: h.maxlen),
    "default of a dictionary": (
        lambda n: collections.defaultdict(int if n == 1 else list, {"a": 1}),
        lambda h: 1.0 if h.default_factory is int else 2.0,
    ),
    "dataclass": (lambda n: Config("a", n), lambda h: h.number),
    "slots": (Slotted, lambda h: h.number),
    "object that equals everything": (Plain, lambda h: h.inside["number"][0]),
    "enum": (lambda n: Color.RED if n == 1 else Color.BLUE, lambda h: h.value),
    "class": (lambda n: int if n == 1 else float, lambda h: 1.0 if h is int else 2.0),
    "constant tensor": (lambda n: torch.tensor(float(n)), lambda h: h),
    "constant tensor that its text elides": (long_tensor, lambda h: h.sum() / 1000),
    "constant tensor that its text rounds": (lambda n: torch.tensor(n * 1e-7 + 1), lambda h: (h - 1) * 1e7),
    "tensors in a list": (lambda n: [torch.ones(2), torch.tensor([0.0, n])], lambda h: h[1][1]),
    "tensors in a dictionary": (lambda n: {"a": (torch.tensor([n]),)}, lambda h: h["a"][0]),
    "tensor that is not a number": (
        lambda n: torch.tensor([math.nan, n]),
        lambda h: h[1],
    ),
    "precision of a tensor": (lambda n: torch.ones(1, dtype=torch.float32 if n == 1 else torch.float64), torch.sum),
    "array": (lambda n: np.array([1.0, n]), lambda h: float(h[1])),
    "number of NumPy": (np.float64, float),
    "function": (lambda n: torch.sin if n == 1 else torch.cos, lambda h: float(h(torch.ones(())))),
    "closure": (scaler, lambda h: h(1.0)),
    "defaults": (lambda n: types.FunctionType(scale.__code__, globals(), "scale", (n,)), lambda h: h(1.0)),
    "partial": (lambda n: functools.partial(scale, number=n), lambda h: h(1.0)),
    "partial of a partial": (lambda n: functools.partial(functools.partial(scaler(n))), lambda h: h(1.0)),
    "method of an object": (lambda n: Scaler(n).scale, lambda h: h(1.0)),
    "builtin method": (lambda n: {1.0: n}.get, lambda h: h(1.0)),
    "device and type": (lambda n: torch.float32 if n == 1 else torch.float64, lambda h: h.itemsize / 4),
}


def with_attribute(value, number):
    value.number = number
    return value


def folded(blocks, prepare=None, **options):
    """Soft network of alike layers -> looped, tied and plan. `prepare` changes the blocks once the network is soft."""
    torch.manual_seed(0)
    soft = share(Net(blocks), 1)
    for module in soft.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean)
    if prepare is not None:
        prepare(list(soft.network.body))
    return fold_forms(soft, 0.99, **options)


def assert_same(looped, tied, tolerance=1e-5):
    """In both modes, batch norm's statistics and gradients of what is stored included."""
    x = torch.randn(4, 3, 5, 5)
    for training in (False, True):
        out, expected = (network.train(training)(x) for network in (looped, tied))
        assert (out - expected).norm() <= tolerance * expected.norm()
    out, expected = (network.eval()(x) for network in (looped, tied))
    assert (out - expected).norm() <= tolerance * expected.norm()


def labels_of(plan):
    return "".join(block.label for block in plan.program.stages[0].blocks)


@pytest.mark.parametrize("kind", HIDDEN)
def test_what_is_hidden_in_a_block_keeps_it_apart_and_is_named(kind):
    make, read = HIDDEN[kind]
    cls = type("Hiding", (Body,), {"read": staticmethod(read)})
    looped, tied, plan = folded([cls(make(number)) for number in (1.0, 1.0, 2.0, 1.0)])
    assert labels_of(plan) == "AABA"
    assert [(found.blocks, found.attribute) for found in plan.kept_apart] == [(("body.0", "body.2"), "hidden")]
    assert_same(looped, tied)


def on_block_two(change):
    """Plant something in the third of four blocks."""
    return lambda blocks: change(blocks[2])


class FrozenNorm(nn.BatchNorm2d):
    pass


def parametrize_norm(block):
    nn.utils.parametrize.register_parametrization(block.norm, "bias", Twice())


class Twice(nn.Module):
    def forward(self, x):
        return 2 * x


def clone_norm(block):
    block.extra = copy.deepcopy(block.norm)


# What is done to one of four blocks; the attribute that is named.
CHANGED = {
    "forward hook": (lambda b: b.register_forward_hook(lambda m, args, out: 2 * out), "_forward_hooks"),
    "forward hook of a submodule": (lambda b: b.norm.register_forward_hook(lambda m, a, o: -o), "norm._forward_hooks"),
    "forward hook before": (lambda b: b.register_forward_pre_hook(lambda m, args: (-args[0],)), "_forward_pre_hooks"),
    "backward hook": (lambda b: b.register_full_backward_hook(lambda m, gin, gout: gin), "_backward_hooks"),
    "backward hook before": (lambda b: b.register_full_backward_pre_hook(lambda m, g: g), "_backward_pre_hooks"),
    "hook of state_dict": (lambda b: b._register_state_dict_hook(lambda m, s, p, d: None), "_state_dict_hooks"),
    "hook of a parameter": (lambda b: b.norm.weight.register_hook(lambda g: 2 * g), "norm.weight"),
    "hook after the gradient": (
        lambda b: b.norm.weight.register_post_accumulate_grad_hook(lambda p: None),
        "norm.weight",
    ),
    "norm in evaluation": (lambda b: b.norm.eval(), "norm.training"),
    "block in evaluation": (lambda b: setattr(b, "training", False), "training"),
    "frozen norm": (lambda b: b.norm.requires_grad_(False), "norm.weight"),
    "frozen bias": (lambda b: b.conv.bias.requires_grad_(False), "conv.bias"),
    "class": (lambda b: setattr(b, "norm", FrozenNorm(WIDTH)), "norm"),
    "class changed": (lambda b: setattr(b.norm, "__class__", FrozenNorm), "norm"),
    "norm without scale": (lambda b: setattr(b, "norm", nn.BatchNorm2d(WIDTH, affine=False)), "norm.weight"),
    "norm without statistics": (
        lambda b: setattr(b, "norm", nn.BatchNorm2d(WIDTH, track_running_stats=False)),
        "norm.running_mean",
    ),
    "epsilon": (lambda b: setattr(b.norm, "eps", 0.5), "norm.eps"),
    "momentum": (lambda b: setattr(b.norm, "momentum", 0.5), "norm.momentum"),
    "submodule": (clone_norm, "submodules"),
    "own forward": (
        lambda b: setattr(b, "forward", types.MethodType(lambda self, x: -self.conv(x), b)),
        "forward",
    ),
    "own activation": (lambda b: setattr(b, "act", F.relu), "act"),
    "attribute": (lambda b: setattr(b, "index", 3), "index"),
    "parameter": (lambda b: b.register_parameter("gate", nn.Parameter(torch.ones(()))), "tensors"),
    "buffer that is not saved": (
        lambda b: b.norm._non_persistent_buffers_set.add("running_mean"),
        "norm._non_persistent_buffers_set",
    ),
    "parametrised norm": (parametrize_norm, "norm"),
    "precision of a buffer": (
        lambda b: setattr(b.norm, "num_batches_tracked", b.norm.num_batches_tracked.int()),
        "norm.num_batches_tracked",
    ),
    "attribute of a parameter": (lambda b: setattr(b.norm.weight, "no_decay", True), "norm.weight"),
    "padding": (lambda b: setattr(b.conv, "padding_mode", "reflect"), "conv.padding_mode"),
    "padding of the layer": (lambda b: setattr(b.conv, "padding", (0,) * 2), None),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_a_block_that_was_changed_is_kept_apart_and_what_was_changed_is_named(kind):
    change, attribute = CHANGED[kind]
    looped, tied, plan = folded([Body() for _ in range(4)], on_block_two(change))
    if attribute is None:
        assert (labels_of(plan), plan.kept_apart) == ("AAAA", ())
    else:
        assert labels_of(plan) == "AABA"
        assert plan.kept_apart[0].attribute == attribute
        assert {found.blocks for found in plan.kept_apart} == {("body.0", "body.2")}
    assert_same(looped, tied)


def tied_norms(blocks):
    for block in blocks[1:]:
        block.norm = blocks[0].norm


def tied_scales(blocks):
    blocks[2].norm.weight = blocks[0].norm.weight


def tied_buffers(blocks):
    blocks[3].norm.running_mean = blocks[1].norm.running_mean


def tie_inside(blocks):
    for block in blocks:
        block.norm.bias = block.norm.weight


def reach_otherwise(blocks):
    for block in blocks:
        block.hidden = [block.norm.running_mean]


def close_over(blocks):
    for block in blocks:
        block.hidden = lambda block=block: block


def reach_a_module(blocks):
    for block in blocks:
        block.hidden = [nn.ReLU()]


def train_besides(blocks):
    for block in blocks:
        block.hidden = [torch.ones(1, requires_grad=True)]


def keep_generators(blocks):
    for block in blocks:
        block.hidden = (number for number in (1, 2))


def keep_one_generator(blocks):
    shared = iter([1, 2])
    for block in blocks:
        block.hidden = shared


def keep_random_numbers(blocks):
    for block in blocks:
        block.hidden = np.random.default_rng(0)


def keep_sparse(blocks):
    for block in blocks:
        block.hidden = torch.eye(2).to_sparse()


def keep_objects(blocks):
    for block in blocks:
        block.hidden = np.array([object()])


def nest_deeply(blocks):
    for block in blocks:
        nested = []
        for _ in range(3000):
            nested = [nested]
        block.hidden = nested


def hook_all(blocks):
    for block in blocks:
        block.register_forward_hook(lambda module, args, out: 2 * out)


SCATTERED = "a module that is reached in another way than as a submodule"
# What is done to all four blocks, who is kept apart, by what and why.
ENTANGLED = {
    "one norm": (tied_norms, (0, 1, 2, 3), "norm.weight", "the same tensor as body.1.norm.weight"),
    "one scale": (tied_scales, (0, 1, 2, 1), "norm.weight", "the same tensor as body.2.norm.weight"),
    "one statistic": (tied_buffers, (0, 1, 0, 2), "norm.running_mean", "the same tensor as body.3.norm.running_mean"),
    "one tensor in two places": (tie_inside, (0, 1, 2, 3), "norm.bias", "the same tensor as norm.weight"),
    "a statistic in a list": (
        reach_otherwise,
        (0, 1, 2, 3),
        "norm.running_mean",
        "its memory is reached in another way too",
    ),
    "a closure of a module": (close_over, (0, 1, 2, 3), "hidden", f"__defaults__: [0]: {SCATTERED}"),
    "a module in a list": (reach_a_module, (0, 1, 2, 3), "hidden", f"[0]: {SCATTERED}"),
    "a trained tensor": (
        train_besides,
        (0, 1, 2, 3),
        "hidden",
        "[0]: a tensor that is trained and is no parameter of its module",
    ),
    "a random generator": (keep_random_numbers, (0, 1, 2, 3), "hidden", "a Generator cannot be compared"),
    "generators": (keep_generators, (0, 1, 2, 3), "hidden", "a generator cannot be compared"),
    "an iterator for all": (keep_one_generator, (0, 1, 2, 3), "hidden", "a list_iterator cannot be compared"),
    "a sparse tensor": (keep_sparse, (0, 1, 2, 3), "hidden", "a Tensor cannot be compared"),
    "an array of objects": (keep_objects, (0, 1, 2, 3), "hidden", "an array of objects cannot be compared"),
    "a deep list": (nest_deeply, (0, 1, 2, 3), "hidden", "nested too deeply to be compared"),
    "hooks": (hook_all, (0, 1, 2, 3), "_forward_hooks", "a hook may do anything"),
}


@pytest.mark.parametrize("kind", ENTANGLED)
def test_blocks_that_hold_what_cannot_be_merged_are_kept_apart_although_they_look_alike(kind):
    prepare, numbers, attribute, reason = ENTANGLED[kind]
    soft = share(Net([Body() for _ in range(4)]))
    prepare(list(soft.network.body))
    found = structures_of(soft.network, soft.plan)
    assert tuple(found.numbers.values()) == numbers
    assert (found.kept_apart[0].attribute, found.kept_apart[0].reason) == (attribute, reason)


@pytest.mark.parametrize("prepare", [tied_norms, tied_scales, tied_buffers, tie_inside, hook_all, keep_sparse])
def test_what_is_kept_apart_is_computed_as_before(prepare):
    looped, tied, _ = folded([Body() for _ in range(4)], prepare)
    assert_same(looped, tied)
    x = torch.randn(4, 3, 5, 5)
    for network in (looped, tied):
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        network.train()(x).square().sum().backward()
        optimiser.step()
    assert_same(looped, tied)
    assert sum(p.numel() for p in looped.parameters()) == sum(p.numel() for p in tied.parameters())


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.floats(width=32), max_size=3).map(torch.tensor),
    st.lists(st.integers(-9, 9), max_size=3).map(np.array),
    st.integers(-3, 3).map(scaler),
    st.integers(-3, 3).map(Slotted),
    st.frozensets(st.integers(-3, 3), max_size=3),
    st.sampled_from([*Color, torch.tanh, F.relu, int, torch.int8, torch.device("cpu")]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        inner.map(Plain),
        inner.map(lambda value: functools.partial(scale, value)),
    ),
    max_leaves=6,
)
PLACES = ("", "conv", "norm")


def canonical(value):
    """The value as text that says everything, written apart from the code that is tested."""
    if isinstance(value, torch.Tensor):
        return f"tensor {value.dtype} {tuple(value.shape)} {value.numpy().tobytes()!r}"
    if isinstance(value, np.ndarray):
        return f"array {value.dtype} {value.shape} {value.tobytes()!r}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} [{', '.join(map(canonical, value))}]"
    if isinstance(value, dict):
        return "dict {" + ", ".join(f"{key!r}: {canonical(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, functools.partial):
        return f"partial {canonical(value.args)}"
    if isinstance(value, types.FunctionType) and value.__closure__:
        return f"closure {[canonical(cell.cell_contents) for cell in value.__closure__]}"
    if isinstance(value, Slotted):
        return f"slotted {value.number!r}"
    if isinstance(value, Plain):
        return f"plain {canonical(value.inside)}"
    if isinstance(value, frozenset):
        return f"frozenset {sorted(value)}"
    return f"{type(value).__name__} {value!r}"


@settings(max_examples=80)
@given(one=VALUES, other=VALUES, place=st.sampled_from(PLACES), twice=st.booleans())
def test_no_planted_difference_is_ever_overlooked(one, other, place, twice):
    blocks = Body(), Body()
    for block, value in zip(blocks, (one, one if twice else other), strict=True):
        block.get_submodule(place)._planted = copy.deepcopy(value)
    found = list(differences(*blocks))
    if twice or canonical(one) == canonical(other):
        assert found == []
    else:
        assert [entry.attribute for entry in found] == [f"{place}._planted".lstrip(".") if place else "_planted"]


class Ending(Net):
    """Its first block's norm is the one behind the blocks too."""

    def __init__(self, blocks):
        super().__init__(blocks)
        self.last = blocks[0].norm

    def forward(self, x):
        return self.head(self.last(self.body(self.stem(x))).mean((2, 3)))


def test_a_norm_that_is_used_behind_the_blocks_too_keeps_its_block_apart():
    soft = share(Ending([Body() for _ in range(4)]), 1).eval()
    found = structures_of(soft.network, soft.plan)
    assert tuple(found.numbers.values()) == (0, 1, 1, 1)
    assert (found.kept_apart[0].attribute, found.kept_apart[0].reason) == (
        "norm.weight",
        "the same tensor as last.weight",
    )
    looped, tied, _ = fold_forms(soft)
    assert_same(looped, tied)
