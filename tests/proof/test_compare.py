"""Comparing forms layer by layer: what is measured, and what is noticed."""

import math

import pytest
import torch
from looping import planned
from torch import Tensor, nn

from foldnet.folding.looped import LoopedNetwork, loop_tied, unroll
from foldnet.folding.plan import apply_fold
from foldnet.program.data import Program
from foldnet.proof.compare import (
    LIMIT,
    Difference,
    Gauge,
    LayerGauges,
    compare_forms,
    kinds_of,
    places_of,
    watched,
)
from foldnet.sharing.share import SharedNetwork, materialise, share
from foldnet.zoo.blueprint import build

PLAIN = "wrn-28-1"
CLUSTERS = ((0, 2), (1, 3), (4, 5))  # blocks A A B in every stage
NOTHING = Program((), (), ())


@pytest.fixture(scope="module")
def forms() -> dict[str, nn.Module]:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        soft = share(build(PLAIN), 6)
    clusters = {group.name: CLUSTERS for group in soft.plan.groups}
    plan = planned(soft, clusters)
    looped = loop_tied(apply_fold(soft, plan), plan.program)
    tied = unroll(looped, build(PLAIN))
    found = {"soft": soft, "dense": materialise(soft), "tied": tied, "looped": looped}
    return {name: model.eval() for name, model in found.items()}


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class Says(nn.Module):
    """Gives the logits that it was told to, whatever it is asked."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[: len(x)]


def compare_logits(**logits: list[list[float]]):
    batch = torch.zeros(len(logits["looped"]), 1, 4, 4), torch.zeros(len(logits["looped"]), dtype=torch.int64)
    told = {name: Says(value) for name, value in logits.items()}
    return compare_forms(told, NOTHING, "test", [batch], LayerGauges())


def test_a_gauge_adds_up_batches():
    a, b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 2.5], [3.0, 2.0]])
    gauge = Gauge()
    for row in range(2):
        gauge.add(a[row], b[row])
    expected = (a - b).norm() / b.norm()
    assert gauge.difference() == Difference(2.0, 2.5 / 4, pytest.approx(expected.item(), rel=1e-6))


def test_a_gauge_keeps_what_is_not_a_number():
    gauge = Gauge()
    gauge.add(torch.tensor([math.nan]), torch.tensor([1.0]))
    gauge.add(torch.tensor([5.0]), torch.tensor([1.0]))
    assert all(math.isnan(value) for value in (gauge.difference().max_abs, gauge.difference().relative))


@pytest.mark.parametrize(("value", "relative"), [(0.0, 0.0), (1.0, math.inf)])
def test_a_reference_of_zeros_is_met_or_infinitely_far(value, relative):
    gauge = Gauge()
    gauge.add(torch.tensor([value]), torch.tensor([0.0]))
    assert gauge.difference().relative == relative


def test_every_form_runs_the_same_layers_in_the_same_order(forms, x):
    program = forms["looped"].program
    orders = {}
    for name, model in forms.items():
        seen: list[str] = []
        with watched(places_of(model, program), lambda layer, output, seen=seen: seen.append(layer)):
            model(x)
        orders[name] = seen
    assert orders["looped"] == orders["tied"] == orders["dense"] == orders["soft"]
    assert orders["tied"][:5] == ["stem", "stage1.0.conv1", "stage1.0.conv2", "stage1.0", "stage1.1.conv1"]
    assert orders["tied"][-1] == "classifier"
    # A stem, a classifier, and three stages of four blocks; those that widen also have a shortcut.
    assert len(orders["tied"]) == 2 + 3 * 4 * 3 + 2
    kinds = kinds_of(forms["tied"], program)
    assert set(kinds) == set(orders["tied"])
    assert [kinds[name] for name in ("stem", "stage1.0", "stage2.0.shortcut", "classifier")] == [
        "conv", "block", "conv", "linear",
    ]  # fmt: skip


def test_hooks_are_gone_afterwards(forms, x):
    seen: list[str] = []
    with watched(places_of(forms["tied"], forms["looped"].program), lambda layer, output: seen.append(layer)):
        pass
    forms["tied"](x)
    assert not seen


def test_equal_forms_differ_nowhere(forms, x):
    program, gauges = forms["looped"].program, LayerGauges()
    labels = torch.zeros(2, dtype=torch.int64)
    found = compare_forms(forms, program, "test", [(x, labels), (x, labels)], gauges)
    assert found.count == 4
    assert (found.agreement, found.undecided, found.broken) == (1.0, 0, 0)
    assert found.dense.relative <= LIMIT
    assert found.looped.relative <= LIMIT
    with torch.no_grad():
        right = {name: 2 * int((model(x).argmax(1) == 0).sum()) for name, model in forms.items()}
    assert found.counts == {form: (count,) for form, count in right.items()}
    layers = gauges.layers(kinds_of(forms["tied"], program))
    assert len(layers) == 40
    assert all(layer.dense.relative <= LIMIT and layer.looped.relative <= LIMIT for layer in layers)
    assert not gauges.misses


def test_without_soft_only_tied_and_looped_are_compared(forms, x):
    pair = {name: forms[name] for name in ("looped", "tied")}
    gauges = LayerGauges()
    found = compare_forms(pair, forms["looped"].program, "random", [(x, None)], gauges)
    assert found.dense is None
    assert (found.agreement_soft, found.counts) == (None, None)
    layers = gauges.layers(kinds_of(forms["tied"], forms["looped"].program))
    assert [layer.dense for layer in layers] == [None] * 40


def test_a_difference_shows_from_the_layer_where_it_arises(forms, x):
    program = forms["looped"].program
    tied = unroll(forms["looped"], build(PLAIN)).eval()
    with torch.no_grad():
        tied.stage2[2].conv1.weight.mul_(1.01)
    gauges = LayerGauges()
    compare_forms({"looped": forms["looped"], "tied": tied}, program, "random", [(x, None)], gauges)
    layers = gauges.layers(kinds_of(tied, program))
    first = next(index for index, layer in enumerate(layers) if layer.looped.relative > LIMIT)
    assert layers[first].name == "stage2.2.conv1"
    assert layers[first].looped.relative == pytest.approx(0.01 / 1.01, rel=1e-3)
    assert layers[first].looped.max_abs > layers[first].looped.mean_abs > 0


def test_a_loop_that_turns_once_too_few_is_noticed(forms, x):
    looped = loop_again(forms)
    stage = looped.network.stage1
    stage.schedule = tuple(entry for entry in stage.schedule if entry != ("A", 1))
    gauges = LayerGauges()
    found = compare_forms({"looped": looped, "tied": forms["tied"]}, looped.program, "random", [(x, None)], gauges)
    assert list(gauges.misses) == ["stage1.2.conv1", "stage1.2.conv2", "stage1.2"]
    assert found.looped.relative > LIMIT


def test_a_loop_that_turns_once_too_often_is_noticed(forms, x):
    looped = loop_again(forms)
    stage = looped.network.stage1
    stage.schedule = (*stage.schedule, ("A", 1))
    gauges = LayerGauges()
    found = compare_forms({"looped": looped, "tied": forms["tied"]}, looped.program, "random", [(x, None)], gauges)
    assert list(gauges.misses) == ["stage1.2.conv1 again", "stage1.2.conv2 again", "stage1.2 again"]
    assert found.looped.relative > LIMIT


def loop_again(forms: dict[str, nn.Module]) -> LoopedNetwork:
    """A looped network of one's own, to be broken."""
    soft = forms["soft"]
    assert isinstance(soft, SharedNetwork)
    plan = planned(soft, {group.name: CLUSTERS for group in soft.plan.groups})
    return loop_tied(apply_fold(soft, plan), plan.program).eval()


def test_predictions_that_only_rounding_can_change_are_undecided():
    near = 1.0 + LIMIT
    found = compare_logits(tied=[[1.0, near], [0.0, 1.0]], looped=[[near, 1.0], [0.0, 1.0]])
    assert (found.agreement, found.undecided, found.broken) == (0.5, 1, 0)


def test_predictions_that_change_beyond_rounding_are_broken():
    far = 1.0 + 10 * LIMIT
    found = compare_logits(tied=[[1.0, far], [0.0, 1.0]], looped=[[far, 1.0], [0.0, 1.0]])
    assert (found.agreement, found.undecided, found.broken) == (0.5, 0, 1)


def test_agreement_with_soft_and_right_answers_are_counted():
    same = [[1.0, 0.0], [0.0, 1.0]]
    found = compare_logits(tied=same, looped=same, soft=[[1.0, 0.0], [1.0, 0.0]], dense=[[1.0, 0.0], [1.0, 0.0]])
    assert (found.agreement, found.agreement_soft) == (1.0, 0.5)
    assert found.counts == {"tied": (1,), "looped": (1,), "soft": (2,), "dense": (2,)}
