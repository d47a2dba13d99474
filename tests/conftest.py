"""What tests share: one thread, two tiny trained runs, a folded one, and the command line called from inside."""

import gc
import hashlib
import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np  # noqa: F401 (loaded before its threads are limited)
import pytest
import torch
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

# The networks are tiny: a second thread only waits, for as long as another process holds the processor.
torch.set_num_threads(1)
threadpool_limits(1)  # the same for numpy's matrices
# Looking for cycles in what every copied network is made of takes a fourteenth of a fold.
gc.freeze()
gc.set_threshold(50_000)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job, and what it starts, ignores it
os.environ.pop("FOLDNET_HOME", None)  # whoever runs the tests may keep runs elsewhere

# How long a test takes says how busy the machine is, not whether the code is right.
slow = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=slow)
hypothesis.settings.load_profile("patient")

SOFT = {"arch": "swrn-28-1-4", "epochs": 3, "recurrence": 2.0, "precision": "fp32", "device": "cpu"}
PLAIN = {"arch": "wrn-16-1", "epochs": 1, "precision": "fp32", "device": "cpu"}
GROUPS = ("stage1", "stage2", "stage3")


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        assert (self.code, self.out.count("\n")) == (0, 1), self
        return json.loads(self.out)


class Cli:
    """The command line, called from inside."""

    def __call__(self, *arguments: object) -> Outcome:
        """Call it; an exception that it lets through is the test's."""
        from foldnet_cli.main import app

        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    def done(self, *arguments: object) -> Any:
        """Call it with --json, which must go well and print nothing but the object."""
        outcome = self(*arguments, "--json")
        assert outcome.code == 0, outcome
        return outcome.json

    def refused(self, *arguments: object) -> str:
        """The one sentence of a refusal: exit 1, nothing on stdout, no traceback, and nothing changed on the disk.

        What was taken where nothing was named may be said before.
        """
        before = state_of(Path())
        outcome = self(*arguments)
        assert (outcome.code, outcome.out) == (1, ""), outcome
        *took, sentence = outcome.err.removesuffix("\n").split("\n")
        assert sentence.startswith("Error: "), outcome
        assert all(line.startswith("using ") for line in took), outcome
        assert "unexpected" not in outcome.err, outcome
        assert state_of(Path()) == before
        return sentence.removeprefix("Error: ")


def contents_of(folder: Path) -> dict[str, str]:
    """Every file and folder below `folder`, with what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def state_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every file and folder below `folder`, with what changes when it is written to."""
    found = {str(path.relative_to(folder)): path.stat() for path in sorted(folder.rglob("*"))}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


@pytest.fixture(scope="session")
def cli():
    return Cli()


@pytest.fixture(scope="session")
def stock(tmp_path_factory, cli):
    """runs/plain, runs/soft and, the newest, runs/tied with its fold-0.95: to be looked at only."""
    from foldnet.verbs.train import train

    home = tmp_path_factory.mktemp("stock")
    for name, settings in (("plain", PLAIN), ("soft", SOFT)):
        train(out=home / "runs" / name, **settings)
    tie_by_hand(home / "runs" / "soft", home / "runs" / "tied")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        cli.done("fold", "runs/tied", "--no-shares")
    before = contents_of(home)
    yield home
    assert contents_of(home) == before, "a test changed the runs that all tests share"


@pytest.fixture
def shelf(stock, monkeypatch):
    """The working folder of a test that only reads runs/."""
    monkeypatch.chdir(stock)
    return stock


@pytest.fixture
def home(stock, tmp_path, monkeypatch):
    """A working folder of the test's own. Files are links to the stock's: change them by `put` only."""
    shutil.copytree(stock / "runs", tmp_path / "runs", copy_function=os.link)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def put():
    """Write a file anew, leaving what it was linked to alone."""

    def write(path: Path, content: bytes | str) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def tie_by_hand(source: Path, target: Path) -> None:
    """A later run whose coefficients are chosen: stage 1 folds not at all, stage 2 block by block, stage 3 whole.

    Similarities in stage 1 are 0 and 0.71; the ties of the others are exact.
    """
    from foldnet.sharing.share import banks_of
    from foldnet.store.seals import seal_of, sealed
    from foldnet.training.checkpoint import load_coefficients, read_metrics, save_checkpoint
    from foldnet.training.runs import open_run

    shutil.copytree(source, target, ignore=shutil.ignore_patterns("best", "last", "report.json"))
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(sealed(config | {"created": "9999"})))
    model, progress = open_run(source).load()
    unit = torch.eye(4)
    apart = [unit[0], unit[1], unit[2], unit[3], unit[0] + unit[1], unit[2] - unit[3]]
    one, other = torch.tensor([1.0, -2.0, 0.5, 1.0]), torch.tensor([2.0, 1.0, 1.0, -0.5])
    blocks = [one, other, -0.5 * one, other, 2 * one, -1.5 * other]
    whole = [one, -one, 2 * one, 0.5 * one, one, -1.25 * one]
    with torch.no_grad():
        for group, rows in zip(GROUPS, (apart, blocks, whole), strict=True):
            banks_of(model)[group].coefficients.copy_(torch.stack(rows))
    seal = seal_of(open_run(target).identity, read_metrics(target), load_coefficients(target))
    save_checkpoint(target / "last", model, None, progress, seal)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that need a CUDA device are collected only where there is one."""
    if torch.cuda.is_available():
        return
    needs = [item for item in items if item.get_closest_marker("cuda")]
    config.hook.pytest_deselected(items=needs)
    items[:] = [item for item in items if item not in needs]
