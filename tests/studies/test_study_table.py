"""Tables of studies: means and deviations against numpy, paired intervals against scipy, forms that hold the same."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from foldnet.errors import SettingError, UnknownName
from foldnet.studies.table import difference, table_of


def result(arch, seed, accuracy, *, folded=None, **further):
    fold = {"kind": "fold", "threshold": 0.9, "made": {"score": folded, "parameters": 50, "stored": 60}}
    train = {"measure": "accuracy", "better": "higher", "score": accuracy, "test_accuracy": accuracy}
    return {
        "trial": f"{arch}{seed}",
        "settings": {"arch": arch, "dataset": "digits", "seed": seed} | further,
        "train": train | {"parameters": 100, "stored": 120, "seconds": 2.0},
        "steps": [] if folded is None else [fold],
    }


RESULTS = [
    result("wrn-16-1", 0, 0.5),
    result("swrn-16-1-2", 0, 0.7, folded=0.65, recurrence=0.5),
    result("wrn-16-1", 1, 0.6),
    result("swrn-16-1-2", 1, 0.9, folded=0.75, recurrence=0.5),
    result("wrn-10-1", 1, 0.4, lr=0.1),
    result("wrn-10-1", 1, 0.3, lr=0.2),
]


def test_seeds_of_one_network_are_one_line_in_the_order_of_the_file():
    found = table_of("demo", RESULTS)
    assert [(line.name, line.score.seeds, line.score.values) for line in found.lines] == [
        ("wrn-16-1", (0, 1), (0.5, 0.6)),
        ("swrn-16-1-2", (0, 1), (0.7, 0.9)),
        ("swrn-16-1-2, fold (threshold=0.9)", (0, 1), (0.65, 0.75)),
        ("wrn-10-1, lr=0.1", (1,), (0.4,)),
        ("wrn-10-1, lr=0.2", (1,), (0.3,)),
    ]


def test_markdown_and_csv_hold_the_same_numbers():
    found = table_of("demo", RESULTS, against="wrn-16-1")
    assert found.printed("markdown").splitlines()[:4] == [
        "| network | dataset | test | seeds | parameters | stored | to wrn-16-1 | time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| wrn-16-1 | digits | 55.00 % ± 7.07 | 2 | 100 | 120 |  | 2 s |",
        "| swrn-16-1-2 | digits | 80.00 % ± 14.14 | 2 | 100 | 120 | +25.00 (-38.53 to +88.53) | 2 s |",
    ]
    lines = list(csv.DictReader(io.StringIO(found.printed("csv"))))
    assert [line["network"] for line in lines] == [line.name for line in found.lines]
    assert float(lines[1]["mean"]) == found.lines[1].score.mean
    assert lines[3]["deviation"] == ""
    assert [(line["parameters"], line["stored"]) for line in lines[1:3]] == [("100.0", "120.0"), ("50.0", "60.0")]


def test_what_is_no_line_or_no_form_is_refused():
    with pytest.raises(
        UnknownName, match=r"^`against='wrn-16-2'` is no network of the study; did you mean 'swrn-16-1-2' or"
    ):
        table_of("demo", RESULTS, against="wrn-16-2")
    with pytest.raises(SettingError, match=r"^`format='html'` is not legal; choose markdown or csv$"):
        table_of("demo", RESULTS).printed("html")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))
def test_intervals_are_those_of_a_paired_t_test(pairs):
    ours, theirs = np.array(pairs).T
    found = difference(tuple(range(len(pairs))), list(ours - theirs))
    assert found.mean == pytest.approx((ours - theirs).mean(), abs=1e-12)
    if np.ptp(ours - theirs) > 1e-6:
        expected = ttest_rel(ours, theirs).confidence_interval(0.95)
        assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)
