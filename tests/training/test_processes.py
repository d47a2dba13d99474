"""What is said where processes lose each other."""

import pytest
import torch.distributed as dist

from foldnet.training.processes import BEAT, GRACE, SILENCE, unreachable

FRAMES = "\nException raised from recvBytes at Utils.hpp:672 (most recent call first):\nframe #0: c10::Error::Error"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(f"[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer{FRAMES}"),
        dist.DistNetworkError(f"failed to recv, got 0 bytes{FRAMES}"),
    ],
)
def test_a_lost_connection_is_one_line_without_a_backtrace(error):
    said = unreachable(error)
    assert said.startswith("another process cannot be reached any more (")
    assert said.endswith("), so this one ends too; go on from the last checkpoint with `resume=True`")
    assert "\n" not in said
    assert "frame" not in said


def test_other_errors_stay_what_they_are():
    assert unreachable(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


def test_a_silent_process_is_given_up_within_half_a_minute():
    assert SILENCE + 2 * BEAT + GRACE < 30 - 10  # ten seconds are left for a machine that does fifteen things at a time
