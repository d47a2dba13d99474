"""Transformer decoders of bytes: sizes, GPT-2's start, what a logit depends on, what shares, and that they loop."""

import math
import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from looping import fold_forms
from torch import nn

from foldnet.errors import ShapeMismatch, UnknownName
from foldnet.program.data import count_reuses
from foldnet.program.text import program_text
from foldnet.sharing.sequences import positions
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.training.learner import recurrence
from foldnet.zoo.blueprint import blueprint, build
from foldnet.zoo.gpt import PLACES, DigitPlaces, GptBlock, digit_places


def numbers(name: str, **shape: int) -> int:
    """Parameters of a network that is not allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(name, **shape).parameters())


def some_bytes(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def shake(model: nn.Module) -> None:
    """Norms and biases that differ from block to block."""
    for name, parameter in model.named_parameters():
        if "norm" in name or name.endswith("bias"):
            parameter.add_(torch.empty_like(parameter).uniform_(-0.5, 0.5))


def test_parameters_are_counted():
    width, context = 128, 128
    block = 12 * width**2 + 9 * width + 4 * width  # weights, biases, two norms
    around = (256 + context) * width + 2 * width
    assert numbers("gpt-8-128-4") == 8 * block + around == 1_635_584
    assert numbers("gpt-8-128-4", size=256) == 1_635_584 + 128 * width
    assert numbers("sgpt-8-128-4-8") == 1_635_584 + 4 * 8 * 8
    assert numbers("sgpt-8-128-4-4") == 1_635_584 - 4 * 12 * width**2 + 4 * 8 * 4 == 849_280
    assert numbers("sgpt-8-128-4-2") == 1_635_584 - 6 * 12 * width**2 + 4 * 8 * 2 == 456_000
    assert numbers("sgpt-8-128-4-1") == 1_635_584 - 7 * 12 * width**2 + 4 * 8 * 1 == 259_360


@torch.no_grad()
def test_it_starts_as_gpt_2_does():
    torch.manual_seed(0)
    network = build("gpt-8-64-2")
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif "norm" in name:
            assert (parameter == 1).all()
        else:
            wanted = 0.02 / math.sqrt(16) if ".out." in name or ".down." in name else 0.02
            assert parameter.std().item() == pytest.approx(wanted, rel=0.05)
    loss = F.cross_entropy(network(some_bytes(4, 64)).flatten(0, 1), some_bytes(4, 64).roll(1, 1).flatten())
    assert loss.item() == pytest.approx(math.log(256), abs=0.1)


@torch.no_grad()
@pytest.mark.parametrize(
    ("templates", "ties"), [(1, None), (3, None), (6, None), (2, (0, 0, 1, 1, 2, 2)), (4, (0, 0, 0, 1, 1, 1))]
)
def test_what_shares_starts_at_its_scale(templates, ties):
    torch.manual_seed(0)
    built = blueprint(f"sgpt-6-64-2-{templates}")
    if ties is not None:
        with torch.device("meta"):
            groups = [group.name for group in built.build().plan.groups]
        built = replace(built, ties=tuple((group, ties) for group in groups))
    network = built.build()
    for place, wanted in (("qkv", 0.02), ("out", 0.02 / math.sqrt(12)), ("up", 0.02), ("down", 0.02 / math.sqrt(12))):
        weights = [weight for name, weight in network.shared_weights() if f".{place}." in name]
        assert torch.stack(weights).square().mean().sqrt().item() == pytest.approx(wanted, rel=0.02)
    with torch.device("meta"):
        assert all(parameter.is_meta for parameter in built.build().parameters())


@torch.no_grad()
@pytest.mark.parametrize("name", ["gpt-2-16-4", "sgpt-2-16-4-1", "gpt-2-16-4-abacus"])
def test_a_later_byte_never_changes_an_earlier_logit(name):
    torch.manual_seed(0)
    network, x = build(name, size=12).eval(), some_bytes(2, 12)
    shake(network)
    before = network(x)
    assert before.shape == (2, 12, 256)
    for place in range(12):
        changed = x.clone()
        changed[:, place:] = (changed[:, place:] + 7) % 256
        after = network(changed)
        assert torch.equal(after[:, :place], before[:, :place])
        assert not torch.allclose(after[:, place], before[:, place])
        torch.testing.assert_close(network(x[:, : place + 1]), before[:, : place + 1])


@torch.no_grad()
def test_a_block_is_attention_written_out():
    torch.manual_seed(0)
    block, x = GptBlock(12, 3, 0.0).eval(), torch.randn(2, 5, 12)
    shake(block)
    q, k, v = block.qkv(block.norm1(x)).split(12, dim=2)
    heads = []
    for start in range(0, 12, 4):
        part = slice(start, start + 4)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / 2
        scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
        heads.append(scores.softmax(2) @ v[..., part])
    y = x + block.out(torch.cat(heads, 2))
    wanted = y + block.down(F.gelu(block.up(block.norm2(y))))
    torch.testing.assert_close(block(x), wanted, rtol=1e-5, atol=1e-5)


def test_the_output_layer_is_the_embedding():
    network = build("gpt-1-8-1", size=4)
    assert not [name for name, _ in network.named_parameters() if "head" in name or "classifier" in name]
    with torch.no_grad():
        before = network.eval()(some_bytes(1, 4))
        network.bytes.weight[200] += 1
    assert not torch.equal(network(some_bytes(1, 4))[..., 200], before[..., 200])


def test_dropout_is_in_training_alone():
    network = blueprint("gpt-2-16-2", size=8, dropout=0.5).build()
    assert torch.equal(network.eval()(some_bytes(2, 8)), network(some_bytes(2, 8)))
    assert not torch.equal(network.train()(some_bytes(2, 8)), network(some_bytes(2, 8)))


def test_more_bytes_than_the_context_are_refused():
    sentence = "5 bytes are more than the 4 that the network sees; give fewer"
    with pytest.raises(ShapeMismatch, match=f"^{re.escape(sentence)}$"):
        build("gpt-1-8-1", size=4)(some_bytes(1, 5))


def slow_places(text: bytes) -> list[int]:
    """Byte by byte."""
    found: list[int] = []
    for byte in text:
        found.append((found[-1] if found else 0) + 1 if chr(byte).isdigit() else 0)
    return found


@pytest.mark.parametrize("text", [b"321+654=9750", b"12 and 007", b"/0:9", b"", b"words", b"5" * 120])
def test_places_are_those_of_digits_in_their_numbers(text):
    x = torch.tensor([list(text), list(text[::-1])], dtype=torch.int64)
    assert digit_places(x).tolist() == [slow_places(text), slow_places(text[::-1])]


def test_the_first_places_are_rotations_of_each_other():
    places = DigitPlaces(16)
    with torch.no_grad():
        places.start()
    pairs = torch.view_as_complex(places.embeddings.weight.detach().view(PLACES + 1, 8, 2))
    turns = pairs[1:] / pairs[:-1]
    torch.testing.assert_close(turns, turns[:1].expand_as(turns), rtol=1e-3, atol=1e-3)
    assert places.embeddings.weight.square().mean().sqrt().item() == pytest.approx(0.02, rel=1e-3)


def test_in_training_places_begin_anywhere_and_else_at_the_first():
    torch.manual_seed(0)
    places, x = DigitPlaces(4), torch.tensor([list(b"12+34")] * 4000)
    with torch.no_grad():
        places.embeddings.weight.copy_(torch.arange(PLACES + 1)[:, None].expand(-1, 4))
    assert places.eval()(x)[..., 0].tolist() == [[1, 2, 0, 1, 2]] * 4000
    found = places.train()(x)[..., 0]
    assert torch.equal(found - found[:, 2:3], torch.tensor([[1.0, 2, 0, 1, 2]]).expand(4000, 5))
    assert found[:, 2].unique().tolist() == list(range(PLACES - 1))
    longest = torch.tensor([list(b"7" * (PLACES + 20))])
    assert places(longest)[0, :, 0].tolist() == [*range(1, PLACES), *[PLACES] * 21]


@torch.no_grad()
def test_with_places_of_digits_any_number_of_bytes_is_seen():
    torch.manual_seed(0)
    network = build("sgpt-2-16-2-1-abacus", size=4).eval()
    assert network(some_bytes(2, 300)).shape == (2, 300, 256)
    x = torch.tensor([list(b"a12+12"), list(b"bb12+1")])
    assert numbers("gpt-2-16-2-abacus", size=4) == numbers("gpt-2-16-2", size=PLACES + 1)
    embedded = network.network.places(x)
    assert torch.equal(embedded[0, 1:3], embedded[0, 4:6])
    assert torch.equal(embedded[0, 1:3], embedded[1, 2:4])


def test_the_network_with_places_of_digits_has_a_name_of_its_own():
    found = blueprint("sgpt-4-64-4-1-abacus")
    assert (found.plain.arch, found.plain.soft(2).arch) == ("gpt-4-64-4-abacus", "sgpt-4-64-4-2-abacus")
    assert found.options.abacus
    with pytest.raises(UnknownName, match=re.escape("did you mean 'sgpt-4-64-4-4-abacus'?")):
        blueprint("sgpt-4-64-4-5-abacus")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt-8-128-3", "has width 128, which 3 heads cannot share out evenly"),
        ("sgpt-1-128-4", "has layers 1; the least of a soft network is 2; did you mean 'sgpt-2-128-4'?"),
        ("gpt-0-128-4", "has layers 0; the least is 1; did you mean 'gpt-1-128-4'?"),
        ("gpt-8-128-0", "has heads 0; the least is 1; did you mean 'gpt-8-128-1'?"),
        ("gpt-8-128-4-2", "is plain and has no templates; did you mean 'sgpt-8-128-4-2'?"),
        (
            "sgpt-8-128-4-9",
            "asks for 9 templates; the network has 8 layers a group, so 1 to 8 are legal; did you mean "
            "'sgpt-8-128-4-8'?",
        ),
    ],
)
def test_illegal_names_are_refused(name, said):
    with pytest.raises(UnknownName, match=f"^{re.escape(f'architecture {name!r} {said}')}$"):
        blueprint(name)


def test_a_group_is_one_place_of_all_blocks():
    with torch.device("meta"):
        soft = build("sgpt-3-16-2-2")
    assert [(group.name, group.layers) for group in soft.plan.groups] == [
        (f"blocks-{shape}", tuple(f"blocks.{block}.{place}" for block in range(3)))
        for shape, place in (("48x16", "qkv"), ("16x16", "out"), ("64x16", "up"), ("16x64", "down"))
    ]
    assert soft.plan.private == (("bytes", "outside the stages"), ("places", "outside the stages"))
    assert {rows for places in positions(soft.network, soft.plan).values() for rows in places} == {(0, 1, 2)}


@torch.no_grad()
def test_with_a_template_a_layer_it_is_the_plain_network():
    torch.manual_seed(0)
    plain, soft, x = build("gpt-3-16-2", size=8).eval(), build("sgpt-3-16-2-3", size=8).eval(), some_bytes(2, 8)
    shake(plain)
    own = soft.network.state_dict()
    soft.network.load_state_dict({name: tensor for name, tensor in plain.state_dict().items() if name in own})
    for group in soft.plan.groups:
        bank = soft.sources[group.name]
        bank.coefficients.copy_(torch.eye(3))
        bank.templates.copy_(torch.stack([plain.get_parameter(f"{layer}.weight") for layer in group.layers]))
    torch.testing.assert_close(soft(x), plain(x), rtol=1e-6, atol=1e-6)
    assert torch.equal(materialise(soft)(x), soft(x))


@torch.no_grad()
@pytest.mark.parametrize("learning", [True, False])
def test_planted_ties_fold_into_loops(learning):
    """Blocks A B A B, whose second A is minus twice the first and second B half of the first."""
    torch.manual_seed(0)
    soft, x = build("sgpt-4-16-2-2", size=8).eval(), some_bytes(3, 8)
    shake(soft)
    for bank in soft.sources.values():
        bank.coefficients.copy_(torch.tensor([[1.0, 0.3], [0.2, 1.0], [-2.0, -0.6], [0.1, 0.5]]))
    looped, tied, plan = fold_forms(soft, 1.0)
    assert (plan.program.loops, count_reuses(plan.program)) == (1, 4 * 2)
    assert program_text(plan.program).splitlines()[0] == "blocks: 2x { A; B }"
    with torch.set_grad_enabled(learning):
        found, expected = looped.eval()(x), tied.eval()(x)
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert (found - soft(x)).norm() <= 1e-4 * expected.norm()
    looped.set_trips({"blocks.loop1": 3})
    assert looped(x).shape == (3, 8, 256)
    assert not torch.equal(looped(x), found)


def test_it_learns_soft_and_looped():
    torch.manual_seed(0)
    soft, x = build("sgpt-4-16-2-2", size=8), some_bytes(3, 8)
    assert isinstance(soft, SharedNetwork)
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.copy_(torch.tensor([[1.0, 0.3], [1.0, 0.3], [1.0, 0.3], [0.1, 0.5]]))
    looped, tied, _ = fold_forms(soft, 1.0)
    for model in (soft, tied, looped):
        F.cross_entropy(model.train()(x).flatten(0, 1), x.flatten()).backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert 1 / 4 <= recurrence(soft, "loops").item() <= 1
