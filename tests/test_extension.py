"""A family, a source, a task, a picture and an export that foldnet does not know, each one object, go the whole way through the
command line: with options, help, bounds and completion, and no file of foldnet touched."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import torch
import typer.testing
from torch import Tensor, nn

from foldnet.bounds import Bound
from foldnet.data.augment import Augmentation
from foldnet.data.dataset import Dataset, images_of
from foldnet.data.source import Asked, Source
from foldnet.data.sources import SOURCES
from foldnet.data.tasks import TASKS, Classification
from foldnet.drawing.output import FOLD, RUN, Output
from foldnet.options import Option
from foldnet.store.files import write_whole
from foldnet.verbs.export import EXPORTS
from foldnet.verbs.render import PICTURES
from foldnet.zoo.families import FAMILIES, Family


class Step(nn.Module):
    """x + relu(linear(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.linear(x))


class Steps(nn.Module):
    """Images, flattened, through equal steps."""

    sequences = ("body",)

    def __init__(self, depth: int, width: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.body = nn.Sequential(*(Step(width) for _ in range(depth)))
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(self.stem(x.flatten(1))))
        return answer


@dataclass(frozen=True, slots=True)
class StepsOptions:
    """How many steps, how wide."""

    depth: int
    width: int


FAMILY = Family(
    "toy",
    StepsOptions,
    lambda options, channels, outputs: Steps(options.depth, options.width, channels * 16, outputs),
    layers=lambda options: int(options.depth),
    task="sides",
    of="sides of toys",
    channels=1,
    published=("stoy-4-8-4",),
)


@dataclass(frozen=True, slots=True)
class Toys(Source):
    """Images of which one half is brighter."""

    name: ClassVar[str] = "toys"
    task: ClassVar[str] = "sides"
    arch: ClassVar[str] = "stoy-4-8-4"
    preset: ClassVar[dict[str, Any]] = {"epochs": 2, "batch_size": 16, "recurrence": 0.5, "recurrence_form": "loops"}
    toys: Annotated[int, Option("How many toys to train on.", bound=Bound(8, 1000))] = 64

    def images(self, asked: Asked) -> Dataset:
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(2 * self.toys) % 2
        pixels = torch.randint(0, 100, (2 * self.toys, 1, 4, 4), generator=generator, dtype=torch.uint8)
        pixels[labels == 1, :, :, 2:] += 100
        train, test = (images_of(pixels[part], labels[part]) for part in (slice(self.toys), slice(self.toys, None)))
        classes = ("left", "right")
        return Dataset(self.name, classes, train, test, (0.3,), (0.3,), 255.0, Augmentation(), TASKS["sides"])


@dataclass(frozen=True, slots=True)
class Doubt(Classification):
    """How far a network is from certain of the brighter side, in bits: a real number, and the less the better."""

    measure: str = "doubt"
    parts: tuple[str, ...] = ("bits",)
    unit: str = "toys"
    better: str = "lower"
    share: bool = False

    def counts_of_each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets, reduction="none")[:, None] / math.log(2)

    def written(self, score: float | None, digits: int = 2) -> str:
        return "-" if score is None else f"{score:.{digits}f} bits"


@dataclass(frozen=True, slots=True)
class Heights(Output):
    """Write how far training came, a line an epoch."""

    of, name, endings = RUN, "heights.txt", (".txt",)
    wide: Annotated[int, Option("Columns of the longest line.", bound=Bound(1, 100))] = 10

    def write(self, what: Path, file: Path, observer: Any) -> None:
        lines = [json.loads(line) for line in (what / "metrics.jsonl").read_text().splitlines()]
        write_whole(file, "".join("#" * round(self.wide * line["train_score"]) + "\n" for line in lines))


@dataclass(frozen=True, slots=True)
class Words(Output):
    """The program of a fold as text."""

    of, name, endings = FOLD, "program.words", (".words",)

    def write(self, what: Path, file: Path, observer: Any) -> None:
        write_whole(file, json.loads((what / "report.json").read_text())["program"])


@pytest.fixture
def foldnet(tmp_path, monkeypatch):
    """The command line, made with all of these registered."""
    for registry, name, entry in (
        (FAMILIES, "toy", FAMILY),
        (SOURCES, "toys", Toys),
        (TASKS, "sides", Doubt()),
        (PICTURES, "heights", Heights),
        (EXPORTS, "words", Words),
    ):
        monkeypatch.setitem(registry, name, entry)
    monkeypatch.chdir(tmp_path)
    from foldnet_cli.main import the_app

    the_app.cache_clear()
    app = the_app()

    def call(*arguments: str, env: dict[str, str] | None = None) -> Any:
        env = {"COLUMNS": "80", "NO_COLOR": "1"} | (env or {})
        return typer.testing.CliRunner().invoke(app, arguments, env=env, prog_name="foldnet")

    yield call
    the_app.cache_clear()


