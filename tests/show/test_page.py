"""The frame of a page: its policy, its data, its shades."""

import json
import re
from base64 import b64encode
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from foldnet.show.page import SHADES, Section, document, json_in_html, shade_of, style_of_pages

PLAIN = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(PLAIN)
def test_data_end_no_element_and_stay_what_they_are(data):
    written = json_in_html(data)
    assert not re.search("[<>&]", written)
    assert json.loads(written) == data


def test_the_policy_allows_the_style_and_the_script_that_are_there_and_nothing_else():
    html = document(
        "<title>", "lead", [Section("one", "One", "text"), Section("none", "None", None)], {"a": "</script>"}
    )
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#x27;", "'")
    style, script = (re.search(rf"<{name}>(.*?)</{name}>", html, flags=re.S)[1] for name in ("style", "script"))
    digests = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert html.count("<script") == html.count("</script>") == 2
    assert "&lt;title&gt;" in html
    assert "<title>&lt;" in html
    assert 'href="#one"' in html
    assert "None" not in html
    assert not re.search(r"https?://", html)
    assert len(script) < 8_000


def test_letters_on_every_shade_have_a_contrast_of_at_least_4_5():
    rules = re.findall(r"\.s(\d+)\{background:#(\w\w)\w{4};color:#(\w)\w\w\}", style_of_pages())
    assert [int(number) for number, *_ in rules] == list(range(SHADES + 1))
    for number, grey, letter in rules:
        share = int(grey, 16) / 255
        light = share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        other = 1.0 if letter == "f" else 0.0
        assert (max(light, other) + 0.05) / (min(light, other) + 0.05) >= 4.5
        assert shade_of(int(number) / SHADES) == int(number)


def test_colours_are_named_in_light_and_dark():
    light, dark = re.findall(r":root\{(.*?)\}", style_of_pages(), flags=re.S)[:2]
    names = [set(re.findall(r"(--[\w-]+):", scheme)) for scheme in (light, dark)]
    assert names[0] == names[1]
    used = set(re.findall(r"var\((--[\w-]+)\)", style_of_pages()))
    assert used <= names[0]
