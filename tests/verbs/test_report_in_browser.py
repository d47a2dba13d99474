"""The page in a real browser: no request, no complaint, every stop as fold prints it, keys, widths, contrast, paper."""

import dataclasses
import json
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from browser import CONTRASTS, WIDE, Visit, browsing
from playwright.sync_api import expect

from foldnet.show.html import table_of
from foldnet.show.page import Section, document
from foldnet.show.report import Table
from foldnet.store.seals import sealed, sha256_of
from foldnet.verbs.fold import fold
from foldnet.verbs.pages.run import page_of_run
from foldnet.verbs.pages.write import run_html
from foldnet.verbs.report import report

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>'\"&lt;"

HOSTILE_FOLDER = "<b id=bold onmouseover=alert(3)>x\"'$(y)\nz"  # a slash would be another folder


@pytest.fixture(scope="module")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def pages(stock, tmp_path_factory):
    """Pages of the three runs of the stock: soft, tied by hand, and plain."""
    place = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(stock)
        for name in ("soft", "tied", "plain"):
            assert report(f"runs/{name}", place / f"{name}.html").bytes < 500_000
    return place


@pytest.mark.parametrize("name", ["soft", "tied", "plain"])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_asked_for_complained_of_too_wide_or_too_faint(browser, pages, name, dark):
    with Visit(browser, pages / f"{name}.html", width=380, dark=dark) as visit:
        assert visit.page.evaluate(WIDE) == []
        visit.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert visit.page.evaluate(WIDE) == []
        found = visit.page.evaluate(CONTRASTS)
        assert len(found) > 100
        assert [entry for entry in found if entry[0] < entry[1]] == []
        assert visit.asked_for_nothing()
        assert visit.complaints == []


LINES = """one => { const range = document.createRange(); range.selectNodeContents(one);
    return new Set([...range.getClientRects()].map(rect => rect.top)).size; }"""


def test_words_of_a_wide_table_stay_whole_on_paper_and_no_word_is_wider_than_a_phone(browser, tmp_path):
    names = ("epoch", "train accuracy", "validation accuracy", "train loss", "validation loss")
    names += tuple(f"most alike in enc-{size}x32" for size in (32, 64, 96))
    table = table_of(Table("", names, ((1, *[0.1234] * (len(names) - 1)),)))
    (tmp_path / "a.html").write_text(document("a", None, [Section("a", "A", table)], {}))
    with Visit(browser, tmp_path / "a.html", width=720) as visit:
        visit.page.emulate_media(media="print")
        assert visit.page.evaluate(WIDE) == []
        heads = [len(name.split()) for name in names]
        found = [cell.evaluate(LINES) for cell in visit.page.locator("thead th").all()]
        assert all(lines <= words for lines, words in zip(found, heads, strict=True))
        assert {cell.evaluate(LINES) for cell in visit.page.locator("td").all()} == {1}
    with Visit(browser, tmp_path / "a.html", width=380, script=False) as visit:
        assert visit.page.evaluate(WIDE) == []


def test_short_words_beside_long_names_stay_whole_on_a_narrow_screen(browser, tmp_path):
    rows = tuple((f"encoder.layers.{row}.self_attn.in_proj_weight", "a", "+1.18", f"{row}.0 %") for row in range(3))
    table = table_of(Table("", ("tied layer", "owner", "gain", "weight error"), rows))
    (tmp_path / "a.html").write_text(document("a", None, [Section("a", "A", table)], {}))
    with Visit(browser, tmp_path / "a.html", width=380) as visit:
        assert visit.page.evaluate(WIDE) == []
        for cell in visit.page.locator("td, thead th:nth-child(2)").all():
            assert cell.evaluate(LINES) == 1


def shown(page):
    """What of the stop that is shown fold prints too: (program, a row a group of owners and stored weights)."""
    article = page.locator("article.stop:visible")
    assert article.count() == 1
    rows = article.locator("table:has(th:text-is('by chance')) tbody tr")
    cells = [rows.nth(at).locator("th, td").all_text_contents() for at in range(rows.count())]
    return article.locator("pre").first.text_content(), [(row[0], int(row[3]), int(row[4])) for row in cells]


def test_every_stop_shows_what_fold_prints_at_its_height(browser, pages, shelf):
    from foldnet.training.runs import open_run
    from foldnet.verbs.pages.stops import ways_of

    for name in ("soft", "tied"):
        run = open_run(shelf / "runs" / name)
        stops = ways_of(run, run.load()[0]).stops
        with Visit(browser, pages / f"{name}.html") as visit:
            slider = visit.page.locator("#at")
            assert visit.page.locator("article.stop").count() == len(stops) >= (10 if name == "soft" else 3)
            slider.focus()
            visit.page.keyboard.press("Home")
            for number, stop in enumerate(stops):
                assert slider.input_value() == f"{number}"
                threshold = stop.threshold if stop.height is None else stop.height
                made = fold(f"runs/{name}", threshold=threshold, evaluated=False, dry_run=True).report
                groups = [(group.name, group.owners, group.stored) for group in made.groups]
                assert shown(visit.page) == (made.program, groups)
                said = visit.page.locator("#stop").text_content()
                assert said == slider.get_attribute("aria-valuetext")
                assert f"{sum(owners for _, owners, _ in groups)} owner" in said
                assert (stop.height is None) == said.startswith("Nothing merged")
                visit.page.keyboard.press("ArrowRight")
            assert visit.complaints == []