def done(foldnet, *arguments: str) -> Any:
    found = foldnet(*arguments, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_they_go_the_whole_way(foldnet):
    trained = done(foldnet, "train", "--dataset", "toys", "--toys", "80", "--device", "cpu", "--out", "runs/a")
    assert (trained["arch"], trained["test_images"], trained["epochs"]) == ("stoy-4-8-4", 80, 2)
    config = json.loads(Path("runs/a/config.json").read_text())
    assert config["settings"]["source"] == {"name": "toys", "toys": 80}
    similarity = done(foldnet, "lsm", "runs/a")
    assert [group["name"] for group in similarity["groups"]] == ["body"]
    folded = done(foldnet, "fold", "runs/a", "--threshold", "0", "--out", "runs/a/fold")
    assert (folded["loops"], folded["groups"][0]["owners"]) == (1, 1)
    assert done(foldnet, "verify", "runs/a/fold")["passed"] is True
    assert done(foldnet, "evaluate", "runs/a/fold")["images"] == 80
    assert done(foldnet, "info", "stoy-4-8-2")["groups"][0]["templates"] == 2
    assert done(foldnet, "render", "graph", "runs/a/fold", "-o", "a.dot")["file"] == "a.dot"
    done(foldnet, "render", "heights", "runs/a", "-o", "a.txt", "--wide", "20")
    assert [set(line) <= {"#"} for line in Path("a.txt").read_text().splitlines()] == [True, True]
    done(foldnet, "export", "runs/a/fold", "--format", "words", "-o", "a.words")
    assert Path("a.words").read_text() == folded["program"]


def test_a_score_of_which_less_is_better_goes_the_whole_way(foldnet):
    said = foldnet("train", "--dataset", "toys", "--epochs", "3", "--device", "cpu", "--lr", "0.05", "--out", "runs/a")
    assert re.search(r"^epoch   1 .* train \d\.\d bits  val \d\.\d bits ", said.stderr)
    assert re.search(r"^time +.* toys/s on cpu$", said.stdout, re.MULTILINE)
    assert re.search(r"^test +\d\.\d\d bits \(of 64\), last epoch$", said.stdout, re.MULTILINE)
    trained = json.loads(Path("runs/a/report.json").read_text())
    lines = [json.loads(line) for line in Path("runs/a/metrics.jsonl").read_text().splitlines()]
    doubts = [line["validation_score"] for line in lines]
    assert (trained["best_score"], trained["best_epoch"]) == (min(doubts), doubts.index(min(doubts)) + 1)
    named = {"measure": "doubt", "better": "lower"}
    nothing = {"test_accuracy": None, "best_validation_accuracy": None, "test_right": None}
    assert named.items() | nothing.items() <= trained.items()
    assert {line[name] for line in lines for name in ("train_accuracy", "validation_accuracy")} == {None}
    evaluated = done(foldnet, "evaluate", "runs/a")
    assert (named | {"accuracy": None, "right": None}).items() <= evaluated.items()
    assert evaluated["score"] == pytest.approx(trained["score"]) == pytest.approx(evaluated["loss"] / math.log(2))
    swept = done(foldnet, "fold", "runs/a", "--sweep")
    points = swept["units"]["layer"]
    assert swept["accuracy"] is None
    assert {point["accuracy"] for point in points} == {None}
    worst = max(point["score"] for point in points) - swept["score"]["soft"]
    folded = done(foldnet, "fold", "runs/a", "--max-drop", str(worst + 0.01), "--out", "runs/a/fold")
    assert named.items() <= folded.items()
    assert (folded["groups"][0]["owners"], set(folded["accuracy"].values())) == (1, {None, 64})
    assert folded["why"] == f"stores least within {worst + 0.01:g} points of the soft network's validation doubt"
    assert folded["score"]["recalibrated"] == pytest.approx(done(foldnet, "evaluate", "runs/a/fold")["score"])
    better = min(point["score"] for point in points)
    strict = done(foldnet, "fold", "runs/a", "--max-drop", str(max(0, better - swept["score"]["soft"])), "--dry-run")
    assert strict["validation_score"] <= max(better, swept["score"]["soft"]) + 1e-9
    assert done(foldnet, "verify", "runs/a/fold")["passed"] is True
    depth = done(foldnet, "render", "depth", "runs/a/fold", "-o", "depth.svg")
    points = [point for loop in depth["loops"] for point in loop["accuracy"]]
    assert named.items() <= depth.items()
    assert [point["accuracy"] for point in points] == [None] * 9
    assert {point["steps"]: point["score"] for point in points}[4] == pytest.approx(folded["score"]["recalibrated"])
    assert "bits" in foldnet("runs").stdout


def test_they_have_help_bounds_and_completion(foldnet):
    helped = foldnet("train", "--help").output
    assert "--toys" in helped
    assert "text or toys" in re.sub(r"[\s│]+", " ", helped)
    assert "How many toys to train on." in helped
    assert "Columns of the longest line." in foldnet("render", "heights", "--help").output
    refused = foldnet("train", "--dataset", "toys", "--toys", "7")
    assert "--toys 7 is not legal; give a whole number from 8 to 1000" in refused.output
    assert "--toys 9 has no meaning for digits" in foldnet("train", "--toys", "9").output
    assert "did you mean 'stoy-4-8-4'?" in foldnet("train", "--dataset", "toys", "--arch", "stoy-4-8-5").output
    assert (
        "swrn-28-2-4 answers for classes and toys asks for sides"
        in foldnet("train", "--dataset", "toys", "--arch", "swrn-28-2-4").output
    )
    words = {"_FOLDNET_COMPLETE": "complete_bash", "COMP_WORDS": "foldnet train --dataset to", "COMP_CWORD": "3"}
    assert foldnet(env=words).stdout.split() == ["toys"]
    words |= {"COMP_WORDS": "foldnet render he", "COMP_CWORD": "2"}
    assert foldnet(env=words).stdout.split() == ["heights"]
