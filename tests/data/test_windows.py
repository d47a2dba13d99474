"""Windows of a text against slices of bytes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foldnet.data.tasks import UNSCORED
from foldnet.data.windows import read_windows, windows_of


@given(st.binary(min_size=2, max_size=60), st.integers(1, 20))
def test_the_windows_hold_every_step_once(content, length):
    text = torch.tensor(list(content), dtype=torch.uint8)
    windows = windows_of(text, length, whole=False)
    x, y = read_windows(text, windows.ids * length, length)
    assert windows.shape == (len(x), 1, length)
    asked = y != UNSCORED
    assert x[asked].tolist() == list(content[:-1])
    assert y[asked].tolist() == list(content[1:])
    assert not x[~asked].any()
    assert asked[:-1].all()
    assert asked[-1].any()
    whole = windows_of(text, length, whole=True)
    assert len(whole) == (len(content) - 1) // length
    assert (read_windows(text, whole.ids * length, length)[1] != UNSCORED).all()


@pytest.mark.parametrize("start", [0, 1, 5])
def test_a_window_is_the_bytes_from_its_start(start):
    text = torch.arange(10, dtype=torch.uint8) + 246
    x, y = read_windows(text, torch.tensor([start]), 4)
    assert (x.dtype, y.dtype) == (torch.int64, torch.int64)
    assert x.tolist() == [list(range(246 + start, 250 + start))]
    assert y.tolist() == [list(range(247 + start, 251 + start))]


def test_some_windows_are_the_same_windows():
    windows = windows_of(torch.arange(100, dtype=torch.uint8), 10, whole=False)
    some = windows.take(torch.tensor([3, 7]))
    assert (len(windows), len(some), some.ids.tolist(), some.text is windows.text) == (10, 2, [3, 7], True)
