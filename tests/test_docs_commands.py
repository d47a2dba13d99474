"""Every command and every piece of Python in README.md and docs/ runs: page by page, in order, as a reader would run them.

There are fewer digits here, and one epoch where a page does not say for how many. A comment before a block, which readers do not see, says
what else is done differently, because it would take too long:

    <!-- tests: OLD => NEW; OLD => NEW -->    small settings in the place of others
    <!-- tests: as FILE -->                   the block is a file, which the page's commands use
    <!-- tests: not run, REASON -->
"""

import contextlib
import io
import re
import shlex
import shutil
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from conftest import Cli
from PIL import Image
from sklearn.utils import Bunch

import foldnet
from foldnet.data import images
from foldnet.data.sources import Digits

TOP = Path(__file__).parents[1]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
FENCE = re.compile(r"(?:^<!-- tests: (?P<how>.*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
COMMANDS = ("foldnet", "python", "make", "pip", "ray", "torchrun")
NOT_RUN = {  # what no test runs as it stands, by page, and how often
    "README.md": 1,
    "card.md": 2,
    "convert.md": 1,
    "studies.md": 1,
    "training.md": 1,
}
SMALL_STUDY = (  # in processes of its own, which do not know of fewer digits
    ("epochs = 8", 'epochs = 1\ndataset = "folder"\nimage_size = 8\nvalidation = 4\nbatch_size = 8'),
    ('arch = ["wrn-16-1", "swrn-28-1-2", "swrn-28-1-4"]', 'arch = ["wrn-16-1", "swrn-22-1-2"]'),
    ("seed = [0, 1, 2]", "seed = [0, 1]"),
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page, as tests run it."""

    language: str
    text: str
    how: str

    @property
    def file(self):
        """The name of the file that it is, if it is one."""
        return self.how.removeprefix("as ") if self.how.startswith("as ") else None

    @property
    def left_out(self):
        return self.how.startswith("not run, ")

    @property
    def commands(self):
        """Its lines, where it is made of commands."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return lines if not self.language and lines and lines[0].split()[0] in COMMANDS else []


def blocks_of(page):
    found = []
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        text, how = match["text"], match["how"] or ""
        if "=>" in how:
            for change in how.split("; "):
                old, new = (part.strip() for part in change.split("=>"))
                assert old in text, f"{page.name}: '{old}' is not in the block behind the comment that changes it"
                text = text.replace(old, new)
        found.append(Block(match["language"], text, how))
    return found


@pytest.fixture(scope="module", autouse=True)
def few_digits():
    """A tenth of the digits, for one epoch where a page does not say for how many."""
    every = sklearn.datasets.load_digits()
    some = slice(0, 180)
    few = Bunch(images=every.images[some], target=every.target[some], target_names=every.target_names)
    preset = {"epochs": 1, "batch_size": 64, "validation": 30}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.datasets, "load_digits", lambda: few)
        patch.setattr(images, "TEST_IMAGES", 30)
        patch.setattr(Digits, "preset", preset)
        yield


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, few_digits):
    """A trained run, its fold, the examples, and a small study of theirs: what pages take for there."""
    place = tmp_path_factory.mktemp("reader")
    shutil.copytree(TOP / "examples", place / "examples")
    study = place / "examples" / "digits-study.toml"
    text = study.read_text()
    for old, new in SMALL_STUDY:
        assert old in text
        text = text.replace(old, new)
    study.write_text(text)
    shutil.copy(TOP / "README.md", place / "book.txt")
    run = place / "runs" / "first"
    foldnet.train(arch="swrn-22-1-2", out=run)
    foldnet.fold(run, threshold=0.0, out=run / "fold", shares=False)  # so that it loops
    with contextlib.chdir(place):
        draw_pictures(Path("pictures"))
        small = (
            "--data-dir",
            "pictures",
            "--threads",
            "1",
        )  # of two, one waits for the other, which another test holds up
        outcome = Cli()("study", "run", "examples/digits-study.toml", *small)
        assert outcome.code == 0, outcome
    return place


def draw_pictures(folder):
    """Two classes of noise: 8 training and 4 test pictures of each."""
    noise = np.random.default_rng(0)
    for part, kind, number in product(("train", "test"), ("cat", "dog"), range(8)):
        place = folder / part / kind
        place.mkdir(parents=True, exist_ok=True)
        if part == "train" or number < 4:
            Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place / f"{number}.png")


class Reader:
    """Someone who does what a page says, in a folder."""

    def __init__(self, cli, page):
        self.cli, self.page, self.names, self.printed = cli, page, {}, io.StringIO()

    def do(self, block):
        if block.language == "python":
            with contextlib.redirect_stdout(self.printed):
                exec(compile(block.text, self.page.name, "exec"), self.names)
        for line in block.commands:
            self.type(line)

    def type(self, line):
        command, _, file = line.partition(" > ")
        words = [self.meant(word) for word in shlex.split(command, comments=True)]
        while "=" in words[0]:
            words.pop(0)
        if words[0] == "python":  # of examples/, which have tests of their own
            assert Path(words[1]).name in (TOP / "tests" / "test_examples.py").read_text(), line
            return
        assert words[0] == "foldnet", line
        outcome = self.cli(*words[1:])
        assert outcome.code == 0, (line, outcome)
        if file:
            Path(file.partition("#")[0].strip()).write_text(outcome.out)

    def meant(self, word):
        """What stands for RUN, FOLD and STUDY."""
        run = max((path.parent for path in Path("runs").glob("*/config.json")), key=lambda path: path.stat().st_mtime)
        folds = sorted(path.parent for path in run.glob("*/program.json"))
        fold = folds[-1] if folds else "FOLD"
        return word.replace("RUN", str(run)).replace("FOLD", str(fold)).replace("STUDY", "studies/digits-study")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_says_can_be_done(page, shelf, cli, tmp_path, monkeypatch):
    blocks = blocks_of(page)
    assert sum(block.left_out for block in blocks) == NOT_RUN.get(page.name, 0)
    shutil.copytree(shelf, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        if block.file:
            Path(block.file).write_text(block.text)
    reader = Reader(cli, page)
    for block in blocks:
        if not block.left_out and not block.file:
            reader.do(block)
    # What README calls the network that loops does so, by chance.
    assert page.name != "README.md" or " { A" in reader.printed.getvalue()


def test_comments_for_tests_stand_before_blocks():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("<!-- tests:") == sum(bool(block.how) for block in blocks_of(page)), page.name
