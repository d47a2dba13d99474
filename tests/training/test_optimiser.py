"""The optimiser against SGD written out, and its steps of the learning rate."""

import pytest
import torch
from looping import fold_forms
from torch import nn

from foldnet.sharing.share import share
from foldnet.training.learner import MIXING, build_optimiser
from foldnet.training.session import Course
from foldnet.zoo.blueprint import build


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x):
        return self.layers(x)


def networks():
    soft = build("swrn-28-1-4")
    looped, tied, _ = fold_forms(soft, 0.5)
    return {"soft": soft, "tied": tied, "looped": looped, "plain": build("wrn-16-1")}


@pytest.mark.parametrize("form", ["soft", "tied", "looped", "plain"])
def test_every_parameter_is_in_one_group_and_only_mixing_does_not_decay(form):
    model = networks()[form]
    optimiser = build_optimiser(model, lr=0.1, momentum=0.9, weight_decay=5e-4)
    names = {parameter: name for name, parameter in model.named_parameters()}
    grouped = [
        (names[parameter], group["weight_decay"]) for group in optimiser.param_groups for parameter in group["params"]
    ]
    assert sorted(name for name, _ in grouped) == sorted(names.values())
    free = [name for name, decay in grouped if decay == 0]
    assert free == [name for name in names.values() if name.rpartition(".")[2] in MIXING]
    assert len(free) == {"soft": 3, "tied": len(free), "looped": len(free), "plain": 0}[form]
    assert bool(free) == (form != "plain")


def test_a_networks_weights_biases_and_norms_do_decay():
    optimiser = build_optimiser(
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), lr=0.1, momentum=0.9, weight_decay=1.0
    )
    (group,) = optimiser.param_groups
    assert len(group["params"]) == 4
    assert group["weight_decay"] == 1.0


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_three_steps_are_those_of_sgd_with_nesterov_written_out(momentum):
    torch.manual_seed(0)
    model = share(Stack().double(), 2)
    lr, decay = 0.1, 5e-2
    optimiser = build_optimiser(model, lr=lr, momentum=momentum, weight_decay=decay)
    slow = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    speeds = {name: torch.zeros_like(tensor) for name, tensor in slow.items()}
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.randn(3, 4).double()).square().mean().backward()
        for name, parameter in model.named_parameters():
            gradient = parameter.grad + (0 if name.endswith("coefficients") else decay) * slow[name]
            speeds[name] = momentum * speeds[name] + gradient
            slow[name] = slow[name] - lr * (gradient + momentum * speeds[name])
        optimiser.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), slow[name])


def test_the_rate_falls_at_the_papers_epochs():
    rates = [Course(200, 0.1, 0).rate(epoch) for epoch in range(200)]
    falls = [epoch for epoch in range(1, 200) if rates[epoch] != rates[epoch - 1]]
    assert falls == [60, 120, 160]
    assert rates[0] == 0.1
    assert [rates[epoch] for epoch in falls] == pytest.approx([0.02, 0.004, 0.0008])


def test_the_rate_falls_to_a_tenth_after_a_half_and_three_quarters():
    rates = [Course(300, 0.1, 0, "tenths").rate(epoch) for epoch in range(300)]
    falls = [epoch for epoch in range(1, 300) if rates[epoch] != rates[epoch - 1]]
    assert falls == [150, 225]
    assert [rates[epoch] for epoch in (0, *falls)] == pytest.approx([0.1, 0.01, 0.001])
    assert {Course(300, 0.1, 0, "constant").rate(epoch) for epoch in range(300)} == {0.1}


@pytest.mark.parametrize("epochs", range(1, 60))
def test_the_rate_falls_when_that_share_of_the_epochs_is_over_and_never_before_the_first(epochs):
    assert Course(epochs, 0.1, 0).rate(0) == 0.1
    for epoch in range(epochs):
        over = sum(10 * epoch >= tenths * epochs for tenths in (3, 6, 8))
        assert Course(epochs, 1.0, 0).rate(epoch) == pytest.approx(0.2**over)
