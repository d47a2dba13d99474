"""A step against one written by hand, the epochs around it, and what happens when numbers stop being numbers."""

import json
import math
import re

import pytest
import torch
from torch import nn

from foldnet.data.augment import Augmentation
from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset, Images, images_of
from foldnet.errors import TrainingDiverged
from foldnet.sharing.share import banks_of
from foldnet.store.codec import to_plain
from foldnet.training.learner import Learner, Objective, build_optimiser, recurrence
from foldnet.training.loop import Steps, fit
from foldnet.training.machine import Machine, seeded
from foldnet.training.observer import BEGINNING, EpochMetrics, Journal, Progress
from foldnet.training.session import Course, Session
from foldnet.zoo.blueprint import build

CPU = Machine(torch.device("cpu"), "fp32")
LR, MOMENTUM, DECAY = 0.05, 0.9, 0.1


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


def network(name: str = "swrn-16-1-2", **options) -> nn.Module:
    torch.manual_seed(0)
    return build(name, channels=1, **options)


def some_images(count: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return images_of(pixels, torch.arange(count) % 10)


def some_loader(count: int = 24, batch_size: int = 8) -> Loader:
    images = some_images(count)
    classes = tuple(str(n) for n in range(10))
    dataset = Dataset("some", classes, images, images, (0.5,), (0.3,), 255.0, Augmentation())
    return Loader(dataset, images, batch_size=batch_size, device=CPU.device)


def sgd(model: nn.Module, **options) -> torch.optim.SGD:
    return build_optimiser(model, **({"lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY} | options))


class Told(Journal):
    """A journal that calls a function at the end of each epoch."""

    def __init__(self, function):
        self.after_epoch = function


def fit_some(
    model, optimiser, *, epochs=2, lr=LR, seed=0, train=None, validation=None, objective=None, after_epoch=None, start=0
):
    """Train on a few random images; the lines of metrics that came."""
    seen: list[EpochMetrics] = []
    course = Course(epochs, lr, seed)
    begin = Progress(start, None, None, 0.0) if start else BEGINNING
    session = Session(
        model=model,
        optimiser=optimiser,
        machine=CPU,
        objective=objective or Objective(),
        train=[train or some_loader()],
        validation=[validation] if validation else [],
        course=course,
        start=begin,
    )
    fit(session, Told(after_epoch or seen.append))
    return seen


def slow_similarity(model: nn.Module, form: str) -> torch.Tensor:
    """The regulariser as the paper writes it, a pair at a time."""
    groups = []
    for bank in banks_of(model).values():
        rows = bank.coefficients
        pairs = [
            (rows[i] @ rows[j]).abs() / (rows[i].norm() * rows[j].norm())
            for i in range(len(rows))
            for j in range(len(rows))
            if form == "sum" or i != j
        ]
        groups.append(sum(pairs) if form == "sum" else sum(pairs) / len(pairs))
    return sum(groups) if form == "sum" else sum(groups) / len(groups)


@pytest.mark.parametrize("objective", [Objective(), Objective(0.7), Objective(0.01, "sum")])
def test_steps_are_those_of_nesterov_momentum_written_by_hand(objective):
    model, by_hand = network(), network()
    optimiser = sgd(model)
    velocities = {name: torch.zeros_like(parameter) for name, parameter in by_hand.named_parameters()}
    take = Steps(Learner(model=model, optimiser=optimiser, machine=CPU, objective=objective), 8)
    model.train()
    by_hand.train()
    batches = list(some_loader(24, 8).epoch(0))
    assert len(batches) == 3
    for x, y in batches:
        loss, logits = take(x, y)
        expected = nn.functional.cross_entropy(by_hand(x), y)
        total = expected
        if objective.recurrence:
            total = expected - objective.recurrence * slow_similarity(by_hand, objective.form)
        gradients = torch.autograd.grad(total, list(by_hand.parameters()))
        with torch.no_grad():
            for (name, parameter), gradient in zip(by_hand.named_parameters(), gradients, strict=True):
                decay = 0.0 if name.endswith("coefficients") else DECAY
                gradient = gradient + decay * parameter
                velocities[name] = MOMENTUM * velocities[name] + gradient
                parameter -= LR * (gradient + MOMENTUM * velocities[name])
        torch.testing.assert_close(loss, expected.detach())
        assert logits.shape == (8, 10)
        assert not loss.requires_grad
        assert not logits.requires_grad
    for (name, parameter), (_, expected) in zip(model.named_parameters(), by_hand.named_parameters(), strict=True):
        torch.testing.assert_close(
            parameter, expected, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_gradients_are_cut_at_a_norm_and_a_part_may_stand_for_the_network():
    (x, y), *_ = some_loader().in_order()
    seen = {}
    for clip in (0.0, 1e-3):
        model = network()
        objective = Objective(run=lambda inputs, model=model: 2 * model(inputs), clip=clip, loss=None)
        _, outputs = Steps(Learner(model=model, optimiser=sgd(model), machine=CPU, objective=objective), 8)(x, y)
        torch.testing.assert_close(outputs, 2 * network()(x))
        gradients = [parameter.grad for parameter in model.parameters()]
        seen[clip] = torch.stack([gradient.norm() for gradient in gradients]).norm().item()
    assert seen[0.0] > 0.1
    assert seen[1e-3] == pytest.approx(1e-3, rel=1e-2)


def test_a_loss_of_ones_own_gets_logits_labels_and_inputs():
    model, seen = network(), []
    (x, y), *_ = some_loader().in_order()

    def loss(logits, labels, inputs):
        seen.append((logits.shape, labels, inputs))
        return logits.square().mean()

    learner = Learner(model=model, optimiser=sgd(model), machine=CPU, objective=Objective(loss=loss))
    value, logits = Steps(learner, 8)(x, y)
    assert seen[0][0] == (8, 10)
    assert seen[0][1] is y
    assert seen[0][2] is x
    torch.testing.assert_close(value, logits.square().mean())


def test_fit_sets_the_rate_of_every_group_and_says_it():
    model = network()
    optimiser = sgd(model)
    rates = []

    def after(metrics: EpochMetrics) -> None:
        rates.append((metrics.epoch, metrics.lr, *(group["lr"] for group in optimiser.param_groups)))

    fit_some(model, optimiser, epochs=5, lr=0.01, train=some_loader(8), after_epoch=after)
    expected = [0.01, 0.01, 0.002, 0.0004, 0.00008]
    assert rates == [(epoch + 1, *[pytest.approx(rate)] * 3) for epoch, rate in enumerate(expected)]


def test_metrics_are_counted_over_images_and_are_plain_data():
    model = network()
    train, validation = some_loader(19, 8), some_loader(7, 4)
    (line,) = fit_some(model, sgd(model), epochs=1, train=train, validation=validation, objective=Objective(0.5))
    assert json.loads(json.dumps(to_plain(line), allow_nan=False)) == to_plain(line)
    assert (line.train_accuracy * 19) == pytest.approx(round(line.train_accuracy * 19))
    assert line.validation_accuracy is not None
    assert (line.validation_accuracy * 7) == pytest.approx(round(line.validation_accuracy * 7))
    assert line.recurrence == pytest.approx(recurrence(model, "mean").item())
    assert line.images_per_second == pytest.approx(19 / line.seconds)


def test_the_loss_of_an_epoch_is_the_mean_over_images_not_over_batches():
    model = network()
    train, losses = some_loader(19, 8), []

    def loss(logits, labels, x):
        losses.append((nn.functional.cross_entropy(logits, labels), len(labels)))
        return losses[-1][0]

    (line,) = fit_some(model, sgd(model), epochs=1, train=train, objective=Objective(loss=loss))
    assert [count for _, count in losses] == [8, 8, 3]
    assert line.train_loss == pytest.approx(sum(value.item() * count for value, count in losses) / 19)
    assert (line.recurrence, line.validation_loss, line.validation_accuracy) == (None, None, None)


def test_training_learns():
    model = network()
    lines = fit_some(model, sgd(model, weight_decay=0.0), epochs=12, lr=0.05)
    assert lines[-1].train_loss < 0.5 * lines[0].train_loss


def test_epochs_depend_on_the_seed_and_their_number_alone():
    def trained(seed: int, *, noise: int, parts: tuple[int, ...]) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = build("swrn-16-1-2", channels=1, dropout=0.4)
        optimiser = sgd(model)
        torch.manual_seed(noise)  # what the process drew before must not matter
        start = 0
        for end in parts:

            def stop(metrics: EpochMetrics, end: int = end) -> None:
                if metrics.epoch == end:
                    raise KeyboardInterrupt

            if end < parts[-1]:
                with pytest.raises(KeyboardInterrupt):
                    fit_some(model, optimiser, epochs=parts[-1], seed=seed, start=start, after_epoch=stop)
            else:
                fit_some(model, optimiser, epochs=parts[-1], seed=seed, start=start)
            start = end
        return [parameter.detach() for parameter in model.parameters()]

    whole = trained(3, noise=1, parts=(3,))
    stopped = trained(3, noise=2, parts=(1, 3))
    other = trained(4, noise=1, parts=(3,))
    assert all(torch.equal(one, two) for one, two in zip(whole, stopped, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(whole, other, strict=True))


def test_training_leaves_torchs_own_random_state_alone():
    model = network(dropout=0.3)
    before = torch.get_rng_state()
    fit_some(model, sgd(model), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def stop_after(drawn: torch.Tensor) -> None:
    raise KeyboardInterrupt


def test_seeded_gives_torchs_numbers_and_puts_the_state_back_even_after_an_error():
    torch.manual_seed(7)
    expected = torch.rand(5)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(7, torch.device("cpu")):
        assert torch.equal(torch.rand(5), expected)
    with pytest.raises(KeyboardInterrupt), seeded(0, torch.device("cpu")):
        stop_after(torch.rand(1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.cuda
def test_seeded_leaves_the_gpus_alone():
    device = torch.device("cuda")
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    with seeded(9, torch.device("cpu")):
        torch.rand(1)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    with seeded(9, device):
        first = torch.rand(3, device=device)
    with seeded(9, device):
        assert torch.equal(torch.rand(3, device=device), first)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_recorded():
    model = network()
    seen = []

    def loss(logits, labels, x):
        return logits.sum() * (math.nan if len(seen) == 1 else 0.0)

    with pytest.raises(
        TrainingDiverged,
        match=exactly("the loss of epoch 2 is nan; the checkpoint before, if any, is kept, try `lr=0.005`"),
    ):
        fit_some(model, sgd(model), epochs=3, objective=Objective(loss=loss), after_epoch=seen.append)
    assert [line.epoch for line in seen] == [1]


def test_an_infinite_loss_is_said_too():
    model = network()
    with pytest.raises(
        TrainingDiverged,
        match=exactly("the loss of epoch 1 is inf; the checkpoint before, if any, is kept, try `lr=0.005`"),
    ):
        fit_some(model, sgd(model), objective=Objective(loss=lambda logits, labels, x: logits.sum() * 0 + math.inf))


def test_weights_that_the_last_step_of_an_epoch_ruined_are_never_recorded():
    model = network()
    steps = []

    def loss(logits, labels, x):
        steps.append(x)
        # A loss of 0 and a gradient that is not a number, in the last step of the epoch only.
        ruin = torch.sqrt(logits.sum() * 0) if len(steps) == 3 else logits.sum()
        return ruin * 0 if len(steps) == 3 else ruin

    recorded = []
    with pytest.raises(
        TrainingDiverged,
        match=exactly(
            "epoch 1 leaves weights that are not finite; the checkpoint before, if any, is kept, try `lr=0.005`"
        ),
    ):
        fit_some(model, sgd(model), objective=Objective(loss=loss), after_epoch=recorded.append)
    assert len(steps) == 3
    assert recorded == []


def test_a_validation_loss_that_is_no_number_ends_the_training_too():
    class Unsteady(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, x):
            return self.layer(x.flatten(1)) * (1 if self.training else math.inf)

    model, recorded = Unsteady(), []
    with pytest.raises(
        TrainingDiverged,
        match=exactly("the validation loss of epoch 1 is nan; the checkpoint before, if any, is kept, try `lr=0.005`"),
    ):
        fit_some(model, sgd(model), validation=some_loader(4), after_epoch=recorded.append)
    assert recorded == []


def test_the_regulariser_sets_in_after_the_epochs_that_are_named():
    forms = {"never": Objective(), "late": Objective(0.7, after=1), "at once": Objective(0.7)}
    after = {}
    for name, objective in forms.items():
        model, found = network(), []
        fit_some(
            model,
            sgd(model),
            epochs=2,
            objective=objective,
            after_epoch=lambda _, found=found, model=model: found.append(
                [parameter.detach().clone() for parameter in model.parameters()]
            ),
        )
        after[name] = found

    def same(one, other):
        return all(map(torch.equal, one, other))

    assert same(after["late"][0], after["never"][0])
    assert not same(after["late"][0], after["at once"][0])
    assert not same(after["late"][1], after["never"][1])
