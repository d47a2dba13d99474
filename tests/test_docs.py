"""README and docs/: written from what was measured, short, and without links that lead nowhere."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foldnet.studies.file import read_study_file

TOP = Path(__file__).parents[1]
TEMPLATES = sorted((TOP / "docs" / "templates").glob("*.md"))
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]


def prose(text):
    """What is left of a page without code, tables' rulers, links' targets and comments."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.S)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)


def anchors(page):
    """The places of a page that a link may lead to."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_what_stands_there_is_what_was_measured():
    done = subprocess.run([sys.executable, TOP / "docs" / "write.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), "run `make docs`"


def test_a_picture_of_other_results_is_drawn_anew(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TOP / "docs")
    picture = importlib.import_module("write").Picture
    results = tmp_path / "small.json"
    results.write_text((TOP / "examples" / "benchmarks" / "figure3-small.json").read_text())
    one = picture(tmp_path / "small.svg", "efficiency", results, {})
    assert not one.stands()
    one.write()
    assert one.stands()
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".svg"] == ["small.svg"]
    results.write_text(results.read_text().replace("0.7609", "0.7610"))
    assert not one.stands()


def test_the_page_of_a_study_is_true_with_all_trials_finished(tmp_path):
    for name in ("docs", "examples"):
        shutil.copytree(TOP / name, tmp_path / name)
    shutil.copy(TOP / "README.md", tmp_path)
    file = tmp_path / "examples" / "benchmarks" / "figure3-small.json"
    content = json.loads(file.read_text())
    content.pop("sha256", None)
    sample = content["results"][0]
    content["results"] = [
        sample
        | {"trial": trial.name, "settings": trial.chosen}
        | {
            "train": sample["train"]
            | {"score": 0.7 + 0.01 * (trial.settings.arch.startswith("s") + trial.settings.seed)}
        }
        for trial in read_study_file(tmp_path / "examples" / "figure3-small.toml").trials
    ]
    file.write_text(json.dumps(content))
    done = subprocess.run([sys.executable, tmp_path / "docs" / "write.py"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        ["docs/benchmarks.md", "docs/figure-3.md", "examples/pictures/figure3-small.svg"],
    )
    page = (tmp_path / "docs" / "figure-3.md").read_text()
    assert "trials are finished" not in page.replace("of the trials that are finished", "")
    assert "| swrn-28-1-2 | cifar10 | 71.50 % ± 0.71 | 2 |" in page
    assert (
        "- cifar10: swrn-28-1-2 to wrn-16-1, 175,066 and 175,066 parameters: +1.00 points (+1.00 to +1.00), 2 seeds.\n"
        in page
    )
    assert "- cifar100: swrn-28-2-4 to wrn-28-2, " in page


def test_every_page_has_a_template():
    assert [page.name for page in TEMPLATES] == sorted(page.name for page in PAGES)


def test_the_readme_is_short():
    assert len(prose((TOP / "README.md").read_text(encoding="utf-8")).split()) <= 1500


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda page: page.name)
def test_no_measured_number_is_typed(template):
    text = re.sub(r"{%.*?%}|{{.*?}}", "", template.read_text(encoding="utf-8"), flags=re.S)
    # Thresholds and shares that are settings or definitions, not measurements.
    allowed = {"0.5 points", "95 %", "5 %", "0.95", "0.5", "3.11", "0.1"}
    typed = re.findall(r"\d+(?:\.\d+)? (?:%|points)|\b0\.\d+|\d+\.\d\d+", prose(text))
    assert [number for number in typed if number not in allowed] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, place = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not place or place in anchors(file), target


def test_commands_of_studies_exist_with_their_options(cli):
    text = (TOP / "docs" / "studies.md").read_text(encoding="utf-8")
    commands = [line.partition("#")[0] for line in re.findall(r"^foldnet .*$", text, flags=re.M)]
    assert len(commands) >= 6
    for command in commands:
        words = re.match(r"foldnet ((?:study|render) \w+|\w+)", command)[1].split()
        known = cli(*words, "--help").out
        assert all(option in known for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", command)), command


def test_the_tree_in_the_readme_names_files_that_are_there():
    tree = (TOP / "README.md").read_text().split("## The code")[1].split("```")[1]
    top, folder = TOP, TOP
    for line in tree.strip().splitlines():
        name, told = line[:20].strip(), line[20:]
        if name:
            top = TOP if not line.startswith(" ") else TOP / "foldnet"
            folder = top / name if name.endswith("/") else top
            assert (top / name).exists(), line
        for file in re.findall(r"\b[\w/]+\.py\b", told):
            assert (folder / file).is_file(), line
