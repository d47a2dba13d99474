"""Arguments of public functions that do not exist or are of a wrong type are one sentence of foldnet's own."""

import inspect
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest
from torch import nn

import foldnet
from foldnet.bounds import checked
from foldnet.errors import FoldnetError, SettingError

FUNCTIONS = sorted(name for name in foldnet.__all__ if name[0].islower())


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


class Watches(Protocol):
    """Something that type checkers alone can tell."""

    def watch(self) -> None: ...


@checked
def turned(
    path: Path | str,
    times: int = 1,
    *,
    share: float | None = None,
    names: Mapping[str, int] | None = None,
    watcher: Watches | None = None,
    loud: bool = False,
) -> str:
    """What it was called with."""
    return f"{path} {times} {share}"


def test_what_is_right_goes_through():
    assert turned("a", 2, share=1, names={"a": 1}, watcher=object(), loud=True) == "a 2 1"
    assert turned(Path("b")) == "b 1 None"


@pytest.mark.parametrize(
    ("arguments", "keywords", "said"),
    [
        (("a",), {"tims": 2}, "turned() got an unexpected keyword argument 'tims'; did you mean 'times'?"),
        ((), {}, "turned() missing a required argument: 'path'"),
        (("a", 1, 2), {}, "turned() too many positional arguments"),
        ((3,), {}, "turned() wants path as Path or str, and 3 is of type int"),
        (("a", True), {}, "turned() wants times as int, and True is of type bool"),
        (("a", 1.0), {}, "turned() wants times as int, and 1.0 is of type float"),
        (("a",), {"share": "half"}, "turned() wants share as float or None, and half is of type str"),
        (("a",), {"names": ["a"]}, "turned() wants names as Mapping[str, int] or None, and ['a'] is of type list"),
        (("a",), {"loud": 1}, "turned() wants loud as bool, and 1 is of type int"),
    ],
)
def test_what_is_wrong_names_the_argument_and_what_is_wanted(arguments, keywords, said):
    with pytest.raises(SettingError, match=exactly(said)):
        turned(*arguments, **keywords)


def _needed(function) -> dict[str, None]:
    """A value for every argument that must be given."""
    parameters = inspect.signature(function).parameters.values()
    named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    return {one.name: None for one in named if one.default is one.empty}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_unknown_keyword_is_refused_everywhere(name):
    function = getattr(foldnet, name)
    with pytest.raises(FoldnetError, match=r"(got an unexpected keyword argument|setting) 'zzz'"):
        function(**_needed(function), zzz=1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_type_is_refused_everywhere(name):
    function = getattr(foldnet, name)
    first = next(iter(inspect.signature(function).parameters.values()))
    with pytest.raises(SettingError, match=rf"^{name}\(\) wants {first.name} as .*, and 3j is of type complex$"):
        function(**(_needed(function) | {first.name: 3j}))


@pytest.mark.parametrize(
    "keywords", [{"epochs": "many"}, {"arch": 3}, {"lr": [0.1]}, {"seed": None, "resume": "yes"}, {"windows": 5}]
)
def test_settings_of_a_wrong_type_are_refused(keywords, tmp_path):
    with pytest.raises(SettingError):
        foldnet.train(out=tmp_path / "run", **keywords)
    assert not (tmp_path / "run").exists()


def test_other_grids_are_checked_and_stay_what_they_are():
    with pytest.raises(SettingError, match=r"^OtherGrids\(\) wants grid as int or None, and x is of type str$"):
        foldnet.OtherGrids(grid="x")
    with pytest.raises(
        SettingError, match=r"^OtherGrids\(\) got an unexpected keyword argument 'gird'; did you mean 'grid'"
    ):
        foldnet.OtherGrids(gird=3)
    assert pickle.loads(pickle.dumps(foldnet.OtherGrids(grid=9))).grid == 9  # noqa: S301 (its own)


def test_functions_keep_their_names_their_signatures_and_their_pickles():
    assert list(inspect.signature(foldnet.share).parameters) == ["model", "plan", "init"]
    assert foldnet.share.__doc__ is not None
    assert pickle.loads(pickle.dumps(foldnet.fold)) is foldnet.fold  # noqa: S301 (its own)


def test_a_network_is_what_a_network_is_wanted_for():
    assert isinstance(foldnet.materialise(foldnet.build("wrn-10-1")), nn.Module)
    with pytest.raises(SettingError, match=r"^build\(\) wants name as str, and 3 is of type int$"):
        foldnet.build(3)
