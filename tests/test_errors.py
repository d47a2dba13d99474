"""The family of errors, and the names that they suggest."""

import inspect
import re

import pytest

from foldnet import errors
from foldnet.errors import FoldnetError, nearest

CLASSES = {
    name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and kind.__module__ == errors.__name__
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
        ("stge2", ["stage1", "stage2"], "; did you mean 'stage2' or 'stage1'?"),
        ("wrn-28", ["wrn-28-10"], "; did you mean 'wrn-28-10'?"),
        ("zebra", ["stage1", "stage2"], ""),
        ("anything", [], ""),
        ("", ["stage1"], ""),
    ],
)
def test_nearest_names_end_the_sentence(name, known, said):
    assert nearest(name, known) == said


def test_nearest_says_no_more_names_than_asked():
    known = [f"stage{n}" for n in range(1, 9)]
    assert nearest("stage", known).count("'") == 6
    assert nearest("stage1", iter(known), say=1) == "; did you mean 'stage1'?"
