"""Pooled batch norm statistics, against those of all data at once."""

import re

import pytest
import torch
from looping import fold_forms
from torch import nn

import foldnet
from foldnet.data.augment import Augmentation
from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset, images_of
from foldnet.errors import SettingError
from foldnet.folding.looped import unroll
from foldnet.folding.recalibrate import recalibrate
from foldnet.sharing.share import banks_of
from foldnet.training.machine import Machine
from foldnet.training.observer import Silent
from foldnet.zoo.blueprint import build

CPU = Machine(torch.device("cpu"), "fp32")


def some_loader(count: int, batch_size: int, **options) -> Loader:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    images = images_of(pixels, torch.arange(count) % 10)
    classes = tuple(str(n) for n in range(10))
    dataset = Dataset("some", classes, images, images, (0.5,), (0.3,), 255.0, Augmentation())
    return Loader(dataset, images, batch_size=batch_size, device=CPU.device, **options)


def network(name: str = "swrn-16-1-2", dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return build(name, channels=1, dropout=dropout)


def norms_of(model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}


def statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items() if "running_" in name}


def slow_statistics(model: nn.Module, batches: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """What every norm sees, laid end to end and measured once, in float64."""
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in norms_of(model)}
    handles = [
        norm.register_forward_pre_hook(lambda norm, args, name=name: seen[name].append(args[0].double()))
        for name, norm in norms_of(model).items()
    ]
    for norm in norms_of(model.eval()).values():
        norm.train()
    with torch.no_grad():
        for x in batches:
            model(x)
    for handle in handles:
        handle.remove()
    found = {}
    for name, parts in seen.items():
        whole = torch.cat(parts)
        found[f"{name}.running_mean"] = whole.mean((0, 2, 3)).float()
        found[f"{name}.running_var"] = whole.var((0, 2, 3), correction=1).float()
    return found


@pytest.mark.parametrize(("count", "batch_size"), [(40, 40), (40, 16), (33, 16), (23, 5)])
def test_statistics_are_those_of_all_the_data_laid_end_to_end(count, batch_size):
    model, again = network(), network()
    assert recalibrate(model, some_loader(count, batch_size), CPU) == count
    expected = slow_statistics(again, [x for x, _ in some_loader(count, batch_size).epoch(0)])
    found = statistics(model)
    assert set(found) == set(expected)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [40, 7])
def test_the_first_norms_statistics_are_those_of_the_stems_output(batch_size):
    model = network()
    loader = some_loader(40, batch_size)
    with torch.no_grad():
        stem = model.network.stem(torch.cat([x for x, _ in loader.in_order()])).double()
    recalibrate(model, loader, CPU)
    first = model.network.stage1[0].norm1
    torch.testing.assert_close(first.running_mean, stem.mean((0, 2, 3)).float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(first.running_var, stem.var((0, 2, 3)).float(), rtol=1e-5, atol=1e-6)


def test_one_batch_makes_evaluation_what_training_was():
    model = network()
    recalibrate(model, some_loader(64, 64), CPU)
    (x, _), *_ = some_loader(64, 64).epoch(0)
    with torch.no_grad():
        evaluated = model(x)
        trained = model.train()(x)
    # Apart from the unbiased variance: 64 images of 2x2 points give n / (n - 1) = 1.004 in the last stage.
    torch.testing.assert_close(evaluated, trained, rtol=0.02, atol=0.02)


def test_nothing_of_the_old_statistics_is_left_and_nothing_else_is_touched():
    one, two = network(), network()
    for norm in norms_of(two).values():
        nn.init.constant_(norm.running_mean, 1e6)
        nn.init.constant_(norm.running_var, torch.nan)
    for model in (one, two):
        recalibrate(model.train(), some_loader(24, 8), CPU)
        assert not any(module.training for module in model.modules())
        assert all(not norm._forward_pre_hooks and not norm._forward_hooks for norm in norms_of(model).values())
        assert all(norm.momentum == 0.1 for norm in norms_of(model).values())
    found = statistics(two)
    assert all(torch.equal(tensor, found[name]) for name, tensor in statistics(one).items())
    fresh = network().state_dict()
    others = {name: tensor for name, tensor in two.state_dict().items() if "running" not in name and "num_" not in name}
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in others.items())
    assert all(parameter.grad is None for parameter in two.parameters())


def test_dropout_is_off():
    one, two = network(dropout=0.0), network(dropout=0.9)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    for model in (one, two):
        recalibrate(model.train(), some_loader(16, 8), CPU)
    found = statistics(two)
    assert all(torch.equal(tensor, found[name]) for name, tensor in statistics(one).items())
    assert torch.equal(torch.get_rng_state(), state)


def test_it_stops_once_enough_images_were_seen():
    seen = []

    class Counting(Silent):
        def begin(self, task, total, part=0, parts=1):
            seen.append((task, total))

        def advance(self, steps=1):
            seen.append(steps)

    model = network()
    assert recalibrate(model, some_loader(40, 8), CPU, images=20, observer=Counting()) == 24
    assert seen == [("recalibrate", 20), 8, 8, 8]
    expected = slow_statistics(network(), [x for x, _ in some_loader(40, 8).epoch(0)][:3])
    for name, tensor in statistics(model).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)


def test_a_norm_without_running_statistics_is_left_alone():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.free, self.kept = nn.BatchNorm2d(1, track_running_stats=False), nn.BatchNorm2d(1)

        def forward(self, x):
            return self.kept(self.free(x)).mean((2, 3))

    model = Odd()
    recalibrate(model, some_loader(16, 8), CPU)
    torch.testing.assert_close(model.kept.running_var, torch.ones(1), rtol=1e-2, atol=0)
    assert model.free.running_mean is None


