"""The family of errors, and the names that they suggest."""

import inspect
import re

import pytest

from foldnet import errors
from foldnet.errors import FoldnetError, in_order, nearest

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and kind.__module__ == errors.__name__ and not issubclass(kind, Warning)
}


def test_every_error_is_drawn_in_the_tree_with_one_sentence_and_belongs_to_the_family():
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__)
    assert [name for name in CLASSES if name != "FoldnetError"] == drawn
    for kind in CLASSES.values():
        assert issubclass(kind, FoldnetError)
        assert kind.__doc__
        assert "\n" not in kind.__doc__


def test_one_clause_catches_the_family_and_shows_the_sentence():
    with pytest.raises(FoldnetError, match=re.escape("'x' is not there")):
        raise errors.UnknownName("'x' is not there")


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("stge2", ["stage1", "stage2"], "; did you mean 'stage1' or 'stage2'?"),
        ("wrn-28", ["wrn-28-10"], "; did you mean 'wrn-28-10'?"),
        ("zebra", ["stage1", "stage2"], ""),
        ("anything", [], ""),
        ("", ["stage1"], ""),
    ],
)
def test_nearest_names_end_the_sentence(name, known, said):
    assert nearest(name, known) == said


def test_names_are_said_as_people_count():
    assert nearest("stage", [f"stage{number}" for number in range(12, 0, -1)]) == (
        "; did you mean 'stage1' or 'stage2' or 'stage3'?"
    )
    assert in_order(["stage10", "stage2", "stage", "b", "stage02"]) == ["b", "stage", "stage02", "stage2", "stage10"]
    assert in_order(["9" * 5000, "1"]) == ["1", "9" * 5000]  # more digits than int takes


def test_nearest_says_no_more_names_than_asked():
    known = [f"stage{n}" for n in range(1, 9)]
    assert nearest("stage", known).count("'") == 6
    assert nearest("stage1", iter(known), say=1) == "; did you mean 'stage1'?"
