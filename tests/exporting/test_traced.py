"""torch following a network: one thread at a time, silent, and what it cannot follow in a sentence."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from foldnet.errors import SettingError
from foldnet.exporting.given import given
from foldnet.exporting.onnx_file import write_onnx
from foldnet.exporting.pt2 import write_pt2
from foldnet.exporting.traced import traced

X = torch.linspace(-1, 1, 2 * 3).reshape(2, 3)


class Counting(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), -1)


class Asking(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("network", "said"),
    [(Counting(), "its code makes a constant of the batch, 2 here"), (Asking(), "Could not guard on data-dependent ")],
)
def test_what_cannot_be_followed_is_said_in_one_sentence_and_nothing_else(network, said, capfd):
    with pytest.raises(SettingError) as error:
        traced(network, (X,))
    start = "torch.export does not follow the network with any number of inputs in a batch ("
    assert str(error.value).startswith(start + said)
    assert str(error.value).endswith(
        "); write its forward without branches on what is in a tensor, without len(x), and with x.shape[0] where the "
        "size of a batch is needed"
    )
    assert capfd.readouterr() == ("", "")


def test_threads_export_at_once(tmp_path):
    def made(number):
        write, ending = (write_pt2, "pt2") if number == 2 else (write_onnx, "onnx")
        network = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
        return write(given(network, X), tmp_path / f"{number}.{ending}").bytes

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(made, range(3)))
