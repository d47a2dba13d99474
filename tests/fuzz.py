"""Spoil runs, folds and every other file that foldnet reads, and see what the command line makes of them.

    python tests/fuzz.py --count 10000 --seed 0

Every case is a copy of a small sound folder, spoilt, and a command that reads it, in a process of its own. A case fails where there is
a traceback, an unforeseen error, more than 5 seconds of work, more than a gigabyte beside torch, a control character on the
terminal, a change outside the folder, or a success that says anything else than the sound folder does, unless the digests were made
to fit the change. Cases depend on the seed and their number alone: `--only 17` repeats one.
"""

import argparse
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutations import ODD_TEXTS, ODD_VALUES, seal_anew, spoil

SECONDS = 5  # of work; a process that waits is given
PATIENCE = 30  # seconds by the clock, since other work may keep the machine
GIGABYTE = 1 << 30
VOLATILE = ("seconds", "images_per_second", "created", "since", "files", "bytes")
RUN, FOLD = "runs/a", "runs/a/fold"

# What reads a run, a fold, and single files. Commands that train or draw pictures take long and read nothing more.
OF_RUN = (
    ("info", RUN),
    ("info",),
    ("lsm", RUN),
    ("lsm",),
    ("lsm", RUN, "-o", "lsm.csv"),
    ("evaluate", RUN),
    ("evaluate", RUN, "--checkpoint", "best"),
    ("fold", RUN, "--no-evaluate", "--dry-run"),
    ("fold", RUN, "--no-evaluate", "--threshold", "0"),
    ("train", "--resume", "--out", RUN),
    ("render", "sharing", RUN, "-o", "sharing.dot"),
    ("info", f"{RUN}/last/checkpoint.safetensors"),
    ("info", f"{RUN}/coefficients.safetensors"),
)
OF_FOLD = (
    ("info", FOLD),
    ("evaluate", FOLD),
    ("evaluate", FOLD, "--steps", "stage1.loop1=2"),
    ("verify", FOLD, "--no-data"),
    ("verify", RUN, "--images", "20"),
    ("render", "graph", FOLD, "-o", "graph.json"),
    ("render", "graph", FOLD, "-o", "graph.dot"),
    ("info", f"{FOLD}/weights.safetensors"),
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code, what it printed, seconds of work, and bytes of memory beside those of the parent."""

    code: int
    out: str
    err: str
    seconds: float
    memory: int


@dataclass(frozen=True)
class Finding:
    """A case that failed."""

    number: int
    command: str
    spoilt: str
    fault: str
    said: str


def make_stock(folder: Path) -> None:
    """A small trained run with a fold and a sweep, and what a user writes by hand: everything that is spoilt later."""
    from PIL import Image

    from foldnet import fold, sweep, train

    before = Path.cwd()
    os.chdir(folder)
    try:
        train(out=RUN, arch="swrn-16-1-2", epochs=1, batch_size=256, precision="fp32", device="cpu", recurrence=0.0)
        fold(RUN, out=f"{FOLD}", threshold=0.0, device="cpu")
        sweep(RUN, device="cpu")
    finally:
        os.chdir(before)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            place = folder / "pictures" / part / name
            place.mkdir(parents=True)
            for number, ending in enumerate(("png", "jpg", "gif")):
                Image.new("RGB", (9, 9), (number, 80, 160)).save(place / f"{number}.{ending}")
    layers = ["stage1.1.conv1", "stage1.1.conv2"]
    (folder / "clusters.json").write_text(json.dumps({"stage1": [layers], "stage2": []}))
    (folder / "settings.toml").write_text('arch = "swrn-16-1-2"\nepochs = 2\nlr = 0.1\n[odd]\nkey = [1, 2]\n')


def run_forked(act: Callable[[], Any], folder: Path) -> Outcome:
    """Do something in a forked process whose working directory is `folder`."""
    said = [os.open(folder.parent / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for name in ("out", "err")]
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(said[0], 1)
            os.dup2(said[1], 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
            resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE)
            act()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    texts = []
    for handle in said:
        os.lseek(handle, 0, os.SEEK_SET)
        with os.fdopen(handle, "rb") as file:
            texts.append(file.read().decode(errors="backslashreplace"))
    code = os.waitstatus_to_exitcode(status)
    return Outcome(code, *texts, used.ru_utime + used.ru_stime, max(0, used.ru_maxrss - base) * 1024)


def call(arguments: tuple[str, ...]) -> None:
    """The command line, in this process."""
    from foldnet_cli.main import app

    app([*arguments], prog_name="foldnet")


def state_of(folder: Path) -> dict[str, str]:
    """What is in a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
    }


