"""A real process, killed for good at moments that nobody chose, and resumed."""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from forked import forked
from PIL import Image

from foldnet.store.tensors import load_tensors
from foldnet.training.checkpoint import read_metrics

KILLS = 12
PATIENCE = 120  # seconds until a process that shows nothing is given up
EPOCHS = 40
COMMAND = (
    f"train --dataset folder --data-dir pictures --image-size 8 --arch swrn-16-1-2 --epochs {EPOCHS} --batch-size 16 "
    f"--validation 12 --dropout 0.2 --recurrence 0.5 --cutout 3 --precision fp32 --seed 5 --device cpu --checkpoint-every 0 --resume --json"
)


def draw_pictures(folder: Path) -> None:
    """Two classes of noise: 30 training and 4 test pictures of each."""
    random = np.random.default_rng(0)
    for part, count in (("train", 30), ("test", 4)):
        for kind in ("cat", "dog"):
            (folder / part / kind).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / kind / f"{number}.png")


def train(out: str, place: Path) -> None:
    """What a process does: the command, its JSON in a file. It resumes, which on an absent folder is to start."""
    torch.set_num_threads(1)  # on a busy machine two of them wait for each other longer than these few pictures take
    os.chdir(place)
    os.dup2(os.open(f"{out}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(os.open(f"{out}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.argv = ["foldnet", *COMMAND.split(), "--out", out]
    from foldnet_cli.main import main

    sys.exit(main())


def finish(process: BaseProcess, out: str, place: Path) -> dict:
    process.join(PATIENCE)
    assert process.exitcode == 0, (place / f"{out}.txt").read_text()
    return json.loads((place / f"{out}.json").read_text())


def kill(process: BaseProcess, folder: Path, moment: str, seconds: float) -> None:
    """Kill the process some time after a moment of its life."""
    happened = MOMENTS[moment](folder)
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process.is_alive(), folder.with_suffix(".txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    time.sleep(seconds)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def changes(name: str) -> Callable[[Path], Callable[[], bool]]:
    """Whether a file of the run has been written anew since the process began."""

    def since_now(folder: Path) -> Callable[[], bool]:
        file = folder / name
        before = file.stat().st_mtime_ns if file.exists() else None
        return lambda: file.exists() and file.stat().st_mtime_ns != before

    return since_now


def writes(folder: Path) -> Callable[[], bool]:
    """Whether a file that was not there when the process began is in the middle of being written."""

    def halves() -> set[Path]:
        return {path for pattern in (".*", "last/.*", "best/.*") for path in folder.glob(pattern)}

    before = halves()
    return lambda: bool(halves() - before)


MOMENTS = {
    "start": lambda folder: lambda: True,
    "write": writes,
    "epoch": changes("metrics.jsonl"),
    "checkpoint": changes("last/checkpoint.safetensors"),
}
LONGEST = {"start": 1.0, "write": 0.0, "epoch": 0.1, "checkpoint": 0.1}  # seconds from the moment to the end


def without(line: dict, *names: str) -> dict:
    return {name: value for name, value in line.items() if name not in names}


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_killed_process_resumes_bit_by_bit(tmp_path):
    draw_pictures(tmp_path / "pictures")
    chance = random.Random(0)
    for number in range(KILLS):
        moment = list(MOMENTS)[number % len(MOMENTS)]
        kill(forked(train, "killed", tmp_path), tmp_path / "killed", moment, chance.uniform(0, LONGEST[moment]))
    assert len(read_metrics(tmp_path / "killed")) < EPOCHS  # else some of the kills came too late to matter
    reports = [finish(forked(train, out, tmp_path), out, tmp_path) for out in ("killed", "whole")]
    times = ("seconds", "images_per_second", "waited")
    assert without(reports[0], "run", *times) == without(reports[1], "run", *times)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert files_of(killed) == files_of(whole)
    for name in ("last/checkpoint.safetensors", "best/checkpoint.safetensors", "coefficients.safetensors"):
        one, two = load_tensors(killed / name), load_tensors(whole / name)
        assert list(one.tensors) == list(two.tensors)
        assert all(torch.equal(tensor, two.tensors[key]) for key, tensor in one.tensors.items())
        assert without(one.metadata, "seal", *times) == without(two.metadata, "seal", *times)
    lines = [[without(line, *times) for line in read_metrics(folder)] for folder in (killed, whole)]
    assert lines[0] == lines[1]
    assert [line["epoch"] for line in lines[0]] == list(range(1, EPOCHS + 1))
    ours = [f"{out}{ending}" for out in ("killed", "whole") for ending in ("", ".json", ".txt")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*ours, "pictures"])
