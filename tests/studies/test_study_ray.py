"""A study over a Ray cluster of two local nodes, of which one dies midway: the table is the local one.

In a process of its own, whose threads and sockets are gone when it ends.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from foldnet.errors import MissingTool
from foldnet.studies.course import Course, Unwatched, run_trials
from foldnet.studies.file import read_study_file
from foldnet.studies.local import Outcome
from foldnet.studies.table import table_of
from foldnet.studies.trial import Site
from foldnet.training.observer import Silent
from foldnet.verbs.trial import do_trial

STUDY = """
epochs = 6
batch_size = 256
[grid]
arch = ["wrn-10-1", "swrn-16-1-2"]
seed = [0, 1]
[fold]
threshold = 0.9
"""
CLUSTER = """
import json, sys
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from foldnet.studies.course import Unwatched
from foldnet.verbs.study import run_study

class Watching(Unwatched):
    lost = None
    def changed(self, course):
        if self.lost is None and any(epoch for _, epoch, _, _ in course.under_way()):
            self.lost = len(course.results)
            cluster.remove_node(second, allow_graceful=False)

if __name__ == "__main__":
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    # A dead node refuses each question at once, and is given up after five of them; a busy one has 10 s for each.
    checks = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    head = node | {"include_dashboard": False, "_system_config": checks}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    folder, watching = Path(sys.argv[1]), Watching()
    report = run_study(
        folder / "small.toml", out=folder / "ray", engine="ray", threads=1, device="cpu", watcher=watching
    )
    told = {"table": report.printed("csv"), "lost": watching.lost, "nodes": sum(one["Alive"] for one in ray.nodes())}
    (folder / "told.json").write_text(json.dumps(told))
    ray.shutdown()
    cluster.shutdown()
"""


class Here:
    """The engine that a reader would write: one trial after the other, in this process."""

    free, trial, site = 1, None, None

    def start(self, trial, site):
        self.trial, self.site, self.free = trial, site, 0

    def wait(self, seconds):
        self.free = 1
        return [Outcome(self.trial, do_trial(self.trial, self.site, Silent()))]

    def stop(self):
        return []


def timeless(table):
    """A table without its last column, the seconds."""
    return [line.rpartition(",")[0] for line in table.splitlines()]


def table_of_one_process(folder):
    """The table of the same trials, one after the other."""
    trials, place = read_study_file(folder / "small.toml").trials, folder / "here"
    place.mkdir()
    course = Course(trials, Site(place, device="cpu"))
    run_trials(course, Here(), Unwatched())
    return table_of("small", [course.results[trial.name] for trial in trials]).printed("csv")


def processes_with(text):
    """The ids of processes in whose environment there is a text."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if text.encode() in file.read_bytes():
                found.append(int(file.parent.name))
    return found


@pytest.fixture
def surroundings():
    """The environment of a cluster, of which nothing is left behind."""
    short = tempfile.mkdtemp(prefix="r")  # Ray's sockets lie in it, whose names may have 107 letters
    yield os.environ | {
        "RAY_TMPDIR": short,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_worker_niceness": "0",  # of 15 by default: on a busy machine four trials would take minutes
        "OMP_NUM_THREADS": "1",
    }
    left = processes_with(short)
    for process in left:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    shutil.rmtree(short, ignore_errors=True)
    assert left == []


def test_a_cluster_that_loses_a_node_gives_the_table_of_one_process(tmp_path, surroundings):
    (tmp_path / "small.toml").write_text(STUDY)
    (tmp_path / "cluster.py").write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "cluster.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=surroundings,
    ) as running:
        expected = table_of_one_process(tmp_path)
        said, _ = running.communicate(timeout=300)
    assert running.returncode == 0, said[-3000:]
    told = json.loads((tmp_path / "told.json").read_text())
    assert timeless(told["table"]) == timeless(expected)
    assert len(expected.splitlines()) == 4
    assert told["lost"] < 4
    assert told["nodes"] == 1


def test_without_ray_the_extra_is_named(monkeypatch):
    from foldnet.studies.rays import Ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        MissingTool, match=r"^`engine='ray'` needs Ray, and it is not installed; `pip install foldnet\[ray\]`$"
    ):
        Ray(print, 1, Site(None))


def test_a_machine_that_does_not_see_the_folder_says_so(tmp_path):
    from foldnet.studies.rays import _work

    result, why = _work(print, None, Site(tmp_path / "elsewhere"))
    assert result is None
    assert why.startswith("machine '")
    assert why.endswith(
        f"does not see the study's folder '{tmp_path / 'elsewhere'}'; put it, with `out`, on a file system that all "
        "machines of the cluster share"
    )
