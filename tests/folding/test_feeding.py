"""Blocks that the network's own forward runs: which of them are a loop, which loops can be turned, and what is said of others."""

import copy
import re

import pytest
import torch
from looping import fold_forms
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from foldnet.errors import SettingError, UnknownName
from foldnet.folding.looped import unroll
from foldnet.program.data import turnable
from foldnet.program.json import program_from_json
from foldnet.proof.compare import LIMIT
from foldnet.proof.prove import apart
from foldnet.sharing.share import materialise, share
from foldnet.store.codec import to_plain


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x, scale=1.0, *, shift=0.0):
        return x + scale * torch.tanh(self.norm(self.conv(x))) + shift


class Listed(nn.Module):
    """Runs a list of blocks in a way of its own."""

    def __init__(self, way, count=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.blocks = nn.ModuleList(Body() for _ in range(count))
        self.way = way

    def forward(self, x):
        return self.way(self.blocks, self.stem(x))


class Numbered(nn.Module):
    """The same of attributes."""

    def __init__(self, way):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.block1, self.block2, self.block3, self.block4 = (Body() for _ in range(4))
        self.way = way

    def forward(self, x):
        return self.way([self.block1, self.block2, self.block3, self.block4], self.stem(x))


class Ordered(Listed):
    """The same of an nn.Sequential, which something else runs than itself."""

    def __init__(self, way):
        super().__init__(way)
        self.blocks = nn.Sequential(*self.blocks)


def in_order(blocks, x):
    for block in blocks:
        x = block(x)
    return x


def with_something_between(blocks, x):
    for block in blocks:
        x = x + 0.5 * torch.relu(block(x))
    return x


def all_on_the_same(blocks, x):
    shift = 0.1 * torch.ones(1)
    for block in blocks:
        x = block(x, 0.5, shift=shift)
    return x * shift


def around_them_all(blocks, x):
    return in_order(blocks, x) + x


def twice(blocks, x):
    return in_order(blocks, in_order(blocks, x))


def the_last_again(blocks, x):
    return blocks[len(blocks) - 1](in_order(blocks, x))


def each_with_a_number(blocks, x):
    for index, block in enumerate(blocks):
        x = block(x, 0.5 + index)
    return x


def the_first_with_another_number(blocks, x):
    for index, block in enumerate(blocks):
        x = block(x, 2.0 if index == 0 else 1.0)
    return x


def each_with_a_tensor(blocks, x):
    for index, block in enumerate(blocks):
        x = block(x, shift=torch.ones(1) * index)
    return x


def once_something_between(blocks, x):
    for index, block in enumerate(blocks):
        x = torch.relu(block(x)) if index == 1 else block(x)
    return x


def of_chunks(blocks, x):
    for index, block in enumerate(blocks):
        x = block(x).chunk(2, dim=1)
        x = torch.cat((x[index % 2], x[index % 2]), dim=1)
    return x


def with_a_skip(blocks, x):
    first = blocks[0](x)
    return blocks[3](blocks[2](blocks[1](first))) + first


def all_outputs(blocks, x):
    found = []
    for block in blocks:
        x = block(x)
        found.append(x)
    return torch.stack(found).sum(0)


def not_while_watched(blocks, x):
    if _get_current_dispatch_mode() is not None:
        raise RuntimeError
    return in_order(blocks, x)


def by_numbers(blocks, x):
    return blocks[3](blocks[2](blocks[1](blocks[0](x))))


def the_last_by_its_number(blocks, x):
    return blocks[3](in_order(list(blocks)[:3], x))


def no_more_than_four(blocks, x):
    first, second, third, fourth = blocks
    return fourth(third(second(first(x))))


def backwards(blocks, x):
    return in_order(list(blocks)[::-1], x)


def in_another_order(blocks, x):
    return blocks[3](blocks[1](blocks[2](blocks[0](x))))


def side_by_side(blocks, x):
    return sum(block(x) for block in blocks)


def the_last_left_out(blocks, x):
    return in_order(list(blocks)[:3], x)


TURNED = (in_order, with_something_between, all_on_the_same, around_them_all)
SAME = "the network's own forward does not do the same behind 'blocks.{}' and 'blocks.{}'"
MORE = "the network's own forward runs its blocks more than once"
COUNTED = "the network's own forward takes its blocks by their numbers, and runs 4 of 5"
FIXED = {  # loops that run as found, and what is said
    twice: MORE,
    the_last_again: MORE,
    each_with_a_number: SAME.format(0, 1),
    the_first_with_another_number: "'blocks.0' and 'blocks.1' are called with different inputs",
    each_with_a_tensor: SAME.format(0, 1),
    once_something_between: SAME.format(0, 1),
    of_chunks: SAME.format(0, 1),
    with_a_skip: "what 'blocks.1' is given or gives is used again behind 'blocks.3'",
    not_while_watched: "the network's own forward runs its blocks, and cannot be watched (RuntimeError)",
    all_outputs: "what 'blocks.1' is given or gives is used again behind 'blocks.3'",
    by_numbers: COUNTED,
    the_last_by_its_number: COUNTED,
    no_more_than_four: "the network's own forward does not take more blocks (ValueError)",
}
UNORDERED = "the network's forward does not run them in their order, one behind the other"
UNFED = {  # no loops
    backwards: UNORDERED,
    in_another_order: UNORDERED,
    the_last_left_out: UNORDERED,
    side_by_side: "the second is not given what the first gives",
}
X = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def folded(network, inputs=X):
    """Shared with one template a group, so that all of its blocks are tied, and folded; looped, tied, plan."""
    torch.manual_seed(0)
    soft = share(network, 1).eval()
    for module in soft.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean)
    looped, tied, plan = fold_forms(soft, inputs=inputs)
    forms = tied, materialise(soft), unroll(looped, copy.deepcopy(network)).eval(), copy.deepcopy(looped)
    with torch.no_grad():
        assert all(apart(looped(X), form(X)) <= LIMIT for form in forms)
    other = copy.deepcopy(looped)
    other.load_state_dict(looped.state_dict())
    with torch.no_grad():
        assert apart(other.train()(X), copy.deepcopy(tied).train()(X)) <= LIMIT
    assert program_from_json(to_plain(plan.program)) == plan.program
    return looped.eval(), tied.eval(), plan


