"""A family, a source, a task, a picture and an export that foldnet does not know, each one object, go the whole way through the
command line: with options, help, bounds and completion, and no file of foldnet touched."""

import json
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
from foldnet.data.sources import SOURCES, Asked, Source
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
class Heights(Output):
    """Write how far training came, a line an epoch."""

    of, name, endings = RUN, "heights.txt", (".txt",)
    wide: Annotated[int, Option("Columns of the longest line.", bound=Bound(1, 100))] = 10

    def write(self, what: Path, file: Path, observer: Any) -> None:
        lines = [json.loads(line) for line in (what / "metrics.jsonl").read_text().splitlines()]
        write_whole(file, "".join("#" * round(self.wide * line["train_accuracy"]) + "\n" for line in lines))


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
        (TASKS, "sides", Classification(measure="sides")),
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
    assert (trained["arch"], trained["measure"], trained["test_images"], trained["epochs"]) == (
        "stoy-4-8-4",
        "sides",
        80,
        2,
    )
    config = json.loads(Path("runs/a/config.json").read_text())
    assert config["settings"]["source"] == {"name": "toys", "toys": 80}
    similarity = done(foldnet, "lsm", "runs/a")
    assert [group["name"] for group in similarity["groups"]] == ["body"]
    folded = done(foldnet, "fold", "runs/a", "--threshold", "0", "--out", "runs/a/fold")
    assert (folded["loops"], folded["measure"], folded["groups"][0]["owners"]) == (1, "sides", 1)
    assert done(foldnet, "verify", "runs/a/fold")["passed"] is True
    assert done(foldnet, "evaluate", "runs/a/fold")["images"] == 80
    assert done(foldnet, "info", "stoy-4-8-2")["groups"][0]["templates"] == 2
    assert done(foldnet, "render", "graph", "runs/a/fold", "-o", "a.dot")["file"] == "a.dot"
    done(foldnet, "render", "heights", "runs/a", "-o", "a.txt", "--wide", "20")
    assert [set(line) <= {"#"} for line in Path("a.txt").read_text().splitlines()] == [True, True]
    done(foldnet, "export", "runs/a/fold", "--format", "words", "-o", "a.words")
    assert Path("a.words").read_text() == folded["program"]


def test_they_have_help_bounds_and_completion(foldnet):
    helped = foldnet("train", "--help").output
    assert "--toys" in helped
    assert "mazes or toys" in helped
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
