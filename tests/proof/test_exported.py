"""What a certificate of an exported file says: limits, verdicts and exit statuses."""

import pytest
import torch

from foldnet.data.tasks import CLASSES
from foldnet.errors import BrokenPromise
from foldnet.proof.exported import ExportCertificate, Ran, limit_of, run_against, size_promises


class Doubled(torch.nn.Module):
    """Counts its trips, and gives two numbers that are their multiple."""

    def set_trips(self, trips):
        self.trips = dict(trips)

    def forward(self, x):
        return x * (1 + sum(self.trips.values()))


def certificate(*ran: Ran, notes=(), sizes=None):
    sizes = sizes or {"unique": 10**6, "file": 10**6}
    promises = tuple(promise for one in ran for promise in one.promises) + size_promises(sizes, looped=True)
    return ExportCertificate("f", "a.onnx", "0" * 64, "onnx", {}, {}, ran, promises, sizes, True, notes)


def ran(difference=0.0, largest=1.0, broken=0, **trips) -> Ran:
    return Ran("here", "random", 2, 1, trips, difference, largest, broken)


def test_outputs_may_differ_by_a_ten_thousandth_or_by_roundings_of_large_ones():
    assert limit_of(1.0, {}) == limit_of(26.0, {}) == 1e-4
    assert limit_of(1000.0, {}) == pytest.approx(1000 * 32 * 2**-23)
    assert limit_of(1000.0, {"a": 3}) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("found", "passed", "status"),
    [
        (certificate(ran(1e-5)), True, 0),
        (certificate(ran(1e-5), notes=("no images",)), None, 3),
        (certificate(ran(2e-4)), False, 1),
        (certificate(ran(broken=1)), False, 1),
        (certificate(ran(float("nan"))), False, 1),
        (certificate(ran(), sizes={"unique": 10**6, "file": 1_200_000}), False, 1),
        (
            certificate(ran(), sizes={"unique": 10**6, "file": 10**6, "weights": 10**6, "optimised": 1_200_000}),
            False,
            1,
        ),
        (certificate(ran(), sizes={"unique": 10**6, "file": 2 * 10**6, "weights": 10**6, "graph": 10**6}), True, 0),
    ],
)
def test_verdicts(found, passed, status):
    assert (found.passed, found.exit_status) == (passed, status)
    if passed is False:
        with pytest.raises(
            BrokenPromise, match=r"^'a.onnx' does not keep what it promises \(.*\); export the fold again$"
        ):
            found.check()
        assert "BROKEN" in "".join(found.texts())
    else:
        found.check()


def test_of_many_broken_promises_an_error_names_the_first():
    found = certificate(*(ran(0.123456 * (1 + number)) for number in range(5)))
    broken = [one for one in found.promises if not one.held]
    with pytest.raises(BrokenPromise) as caught:
        found.check()
    said = [f"{one.name}: {one.value:.3g} instead of {one.wanted}" for one in broken[:3]]
    assert str(caught.value) == (
        f"'a.onnx' does not keep what it promises ({'; '.join(said)}; and {len(broken) - 3} more); export the fold again"
    )


def test_where_weights_repeat_without_a_loop_their_bytes_are_only_said():
    sizes = {"unique": 10**6, "file": 10**6, "weights": 10**6, "optimised": 3 * 10**6}
    assert [promise.name for promise in size_promises(sizes, looped=False)] == ["bytes of the file"]


def test_both_run_the_same_trips_in_batches_and_the_network_is_left_as_found():
    seen = []
    network, x = Doubled(), torch.tensor([[1.0, 2.0], [4.0, 3.0], [5.0, 5.1]])

    def file(part, trips):
        seen.append(len(part))
        return part * (1 + sum(trips.values())) + torch.tensor([0.0, -0.5])

    found = run_against(file, network, x, 2, {"a": 2}, CLASSES, runtime="here", inputs="random")
    assert seen == [2, 1]
    assert (found.difference, found.broken, network.trips) == (0.5, 1, {})
    assert found.largest == pytest.approx(15.3)
    assert found.name == "here on random inputs in batches of 2, a 2 times"