@pytest.mark.parametrize("way", TURNED)
def test_blocks_that_feed_each_other_alike_are_a_loop_that_can_be_turned(way):
    looped, _, plan = folded(Listed(way))
    assert (turnable(plan.program), plan.kept_apart) == ({"blocks.loop1": 4}, ())
    whole, fewer = unroll(looped, Listed(way)).state_dict(), Listed(way, 2).eval()
    fewer.load_state_dict({name: whole[name] for name in fewer.state_dict()})
    looped.set_trips({"blocks.loop1": 2})
    torch.testing.assert_close(looped(X), fewer(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("network", [Listed, Ordered])
@pytest.mark.parametrize("way", FIXED)
def test_a_loop_that_does_not_go_on_alike_runs_as_often_as_it_was_found(way, network):
    looped, _, plan = folded(network(way))
    assert (plan.program.loops, turnable(plan.program), plan.kept_apart) == (1, {}, ())
    said = f"`trips` names 'blocks.loop1', which runs as often as it was found: {FIXED[way]}"
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        looped.set_trips({"blocks.loop1": 5})
    looped.set_trips({})


@pytest.mark.parametrize("network", [Listed, Ordered, Numbered])
@pytest.mark.parametrize("way", UNFED)
def test_blocks_that_do_not_feed_each_other_in_their_order_are_no_loop(way, network):
    looped, _, plan = folded(network(way))
    assert (plan.program.loops, {entry.reason for entry in plan.kept_apart}) == (0, {UNFED[way]})
    assert {entry.attribute for entry in plan.kept_apart} == {"order"}
    assert len(looped.owners) == 1
    with pytest.raises(UnknownName, match=r"which is not a loop; this network has no loop$"):
        looped.set_trips({f"{plan.program.stages[0].name}.loop1": 5})


@pytest.mark.parametrize("way", [*TURNED, *FIXED])
def test_numbered_blocks_that_feed_each_other_loop_as_the_networks_forward_runs_them(way):
    looped, tied, plan = folded(Numbered(way))
    (stage,) = plan.program.stages
    assert (stage.name, stage.path, stage.paths) == ("blockN", "block1", ("block1", "block2", "block3", "block4"))
    assert (plan.program.loops, [block.label for block in stage.blocks]) == (1, ["A"] * 4)
    said = (
        "`trips` names 'blockN.loop1', which runs as often as it was found: the network's own forward calls its blocks "
        "by their names, 'block1' and 'block2', and no others"
    )
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        looped.set_trips({"blockN.loop1": 5})
    looped.set_trips({})
    for form in (looped, tied):
        form(X).square().mean().backward()
    (ours,), (theirs,) = (
        [one.grad for one in form.parameters() if one.ndim == 4] for form in (looped.owners, tied.sources)
    )
    assert apart(ours, theirs) <= LIMIT
    assert sum(one.numel() for one in looped.parameters()) == sum(one.numel() for one in tied.parameters())


def test_a_sequential_that_runs_its_blocks_itself_can_be_turned_however_often_it_is_called():
    def itself_twice(blocks, x):
        return blocks(blocks(x)) + x

    looped, _, plan = folded(Ordered(itself_twice))
    assert (turnable(plan.program), plan.kept_apart) == ({"blocks.loop1": 4}, ())
    looped.set_trips({"blocks.loop1": 6})


def test_what_was_not_watched_is_a_loop_that_runs_as_it_was_found():
    looped, _, plan = folded(Listed(in_order), None)
    assert plan.program.loops == 1
    said = "the network's own forward runs its blocks, and was not watched; fold it with `inputs`"
    with pytest.raises(SettingError, match=re.escape(said)):
        looped.set_trips({"blocks.loop1": 5})


def test_blocks_of_two_kinds_in_turn_are_watched_in_turn():
    class Two(Listed):
        def __init__(self, uneven):
            super().__init__(in_order)
            self.blocks = nn.ModuleList(nn.Sequential(Body(), *[nn.Tanh()] * (index % 2)) for index in range(6))
            self.uneven = uneven

        def forward(self, x):
            x = self.stem(x)
            for index, block in enumerate(self.blocks):
                x = block(x) if index % 2 == 0 and index != self.uneven else torch.relu(block(x))
            return x

    _, _, plan = folded(Two(uneven=None))
    assert ([item.times for item in plan.program.stages[0].items], plan.program.stages[0].fixed) == ([3], "")
    _, _, plan = folded(Two(uneven=2))
    assert (plan.program.loops, plan.program.stages[0].fixed) == (1, SAME.format(0, 2))