def plain(text: str) -> Any:
    """What a command said, less what varies."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items() if key not in VOLATILE}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    try:
        return without(json.loads(text))
    except ValueError:
        return text


def fault_of(outcome: Outcome) -> str | None:
    """What is wrong with the way in which a command ended; None where nothing is."""
    if outcome.code < 0:
        name = signal.Signals(-outcome.code).name
        return f"ended by {name}" + (": it hung" if name in ("SIGALRM", "SIGXCPU") else "")
    if "Traceback" in outcome.err or "Error: unexpected " in outcome.err:
        return "traceback"
    if outcome.memory > GIGABYTE:
        return f"{outcome.memory / GIGABYTE:.1f} GiB"
    if any(not letter.isprintable() and letter != "\n" for letter in outcome.out + outcome.err):
        return "a control character"
    if outcome.code == 1 and not outcome.err.splitlines()[-1].startswith("Error: "):
        return "no sentence"
    return f"exit code {outcome.code}" if outcome.code not in (0, 1, 2, 3) else None


def settings_case(rng: random.Random, folder: Path) -> str:
    """A TOML file with odd values."""
    from dataclasses import fields

    from foldnet.training.settings import TrainSettings

    odd = rng.choice(ODD_VALUES)
    written = rng.choice((json.dumps(odd), rng.choice(ODD_TEXTS), "nan", "1979-05-27", "{a = {a = 1}}", "true"))
    key = rng.choice([field.name for field in fields(TrainSettings)] + ["odd", "\x1b[31m", "a.b"])
    (folder / "settings.toml").write_text(f"{key} = {written}\n")
    return f"{key} = {written[:30]}"


def read_settings() -> None:
    """What `foldnet train --config` reads, without the training."""
    from foldnet.errors import FoldnetError
    from foldnet.training.settings import train_settings
    from foldnet_cli.page import complain

    try:
        train_settings({}, file=Path("settings.toml"))
    except FoldnetError as error:
        complain(str(error))
        raise SystemExit(1) from None


def read_pictures() -> None:
    """What `foldnet train --dataset folder` reads, without the training."""
    from foldnet.data.folder import load_folder
    from foldnet.errors import FoldnetError
    from foldnet_cli.page import complain

    try:
        print(load_folder(Path("pictures"), 8).digest)
    except FoldnetError as error:
        complain(str(error))
        raise SystemExit(1) from None


@dataclass(frozen=True)
class Case:
    """What is done to a copy of the stock, and then called; `forged` where a success may differ."""

    name: str
    act: Callable[[], Any]
    spoilt: str
    forged: bool


def make_case(rng: random.Random, folder: Path, outside: Path) -> Case:
    """Spoil the copy of the stock in `folder`."""
    kind = rng.choice(("run",) * 4 + ("fold",) * 5 + ("clusters", "settings", "pictures", "sweep"))
    if kind == "settings":
        if rng.random() < 0.5:
            return Case("train --config", read_settings, settings_case(rng, folder), True)
        return Case("train --config", read_settings, spoil_file(folder / "settings.toml", rng, outside), True)
    if kind == "pictures":
        return Case("load pictures", read_pictures, spoil(folder / "pictures", rng, outside), True)
    if kind == "clusters":
        command = ("fold", RUN, "--clusters", "clusters.json", "--no-evaluate", "--dry-run")
        spoilt = spoil_file(folder / "clusters.json", rng, outside)
        return Case(" ".join(command), lambda: call((*command, "--json")), spoilt, True)
    if kind == "sweep":
        command = ("render", "sweep", RUN, "-o", "sweep.svg")
        spoilt = spoil_file(folder / RUN / "sweep.json", rng, outside)
        return Case(" ".join(command), lambda: call((*command, "--json")), spoilt, True)
    command = rng.choice(OF_RUN if kind == "run" else OF_FOLD)
    spoilt = spoil(folder / (RUN if kind == "run" else FOLD), rng, outside)
    # A run's config.json in the place of a fold's, or the other way round, makes a folder of the other kind.
    forged = rng.random() < 0.5 or "digests made anew" in spoilt or "config.json: swapped with config.json" in spoilt
    if forged:
        for place in (folder / RUN, folder / FOLD):
            seal_anew(place)
    return Case(" ".join(command), lambda: call((*command, "--json")), spoilt, forged)


def spoil_file(file: Path, rng: random.Random, outside: Path) -> str:
    """Spoil a file that stands among others."""
    alone = file.parent / "alone"
    alone.mkdir()
    shutil.move(file, alone / file.name)
    spoilt = spoil(alone, rng, outside)
    if alone.is_symlink():
        return spoilt
    for path in alone.iterdir():
        place = file.parent / path.name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)  # a spoilt file that got the name of a folder takes its place
        path.rename(place)
    alone.rmdir()
    return spoilt


def fuzz(stock: Path, numbers: Iterator[int] | range, seed: int, work: Path) -> Iterator[tuple[int, Finding | None]]:
    """Each case, and what is wrong with it."""
    sound: dict[str, Any] = {}
    for number in numbers:
        rng = random.Random(f"{seed}/{number}")
        room = work / "case"
        folder, outside = room / "here", room / "outside"
        shutil.copytree(stock, folder)
        outside.mkdir()
        (outside / "secret.json").write_text('{"kind": "run", "schema": 1}')
        shutil.copy(stock / RUN / "coefficients.safetensors", outside / "secret.safetensors")
        case = make_case(rng, folder, outside)
        before = state_of(outside)
        outcome = run_forked(case.act, folder)
        fault = fault_of(outcome)
        if fault is None and state_of(outside) != before:
            fault = "wrote outside"
        if fault is None and outcome.code == 0 and not case.forged:
            if case.name not in sound:
                clean = room / "clean"
                shutil.copytree(stock, clean)
                sound[case.name] = plain(run_forked(case.act, clean).out)
            # A list says of the damaged what is wrong with them, and of a file whether it is as its digest says.
            named = '"problem": "' in outcome.out or '"sound": false' in outcome.out
            if plain(outcome.out) != sound[case.name] and not named:
                fault = "another result, and no word of it"
        said = (outcome.err + outcome.out)[-1500:]
        shutil.rmtree(room)
        yield number, None if fault is None else Finding(number, case.name, case.spoilt, fault, said)


def warm_up(stock: Path, work: Path) -> None:
    """Call every command once on a sound copy, so that forked processes find imported what they need."""
    copy = work / "warm"
    shutil.copytree(stock, copy)
    before = Path.cwd()
    os.chdir(copy)
    try:
        for command in (*OF_RUN, *OF_FOLD, ("render", "sweep", RUN, "-o", "sweep.svg")):
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
                call((*command, "--json"))
        with redirect_stdout(io.StringIO()):
            read_pictures()
    finally:
        os.chdir(before)


def main() -> None:
    """Run the cases and report what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="run this case alone and show all that it says")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a forked process has no threads but its own
    numbers = range(options.first, options.first + options.count)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    faults, start = 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        stock, work = Path(place, "stock"), Path(place, "work")
        stock.mkdir()
        work.mkdir()
        make_stock(stock)
        warm_up(stock, work)
        for done, (number, finding) in enumerate(fuzz(stock, numbers, options.seed, work), start=1):
            if finding is not None:
                faults += 1
                print(
                    f"{number}: {finding.fault}: foldnet {finding.command}\n  {finding.spoilt}\n  {finding.said}\n",
                    flush=True,
                )
            if done % 500 == 0:
                print(f"{done} cases, {faults} faults, {done / (time.perf_counter() - start):.1f} a second", flush=True)
    print(f"{len(numbers)} cases, {faults} faults")
    raise SystemExit(faults > 0)


if __name__ == "__main__":
    main()