def test_keys_reach_and_move_everything(browser, pages):
    with Visit(browser, pages / "tied.html") as visit:
        page = visit.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate(
                    "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
                )
            )
        assert {"at", "epoch", "play", "copy", "SUMMARY", "A"} <= reached
        assert any("s20" in one for one in reached)  # the first cell of a matrix, and no other of it
        cell = page.locator("table.matrix[data-group=stage2] tbody td").first
        cell.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        pointed = page.locator("#pointed")
        assert pointed.text_content() == "stage2: 1.conv1 and 2.conv1: 1.0000, more alike than chance, tied"
        page.keyboard.press("End")
        page.keyboard.press("ArrowDown")
        assert pointed.text_content().startswith("stage2: 1.conv2 and 3.conv2: ")
        page.locator("#epoch").focus()
        page.keyboard.press("Home")
        assert page.locator("#epoch-said").text_content().startswith("Epoch 0; most alike: stage1 ")
        page.locator("#play").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#epoch-said")).to_have_text(re.compile("^Epoch 3; "))
        expect(page.locator("#play")).to_have_text("Play")
        page.locator("header button.copy").focus()
        page.keyboard.press("Enter")
        expect(page.locator("header button.copy")).to_have_text(re.compile("^(Copied|Selected)$"))
        assert visit.complaints == []


def test_pointing_at_a_cell_says_what_it_is(browser, pages):
    with Visit(browser, pages / "tied.html") as visit:
        visit.page.locator("table.matrix[data-group=stage1] tbody td").nth(4).hover()
        assert visit.page.locator("#pointed").text_content() == "stage1: 1.conv1 and 3.conv1: 0.7071"


def test_every_control_and_picture_has_a_name_and_every_id_is_one(browser, pages):
    with Visit(browser, pages / "tied.html") as visit:
        unnamed = """() => [...document.querySelectorAll('input, button, nav, [role=img], [role=grid]')].filter(one =>
            !(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length)).length"""
        assert visit.page.evaluate(unnamed) == 0
        ids = visit.page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
        assert len(ids) == len(set(ids))
        links = visit.page.evaluate("[...document.querySelectorAll('a, use')].map(one => one.getAttribute('href'))")
        assert {link[1:] for link in links} <= set(ids)
        levels = visit.page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_on_paper_one_stop_is_left_and_nothing_to_press(browser, pages):
    with Visit(browser, pages / "tied.html", dark=True) as visit:
        visit.page.emulate_media(media="print")
        assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert visit.page.locator("button:visible, input:visible").count() == 0
        assert visit.page.locator("article.stop:visible").count() == 1
        assert visit.page.pdf().startswith(b"%PDF")


def test_without_script_all_stops_are_there(browser, pages):
    with Visit(browser, pages / "tied.html", script=False) as visit:
        assert visit.page.locator("article.stop:visible").count() == 3
        assert visit.page.locator("button:visible, input:visible").count() == 0


def test_names_and_texts_of_folders_are_no_markup(browser, home, put):
    folder, fold_folder = (home / "runs" / HOSTILE_FOLDER, home / "runs" / HOSTILE_FOLDER / "fold-0.95")
    shutil.copytree(home / "runs" / "tied", folder)
    put(
        fold_folder / "report.json",
        json.dumps(json.loads((fold_folder / "report.json").read_text()) | {"why": HOSTILE}),
    )
    config = json.loads((fold_folder / "config.json").read_text())
    config["files"]["report.json"] = sha256_of(fold_folder / "report.json")
    put(fold_folder / "config.json", json.dumps(sealed(config)))
    report(Path("runs") / HOSTILE_FOLDER, "page.html")
    with Visit(browser, home / "page.html") as visit:
        assert_only_ours(visit)
        assert HOSTILE in visit.page.locator("#folds").text_content()
        assert visit.page.locator("h1").text_content() == f"foldnet: runs/{HOSTILE_FOLDER}"
        copied = visit.page.locator("header .command code").text_content()
        assert shlex.split(copied) == ["foldnet", "report", f"runs/{HOSTILE_FOLDER}"]


def test_names_of_layers_groups_and_datasets_are_no_markup(browser, shelf, tmp_path):
    page = renamed(page_of_run(Path("runs/tied")))
    (tmp_path / "page.html").write_text(run_html(page))
    with Visit(browser, tmp_path / "page.html", width=380) as visit:
        assert_only_ours(visit)
        assert visit.page.evaluate(WIDE) == []
        assert HOSTILE in visit.page.locator("#trained").text_content()
        assert f"{HOSTILE}conv1" in visit.page.locator("#threshold symbol").first.text_content()
        visit.page.locator("table.matrix tbody td").nth(1).hover()
        assert HOSTILE in visit.page.locator("#pointed").text_content()
        visit.page.locator("#at").focus()
        visit.page.keyboard.press("Home")
        assert visit.complaints == []


def assert_only_ours(visit):
    """Nothing of a page is of other kinds than what foldnet writes, and nothing ran."""
    assert visit.page.locator("img, iframe, object, embed, form, b[onmouseover]").count() == 0
    assert visit.page.locator("script").count() == 2
    assert (
        visit.page.evaluate(
            "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames()).filter(name => name.startsWith('on'))"
        )
        == []
    )
    assert visit.asked_for_nothing()
    assert visit.complaints == []


def renamed(value):
    """The same page of a run whose layers, groups and data set have hostile names."""
    if isinstance(value, str):
        for name in ("conv1", "stage2", "digits"):
            value = value.replace(name, HOSTILE + name)
        return value
    if dataclasses.is_dataclass(value):
        fields = (field.name for field in dataclasses.fields(value) if field.init)
        return dataclasses.replace(value, **{name: renamed(getattr(value, name)) for name in fields})
    if isinstance(value, dict):
        return {renamed(key): renamed(entry) for key, entry in value.items()}
    return type(value)(map(renamed, value)) if type(value) in (list, tuple) else value
