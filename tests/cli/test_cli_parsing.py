"""From what a user typed to values."""

import re

import pytest

from foldnet.errors import SettingError
from foldnet_cli.fold import parse_thresholds


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], (None, ())),
        (["0.95"], (0.95, ())),
        (["1"], (1.0, ())),
        (["stage2=0.9"], (None, (("stage2", 0.9),))),
        (["0.8", "stage2=0.9", "stage3=1e-1"], (0.8, (("stage2", 0.9), ("stage3", 0.1)))),
        ([" 0.8 , stage2=0.9"], (0.8, (("stage2", 0.9),))),
        (["a.b=c=0.5"], (None, (("a.b=c", 0.5),))),
        (["0.8", "0.9"], (0.9, ())),
    ],
)
def test_thresholds_are_for_all_groups_or_for_one(given, wanted):
    assert parse_thresholds(given) == wanted


@pytest.mark.parametrize("entry", ["abc", "", "stage2=", "stage2=x", "0.9;0.8", "=", "0.9="])
def test_what_is_no_threshold_is_said(entry):
    sentence = f"--threshold '{entry}' is not a number or GROUP=NUMBER; write 0.95, stage2=0.9, chance or auto"
    with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
        parse_thresholds([entry])
