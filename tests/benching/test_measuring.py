"""Timing in turns, memory at its worst, and operations counted."""

import time

import pytest
import torch
from torch import nn

from foldnet.benching.measuring import Timings, count_flops, peak_bytes, profile, time_in_turns

CPU = torch.device("cpu")


def test_calls_take_turns_and_each_starts_a_round():
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) or time.sleep(0.001) for name in "abc"}
    rounds = []
    found = time_in_turns(calls, rounds=3, device=CPU, least_seconds=0, after_round=lambda: rounds.append(len(order)))
    assert "".join(order) == "aabbcc" + "abc" + "bca" + "cab"
    assert rounds == [9, 12, 15]
    assert [len(timings.samples) for timings in found.values()] == [3, 3, 3]
    assert all(timings.median >= 0.001 for timings in found.values())


def test_short_calls_are_repeated_within_a_sample():
    count = [0]

    def call() -> None:
        count[0] += 1
        time.sleep(0.001)

    found = time_in_turns({"a": call}, rounds=1, device=CPU, least_seconds=0.02)
    assert 3 <= count[0] <= 2 + 20
    assert 0.001 <= found["a"].median < 0.02


def test_ratios_pair_the_samples_of_a_round():
    slow_then_quick = Timings((4.0, 2.0, 6.0))
    assert slow_then_quick.ratio(Timings((2.0, 1.0, 3.0))).samples == (2.0, 2.0, 2.0)
    assert (slow_then_quick.median, slow_then_quick.quartiles) == (4.0, (3.0, 5.0))
    ratio = slow_then_quick.ratio(Timings((2.0, 1.0, 1.5)))
    assert (ratio.median, ratio.quartiles) == (2.0, (2.0, 3.0))
    assert Timings((7.0,)).quartiles == (7.0, 7.0)


def test_a_profile_says_where_the_seconds_of_a_call_go():
    a, count = torch.randn(200, 200), [0]

    def call() -> None:
        count[0] += 1
        torch.mm(a, a)
        torch.add(a[0], 1)

    found = profile(call, calls=3, device=CPU)
    assert count == [3]
    assert list(found)[-1] == "other"
    names, seconds = list(found)[:-1], list(found.values())[:-1]
    assert "aten::mm" in names  # the first, were nothing else running
    assert seconds == sorted(seconds, reverse=True)
    assert all(value >= 0 for value in found.values())


def test_peak_bytes_are_the_model_the_input_and_what_lives_together():
    model = nn.Sequential(*[nn.Linear(100, 100, bias=False) for _ in range(5)])
    x = torch.randn(200, 100)
    weights, activation = 5 * 100 * 100 * 4, 200 * 100 * 4
    # One layer's input and output are alive at once; the first one's input is x itself.
    assert peak_bytes(model, lambda: model(x), x) == weights + activation + 2 * activation


def test_peak_bytes_count_a_weight_that_is_shared_once_and_copies_as_they_are_made():
    layer = nn.Linear(100, 100, bias=False)
    x = torch.randn(1, 100)
    model = nn.Sequential(layer, layer)

    def scaled() -> None:
        torch.nn.functional.linear(x, layer.weight * 2.0)

    assert peak_bytes(model, scaled, x) == 2 * 100 * 100 * 4 + 2 * 100 * 4


def test_flops_of_a_matrix_product_and_a_convolution():
    x, image = torch.randn(2, 3), torch.randn(1, 3, 8, 8)
    conv = nn.Conv2d(3, 4, 3, padding=1)
    assert count_flops(lambda: x @ torch.randn(3, 5)) == 2 * 2 * 3 * 5
    assert count_flops(lambda: conv(image)) == 2 * 8 * 8 * 4 * 3 * 9


@pytest.mark.cuda
def test_peak_bytes_on_cuda_are_at_least_what_is_known_to_live():
    model = nn.Linear(1000, 1000, bias=False).cuda()
    x = torch.randn(1000, 1000, device="cuda")
    assert peak_bytes(model, lambda: model(x), x) >= 3 * 1000 * 1000 * 4
