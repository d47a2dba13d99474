"""What names mean, and what is said of the others."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.errors import UnknownName
from foldnet.zoo.blueprint import Blueprint, blueprint, build
from foldnet.zoo.families import FAMILIES, StepOptions, WideOptions, published


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


LEGAL = (
    "legal names are wrn-DEPTH-WIDTH and swrn-DEPTH-WIDTH[-TEMPLATES] for classes of images; "
    "cnn-DEPTH-WIDTH[-recall] and scnn-DEPTH-WIDTH[-TEMPLATES][-recall] for cells of grids"
)


@pytest.mark.parametrize(
    ("name", "depth", "width", "templates"),
    [
        ("wrn-28-10", 28, 10, None),
        ("wrn-10-1", 10, 1, None),
        ("swrn-28-10-4", 28, 10, 4),
        ("swrn-28-10", 28, 10, 6),
        ("swrn-16-1", 16, 1, 2),
        ("swrn-40-8-8", 40, 8, 8),
        ("swrn-40-1-10", 40, 1, 10),
    ],
)
def test_legal_names(name, depth, width, templates):
    assert blueprint(name) == Blueprint(name, FAMILIES["wrn"], WideOptions(depth, width), templates)


@pytest.mark.parametrize(
    ("name", "depth", "width", "templates", "recall", "plain"),
    [
        ("cnn-20-32", 20, 32, None, False, "cnn-20-32"),
        ("cnn-1-1", 1, 1, None, False, "cnn-1-1"),
        ("cnn-7-8-recall", 7, 8, None, True, "cnn-7-8-recall"),
        ("scnn-20-32-20", 20, 32, 20, False, "cnn-20-32"),
        ("scnn-20-32", 20, 32, 20, False, "cnn-20-32"),
        ("scnn-20-32-1", 20, 32, 1, False, "cnn-20-32"),
        ("scnn-2-4-1-recall", 2, 4, 1, True, "cnn-2-4-recall"),
    ],
)
def test_legal_names_of_networks_for_cells(name, depth, width, templates, recall, plain):
    found = blueprint(name)
    assert found == Blueprint(name, FAMILIES["cnn"], StepOptions(depth, width, recall), templates, channels=2)
    assert (found.plain.arch, found.task, found.templates) == (plain, "cells", templates)
    assert blueprint("swrn-28-10-4").plain.arch == "wrn-28-10"
    assert blueprint("wrn-28-10").task == "classes"


def test_every_published_name_is_legal():
    assert len(set(published())) == len(published())
    assert [blueprint(name).arch for name in published()] == list(published())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet50", f"is not known; {LEGAL}"),
        ("", f"is not known; {LEGAL}"),
        ("resnet18", f"is not known; {LEGAL}"),
        ("swrn", f"is not known; {LEGAL}"),
        ("swrn-29-2-4", "has depth 29; legal depths are 16, 22, 28, ...; did you mean 'swrn-28-2-4'?"),
        ("srwn-28-2-4", f"is not known; {LEGAL}; did you mean 'swrn-28-2-4'?"),
        ("wrn_28x10", f"is not known; {LEGAL}; did you mean 'wrn-28-10'?"),
        ("wrn-28-10-9", "is plain and has no templates; did you mean 'swrn-28-10-6'?"),
        (
            "scnn-20-32-21-recall",
            "asks for 21 templates; depth 20 has 20 layers a group, so 1 to 20 are legal; did you mean 'scnn-20-32-20-recall'?",
        ),
        ("wrn-28", f"is not known; {LEGAL}; did you mean 'wrn-28-2' or 'wrn-28-4' or 'wrn-28-10'?"),
        ("SWRN-28-10-4", f"is not known; {LEGAL}; did you mean 'swrn-28-10-4'?"),
        (
            "wrn-28-\N{ARABIC-INDIC DIGIT FOUR}",
            f"is not known; {LEGAL}; did you mean 'wrn-28-2' or 'wrn-28-4' or 'wrn-28-10'?",
        ),
        ("wrn-28-10-4", "is plain and has no templates; did you mean 'swrn-28-10-4'?"),
        (
            "swrn-10-2",
            "has depth 10; legal depths are 16, 22, 28, ...; did you mean 'swrn-16-2'?",
        ),
        (
            "wrn-4-2",
            "has depth 4; legal depths are 10, 16, 22, ...; did you mean 'wrn-10-2'?",
        ),
        (
            "wrn-27-1",
            "has depth 27; legal depths are 10, 16, 22, ...; did you mean 'wrn-28-1'?",
        ),
        ("swrn-28-0", "has width 0; the least is 1; did you mean 'swrn-28-1'?"),
        (
            "swrn-28-2-7",
            "asks for 7 templates; depth 28 has 6 layers a group, so 1 to 6 are legal; did you mean 'swrn-28-2-6'?",
        ),
        (
            "swrn-28-2-0",
            "asks for 0 templates; depth 28 has 6 layers a group, so 1 to 6 are legal; did you mean 'swrn-28-2-1'?",
        ),
        (
            "wrn-28-10-recall",
            f"is not known; {LEGAL}; did you mean 'wrn-28-10'?",
        ),
        ("scnn-1-32", "has depth 1; the least is 2; did you mean 'scnn-2-32'?"),
        ("cnn-20-32-20", "is plain and has no templates; did you mean 'scnn-20-32-20'?"),
        (
            "scnn-20-32-21",
            "asks for 21 templates; depth 20 has 20 layers a group, so 1 to 20 are legal; "
            "did you mean 'scnn-20-32-20'?",
        ),
    ],
)
def test_illegal_names_are_refused_with_what_is_legal_and_near(name, said):
    for use in (blueprint, build):
        with pytest.raises(UnknownName, match=exactly(f"architecture {name!r} {said}")):
            use(name)


DASHED = st.from_regex(r"s?(wrn|cnn)-\d{1,2}-\d{1,2}(-\d{1,2})?", fullmatch=True, alphabet=st.characters(codec="ascii"))


@given(DASHED | st.text(max_size=20))
def test_a_name_means_a_network_or_is_refused(name):
    try:
        architecture = blueprint(name)
    except UnknownName as error:
        assert str(error).startswith(f"architecture '{name}' ")  # noqa: PT017 (some of the names are legal)
        for near in re.findall(
            r"(?:did you mean|or) '([a-z0-9-]+)'", str(error).removeprefix(f"architecture '{name}'")
        ):
            assert blueprint(near).arch == near
    else:
        assert architecture.family.name == "cnn" or (architecture.options.depth - 4) % 6 == 0
        assert min(architecture.options.depth, architecture.options.width) >= 1
        assert (architecture.templates is None) == name.startswith(("w", "c"))
