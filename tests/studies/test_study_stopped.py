"""Studies that are stopped, by whatever signal: one sentence, no process that lives on, and a folder that goes on."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from foldnet.studies.course import Course, Unwatched, run_trials
from foldnet.studies.file import study_of
from foldnet.studies.local import Outcome
from foldnet.studies.trial import Site
from foldnet.studies.worker import Asked
from foldnet.training.observer import Stopped
from foldnet.verbs.study import run_study

STUDY = "batch_size = 128\nepochs = {}\n[grid]\narch = 'wrn-10-1'\nseed = [0, 1]\n"
LONG, SHORT = 2000, 12  # epochs: of trials that are stopped, and of those that are to end
PATIENCE = 120  # seconds until a process that shows nothing is given up
STOPPED = "stopped with 0 of 2 trials finished; what ran is saved, and the same study, run again, goes on"


def started(folder: Path, epochs: int) -> subprocess.Popen:
    """A study of two trials at one time, once each has trained an epoch."""
    (folder / "two.toml").write_text(STUDY.format(epochs))
    command = [sys.executable, "-m", "foldnet_cli", "study", "run", "two.toml", "--out", "study", "--jobs", "2"]
    process = subprocess.Popen(
        [*command, "--threads", "1", "--device", "cpu"],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    while len([file for file in folder.glob("study/runs/*/metrics.jsonl") if file.stat().st_size]) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def assert_all_end(group: int, seconds: float) -> None:
    """No process of a group lives longer than that."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("kill", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGINT), (os.killpg, signal.SIGTERM)]
)
def test_a_stop_saves_and_leaves_nothing_behind(tmp_path, kill, number):
    process = started(tmp_path, LONG)
    kill(process.pid, number)
    shown, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, shown) == (130, "")
    assert said.splitlines() == ["saving what runs, then stopping; Ctrl-C again stops at once", STOPPED]
    assert_all_end(process.pid, 5)


def test_a_study_that_was_killed_alone_is_run_again_at_once(tmp_path):
    process = started(tmp_path, SHORT)
    process.kill()
    process.wait()
    report = run_study(tmp_path / "two.toml", out=tmp_path / "study", jobs=2, threads=1, device="cpu")
    assert report.exit_status == 0
    assert_all_end(process.pid, 5)
    assert process.communicate() == ("", "")


def test_a_worker_saves_at_the_first_signal_and_minds_no_second():
    asked = Asked()
    asked.begin("epoch", 10)
    asked.signalled()
    asked.signalled()
    assert asked.wants_stop()
    with pytest.raises(KeyboardInterrupt):
        asked.begin("evaluation", 3)


def test_a_worker_that_trains_nothing_ends_at_the_first_signal():
    asked = Asked()
    asked.begin("epoch", 10)
    asked.begin("evaluation", 3)
    with pytest.raises(KeyboardInterrupt):
        asked.signalled()
    with pytest.raises(KeyboardInterrupt):  # the first may have been lost in a destructor
        asked.advance()


def test_a_trial_that_another_stopped_ends_the_study(tmp_path):
    """A signal to all processes may reach a trial before it reaches the study."""
    trial = study_of(tomllib.loads('[grid]\narch = ["wrn-10-1", "wrn-16-1"]'), tmp_path / "one.toml").trials[0]

    class Engine:
        free = 1

        def start(self, trial, site):
            self.trial = trial

        def wait(self, seconds):
            return [Outcome(self.trial, stopped=True)]

        def stop(self):
            return []

    course = Course((trial,), Site(tmp_path))
    with pytest.raises(Stopped, match=r"^stopped with 0 of 1 trials finished; what ran is saved"):
        run_trials(course, Engine(), Unwatched())
    assert (course.state(trial), course.failed) == ("waiting", {})
