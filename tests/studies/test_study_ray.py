"""A study over a Ray cluster of two local nodes, of which one dies midway: the table is the local one.

In a process of its own, whose threads and sockets are gone when it ends.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from foldnet.errors import MissingTool
from foldnet.studies.trial import Site
from foldnet.verbs.study import run_study

STUDY = """
epochs = 3
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
    said_of, lost = [], None
    def said(self, sentence):
        self.said_of.append(sentence)
        if second is not None and self.lost is None:
            self.lost = len(self.said_of)
            cluster.remove_node(second)

if __name__ == "__main__":
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    second = cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    folder = Path(sys.argv[1])
    watching = Watching()
    report = run_study(
        folder / "small.toml", out=folder / "ray", engine="ray", threads=1, device="cpu", watcher=watching
    )
    told = {"table": report.printed("csv"), "lost": watching.lost, "nodes": sum(one["Alive"] for one in ray.nodes())}
    (folder / "told.json").write_text(json.dumps(told))
    ray.shutdown()
    cluster.shutdown()
"""


def timeless(table):
    """A table without its last column, the seconds."""
    return [line.rpartition(",")[0] for line in table.splitlines()]


def test_a_cluster_that_loses_a_node_gives_the_table_of_one_machine(tmp_path):
    (tmp_path / "small.toml").write_text(STUDY)
    (tmp_path / "cluster.py").write_text(CLUSTER)
    short = tempfile.mkdtemp(prefix="r")  # Ray's sockets lie in it, whose names may have 107 letters
    environment = os.environ | {
        "RAY_TMPDIR": short,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }
    try:
        done = subprocess.run(
            [sys.executable, str(tmp_path / "cluster.py"), str(tmp_path)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
            check=False,
        )
    finally:
        shutil.rmtree(short, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / "told.json").read_text())
    local = run_study(tmp_path / "small.toml", out=tmp_path / "local", threads=1, device="cpu", jobs=2)
    assert timeless(told["table"]) == timeless(local.printed("csv"))
    assert len(told["table"].splitlines()) == 4
    assert (told["lost"], told["nodes"]) == (1, 1)


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
