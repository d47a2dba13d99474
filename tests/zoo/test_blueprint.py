"""What names mean, and what is said of the others."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.errors import UnknownName
from foldnet.zoo.blueprint import Blueprint, blueprint, build
from foldnet.zoo.families import FAMILIES, AggregatedOptions, DenseOptions, StepOptions, WideOptions, published


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


LEGAL = (
    "legal names are wrn-DEPTH-WIDTH and swrn-DEPTH-WIDTH[-TEMPLATES], densenet-DEPTH-GROWTH, "
    "densenetbc-DEPTH-GROWTH and sdensenetbc-DEPTH-GROWTH[-TEMPLATES], resnext-DEPTH-CARDINALITYxWIDTH and "
    "sresnext-DEPTH-CARDINALITYxWIDTH[-TEMPLATES], timm/MODEL, torchvision/MODEL, FILE.py:FUNCTION for classes of images; "
    "cnn-DEPTH-WIDTH[-recall] and scnn-DEPTH-WIDTH[-TEMPLATES][-recall] for cells of grids; "
    "cnn1d-DEPTH-WIDTH[-recall] and scnn1d-DEPTH-WIDTH[-TEMPLATES][-recall] for bits of strings; "
    "gpt-LAYERS-WIDTH-HEADS[-abacus] and sgpt-LAYERS-WIDTH-HEADS[-TEMPLATES][-abacus] for bytes of text"
)
NO_DENSE = (
    "has no two layers of one shape that could share, since each layer of a dense block sees more channels than the one "
    "before; take densenetbc, whose 3x3 convolutions behind bottlenecks share"
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


@pytest.mark.parametrize(
    ("name", "family", "options", "templates", "plain"),
    [
        ("densenet-40-12", "densenet", DenseOptions(40, 12), None, "densenet-40-12"),
        ("densenet-7-1", "densenet", DenseOptions(7, 1), None, "densenet-7-1"),
        ("densenetbc-10-4", "densenetbc", DenseOptions(10, 4), None, "densenetbc-10-4"),
        ("sdensenetbc-100-12-4", "densenetbc", DenseOptions(100, 12), 4, "densenetbc-100-12"),
        ("sdensenetbc-16-4", "densenetbc", DenseOptions(16, 4), 2, "densenetbc-16-4"),
        ("resnext-29-8x64", "resnext", AggregatedOptions(29, 8, 64), None, "resnext-29-8x64"),
        ("resnext-11-1x1", "resnext", AggregatedOptions(11, 1, 1), None, "resnext-11-1x1"),
        ("sresnext-29-16x64-1", "resnext", AggregatedOptions(29, 16, 64), 1, "resnext-29-16x64"),
        ("sresnext-47-2x4", "resnext", AggregatedOptions(47, 2, 4), 4, "resnext-47-2x4"),
    ],
)
def test_legal_names_of_densely_connected_and_aggregated_networks(name, family, options, templates, plain):
    found = blueprint(name)
    assert found == Blueprint(name, FAMILIES[family], options, templates)
    assert found.plain == blueprint(plain)
    assert found.task == "classes"


def test_dropout_is_an_option_of_those_that_have_it():
    rates = [blueprint(name, dropout=0.2).dropout for name in ("densenet-40-12", "densenetbc-40-12", "resnext-29-8x64")]
    assert rates == [0.2, 0.2, 0.0]


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
        ("sdensenet-40-12-4", f"{NO_DENSE}; did you mean 'sdensenetbc-40-12-4'?"),
        ("sdensenet-41-12", f"{NO_DENSE}; did you mean 'sdensenetbc-40-12'?"),
        ("sdensnet-40-12-44", f"is not known; {LEGAL}; did you mean 'sdensenetbc-40-12-6'?"),
        ("densenet-40-12-4", "is plain and has no templates; did you mean 'sdensenetbc-40-12-4'?"),
        ("densenet-41-12", "has depth 41; legal depths are 7, 10, 13, ...; did you mean 'densenet-40-12'?"),
        ("densenet-40", f"is not known; {LEGAL}; did you mean 'densenet-40-12'?"),
        ("densenet-40-0", "has growth 0; the least is 1; did you mean 'densenet-40-1'?"),
        ("densenet-40x12", f"is not known; {LEGAL}; did you mean 'densenet-40-12'?"),
        ("DenseNet-BC-100-12", f"is not known; {LEGAL}; did you mean 'densenetbc-100-12'?"),
        ("densenetbc-40-12-4", "is plain and has no templates; did you mean 'sdensenetbc-40-12-4'?"),
        ("densenetbc-13-4", "has depth 13; legal depths are 10, 16, 22, ...; did you mean 'densenetbc-10-4'?"),
        ("sdensenetbc-10-4", "has depth 10; legal depths are 16, 22, 28, ...; did you mean 'sdensenetbc-16-4'?"),
        (
            "sdensenetbc-100-12-17",
            "asks for 17 templates; depth 100 has 16 layers a group, so 1 to 16 are legal; "
            "did you mean 'sdensenetbc-100-12-16'?",
        ),
        ("resnext-29-8-64", f"is not known; {LEGAL}; did you mean 'resnext-29-8x64'?"),
        ("resnext-29-8x64d", f"is not known; {LEGAL}; did you mean 'resnext-29-8x64'?"),
        ("resnext29_8x64d", f"is not known; {LEGAL}; did you mean 'resnext-29-8x64'?"),
        ("resnext-29x8x64", f"is not known; {LEGAL}; did you mean 'resnext-29-8x64'?"),
        ("resnext-29", f"is not known; {LEGAL}; did you mean 'resnext-29-8x64' or 'resnext-29-16x64'?"),
        ("resnext-28-8x64", "has depth 28; legal depths are 11, 20, 29, ...; did you mean 'resnext-29-8x64'?"),
        ("resnext-29-8x1000", "has width 1000; the most is 999; did you mean 'resnext-29-8x999'?"),
        ("resnext-29-0x64", "has cardinality 0; the least is 1; did you mean 'resnext-29-1x64'?"),
        ("resnext-29-8x64-2", "is plain and has no templates; did you mean 'sresnext-29-8x64-2'?"),
        ("sresnext-20-8x64", "has depth 20; legal depths are 29, 38, 47, ...; did you mean 'sresnext-29-8x64'?"),
        (
            "sresnext-29-8x64-3",
            "asks for 3 templates; depth 29 has 2 layers a group, so 1 to 2 are legal; "
            "did you mean 'sresnext-29-8x64-2'?",
        ),
    ],
)
def test_illegal_names_are_refused_with_what_is_legal_and_near(name, said):
    for use in (blueprint, build):
        with pytest.raises(UnknownName, match=exactly(f"architecture {name!r} {said}")):
            use(name)


WORD = r"s?(wrn|cnn|densenet|densenetbc|resnext)-\d{1,2}-\d{1,2}(x\d{1,2})?(-\d{1,2})?"
DASHED = st.from_regex(WORD, fullmatch=True, alphabet=st.characters(codec="ascii"))
STEPS = {"wrn": (4, 6), "cnn": (0, 1), "densenet": (4, 3), "densenetbc": (4, 6), "resnext": (2, 9)}


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
        family = architecture.family
        rest, step = STEPS[family.name]
        assert (architecture.options.depth - rest) % step == 0
        assert min(getattr(architecture.options, number) for number in family.numbers) >= 1
        assert (architecture.templates is None) == (not name.startswith("s"))


def test_where_templates_are_asked_for_the_name_that_is_meant_is_a_soft_one():
    with pytest.raises(UnknownName, match=r"^architecture 'wrn-10-1' has depth 10; .*; did you mean 'swrn-16-1'\?$"):
        blueprint("wrn-10-1", templates=2)
