"""Pieces of HTML: escaped once, and nothing that runs."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.show.html import Markup, element, joined, table_of, text_of
from foldnet.show.report import Table, Text


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, and texts."""

    def __init__(self):
        super().__init__()
        self.elements, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # the letters behind them around
LETTERS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters=TURNING))


@given(LETTERS, LETTERS)
def test_any_text_is_text_and_nothing_else(inside, title):
    found = read(element("p", inside, title=title))
    assert found.elements == [("p", {"title": title})]
    assert found.text == inside


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\x85", "\ud800", "\ufffe", *TURNING])
def test_what_no_page_may_hold_is_replaced(letter):
    assert element("p", f"a{letter}b", title=letter) == '<p title="\ufffd">a\ufffdb</p>'
    element("p", letter).encode()


def test_markup_stays_and_texts_beside_it_are_escaped():
    assert joined("<", Markup("<b>x</b>"), None, ["&", element("br")]) == "&lt;<b>x</b>&amp;<br>"


def test_nothing_and_false_are_no_attributes_and_numbers_are():
    assert element("input", min=0, low=0.0, hidden=True, a=None, b=False, for_="x", data_y="z") == (
        '<input min="0" low="0.0" hidden for="x" data-y="z">'
    )


@pytest.mark.parametrize("name", ["onclick", "ONLOAD", "style", "a b", "x=y", ""])
def test_attributes_that_run_or_carry_style_are_refused(name):
    with pytest.raises(ValueError, match=r"is no attribute that a page may have$"):
        element("p", **{name: "x"})


@pytest.mark.parametrize("name", ["", "a b", "1", "script>", "/p"])
def test_what_is_no_element_is_refused(name):
    with pytest.raises(ValueError, match=r"is no name of an element$"):
        element(name)


def test_a_table_says_what_it_holds():
    found = table_of(Table(" title ", ("a", "b"), (("x<", 1200), ("y", None))))
    assert found == (
        '<table class="whole2"><caption>title</caption><thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>'
        '<tbody><tr><th scope="row">x&lt;</th><td class="number">1,200</td></tr>'
        '<tr><th scope="row">y</th><td>–</td></tr></tbody></table>'
    )
    assert table_of(Table("", ("a",), ())) == ""
    wide = table_of(Table("", tuple("abcdef"), ((1, 2, 3, 4, 5, "6"),)))
    assert wide.startswith('<table class="wide whole2 whole3 whole4 whole5 whole6"><thead>')


def test_a_text_keeps_its_lines_and_its_tone():
    assert text_of(Text("\na < b\n  c", "note")) == '<pre class="text note">a &lt; b\n  c</pre>'