def test_large_means_keep_their_small_variances():
    """Sums of squares in float32 would lose a variance of 1 beside a mean of 3000."""

    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, x):
            return self.norm(x + 3000).mean((2, 3))

    model, loader = Shifted(), some_loader(64, 16)
    recalibrate(model, loader, CPU)
    x = torch.cat([x for x, _ in loader.in_order()]) + 3000
    torch.testing.assert_close(model.norm.running_var, x.double().var().float()[None], rtol=1e-5, atol=0)


def looping_network(seed: int) -> nn.Module:
    """A soft network whose coefficients make loops: whole blocks alike, with gains of both signs."""
    torch.manual_seed(seed)
    model = build("swrn-28-1-4", channels=1)
    with torch.no_grad():
        for bank in banks_of(model).values():
            layers = len(bank.coefficients)
            rows = bank.coefficients[[0, 1] * (layers // 2)]
            bank.coefficients.copy_(rows * torch.tensor([[1.0], [-0.5], [2.0]]).repeat_interleave(2, 0)[:layers])
        for name, norm in norms_of(model).items():
            nn.init.uniform_(norm.weight, 0.5 + len(name) / 100, 1.5)  # every step has norms of its own
            nn.init.uniform_(norm.bias, -0.3, 0.3)
    return model


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_looped_and_tied_come_to_the_same_statistics_step_by_step(precision):
    model = looping_network(5)
    looped, tied, plan = fold_forms(model, 0.99)
    assert any(hasattr(item, "times") for stage in plan.program.stages for item in stage.items)  # it does loop
    machine = Machine(CPU.device, precision)
    for folded in (looped, tied):
        assert recalibrate(folded, some_loader(48, 16), machine) == 48
    written = unroll(looped, build("wrn-28-1", channels=1))
    found, expected = statistics(written), statistics(tied.network)
    assert set(found) == set(expected)
    tolerance = 1e-4 if precision == "fp32" else 0.05
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=tolerance, atol=tolerance)
    (x, _), *_ = some_loader(48, 16).in_order()
    with torch.no_grad():
        torch.testing.assert_close(looped(x), tied(x), rtol=tolerance, atol=tolerance)


def test_steps_of_one_loop_keep_statistics_of_their_own():
    model = looping_network(5)
    looped, _, _ = fold_forms(model, 0.99)
    recalibrate(looped, some_loader(32, 16), CPU)
    stacked = [tensor for tensor in statistics(looped).values() if tensor.dim() == 2 and len(tensor) > 1]
    assert stacked
    for tensor in stacked:
        assert len({tuple(row.tolist()) for row in tensor}) == len(tensor)


class Twice(nn.Module):
    """One norm that runs twice in a pass, on values of different sizes."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        return self.norm(x) + self.norm(10 * x + 3)


def test_a_norm_called_twice_has_the_statistics_of_both_calls():
    model, loader = Twice(), some_loader(40, 16)
    recalibrate(model, loader, CPU)
    x = torch.cat([x for x, _ in loader.in_order()]).double()
    both = torch.cat([x, 10 * x + 3])
    torch.testing.assert_close(model.norm.running_mean, both.mean().float()[None])
    torch.testing.assert_close(model.norm.running_var, both.var().float()[None])


def test_trips_that_use_one_steps_norm_again_pool_their_statistics():
    looped, _, _ = fold_forms(looping_network(5), 0.99)
    looped.set_trips({"stage2.loop1": 5})
    seen = {}
    norm = looped.network.stage2.blocks["A"].body.norm1
    handle = norm.register_forward_pre_hook(
        lambda module, args: seen.setdefault(module.running_mean.data_ptr(), []).append(args[0].double())
    )
    recalibrate(looped, some_loader(32, 16), CPU)
    handle.remove()
    runs = [torch.cat(parts) for parts in seen.values()]
    assert [len(run) for run in runs] == [32, 32, 96]
    for step, run in enumerate(runs):
        torch.testing.assert_close(norm.running_mean[step], run.mean((0, 2, 3)).float(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var[step], run.var((0, 2, 3)).float(), rtol=1e-4, atol=1e-5)


def test_any_iterable_of_inputs_will_do():
    x, y = torch.randn(6, 1, 4, 4), torch.arange(6)
    wanted = x.mean()[None], x.var()[None]

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, image, scale=1.0):
            return self.norm(image) * scale

    for batches in ([x], [(x, y)], [[x, y]], iter([x]), [((x, y.view(-1, 1, 1, 1)), y)], [{"image": x, "scale": 2.0}]):
        model = Both()
        assert foldnet.recalibrate(model, batches) == 6
        torch.testing.assert_close((model.norm.running_mean, model.norm.running_var), wanted)
    model = Both()
    assert foldnet.recalibrate(model, (part for part in x.split(2)), images=3) == 4


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([], "there is no batch to recalibrate on; give an iterable of x or (x, y) not used up"),
        (
            [3.0],
            "a batch is a float without a tensor; give x or (x, y), where x is a tensor, a tuple of positional inputs or a "
            "dictionary of keyword inputs",
        ),
    ],
)
def test_what_cannot_be_run_is_named(batches, said):
    with pytest.raises(SettingError, match=f"^{re.escape(said)}$"):
        recalibrate(network(), batches)
