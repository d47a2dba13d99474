"""The optimiser against SGD written out, and its steps of the learning rate."""

import math

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


@pytest.mark.parametrize("form", ["soft", "tied", "looped", "plain"])
def test_with_adamw_weights_and_templates_alone_decay(form):
    """In a loop norms and biases are stacked by step, with as many axes as a weight."""
    soft = build("sgpt-4-8-2-2", size=4)
    with torch.no_grad():
        for bank in soft.sources.values():
            bank.coefficients.copy_(torch.tensor([[1.0, 0.3], [1.0, 0.3], [1.0, 0.3], [0.1, 0.5]]))
    looped, tied, _ = fold_forms(soft, 1.0)
    model = {"soft": soft, "tied": tied, "looped": looped, "plain": build("gpt-4-8-2", size=4)}[form]
    optimiser = build_optimiser(model, lr=0.1, momentum=0.9, weight_decay=0.1, kind="adamw")
    names = {parameter: name for name, parameter in model.named_parameters()}
    decayed, free = ([names[parameter] for parameter in group["params"]] for group in optimiser.param_groups)
    assert isinstance(optimiser, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.1, 0.0]
    assert sorted(decayed + free) == sorted(names.values())
    last = {"soft": {"templates"}, "tied": {"0", "1"}, "looped": {"0", "1"}, "plain": {"weight"}}[form]
    assert {name.rpartition(".")[2] for name in decayed} == last
    assert len(decayed) == {"soft": 4, "tied": 8, "looped": 8, "plain": 16}[form]
    assert {"bytes.weight", "places.weight"} <= {name.removeprefix("network.") for name in free}


def test_three_steps_are_those_of_adamw_written_out():
    torch.manual_seed(0)
    model = share(Stack().double(), 2)
    lr, decay = 0.1, 0.2
    optimiser = build_optimiser(model, lr=lr, momentum=0.9, weight_decay=decay, kind="adamw")
    slow = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    means, squares = ({name: torch.zeros_like(tensor) for name, tensor in slow.items()} for _ in range(2))
    for step in range(1, 4):
        optimiser.zero_grad()
        model(torch.randn(3, 4).double()).square().mean().backward()
        for name, parameter in model.named_parameters():
            if name.endswith("templates"):
                slow[name] = slow[name] * (1 - lr * decay)
            means[name] = 0.9 * means[name] + 0.1 * parameter.grad
            squares[name] = 0.95 * squares[name] + 0.05 * parameter.grad**2
            mean, square = means[name] / (1 - 0.9**step), squares[name] / (1 - 0.95**step)
            slow[name] = slow[name] - lr * mean / (square.sqrt() + 1e-8)
        optimiser.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), slow[name])


def test_the_rate_rises_by_equal_steps_and_falls_along_half_a_cosine():
    steps, epochs, warmup = 5, 8, 0.25
    course = Course(epochs, 0.1, 0, "cosine", warmup=warmup)
    rates = [course.rate(epoch, step, steps) for epoch in range(epochs) for step in range(steps)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) / 10 for step in range(10)])
    assert rates[10:] == pytest.approx([0.05 * (1 + math.cos(math.pi * step / 30)) for step in range(30)])
    assert Course(epochs, 0.1, 0, "cosine").rate(4) == pytest.approx(0.05)
    other = [Course(epochs, 0.1, 0, "steps", warmup=0.25).rate(epoch, 4, 5) for epoch in range(epochs)]
    assert other == pytest.approx([0.05, 0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.0008])


def test_a_longer_training_goes_on_along_the_longer_wave():
    longer = Course(8, 0.1, 0, "cosine", ((2, 4),), warmup=0.25)  # 2 of 4 epochs, then those of 8
    found = [longer.rate(epoch, step, 3) for epoch in range(8) for step in range(3)]
    short, long = (Course(epochs, 0.1, 0, "cosine", warmup=0.25) for epochs in (4, 8))
    assert found[:6] == [short.rate(epoch, step, 3) for epoch in range(2) for step in range(3)]
    assert found[6:] == [long.rate(epoch, step, 3) for epoch in range(2, 8) for step in range(3)]


@pytest.mark.parametrize("schedule", ["steps", "tenths", "constant"])
def test_other_schedules_stay_what_they_are_within_an_epoch(schedule):
    course = Course(7, 0.1, 0, schedule)
    assert all(course.rate(epoch, step, 9) == course.rate(epoch) for epoch in range(7) for step in range(9))
