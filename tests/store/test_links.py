"""Nothing is written through a link inside a run or fold, whichever command writes; what a user names stays the user's choice."""

import os
import re
import shutil

import pytest
from conftest import contents_of

from foldnet.errors import OutputError
from foldnet.store.artifact import refuse_linked

SAID = "'{}' is a link and foldnet writes through none inside a run; put the folder itself there"


@pytest.fixture
def linked(home):
    """A run in which a fold and another run are links to what lies elsewhere."""
    os.mkdir("outside")
    shutil.move("runs/tied/fold-0.95", "outside/fold")
    shutil.move("runs/soft", "outside/soft")
    os.symlink("../../outside/fold", "runs/tied/fold-x")
    os.symlink("../../outside/soft", "runs/tied/soft")
    return home


@pytest.mark.parametrize(
    ("command", "link"),
    [
        (["render", "graph", "runs/tied/fold-x"], "runs/tied/fold-x"),
        (["render", "fold", "runs/tied/fold-x", "--run", "runs/tied"], "runs/tied/fold-x"),
        (["render", "depth", "runs/tied/fold-x", "--run", "runs/tied", "--most", "1"], "runs/tied/fold-x"),
        (["verify", "runs/tied/fold-x", "--no-data"], "runs/tied/fold-x"),
        (["render", "sharing", "runs/tied/soft"], "runs/tied/soft"),
        (["render", "lsm", "runs/tied/soft"], "runs/tied/soft"),
        (["lsm", "runs/tied/soft", "--history"], "runs/tied/soft"),
        (["fold", "runs/tied/soft", "--no-evaluate"], "runs/tied/soft"),
        (["fold", "runs/tied/soft", "--sweep"], "runs/tied/soft"),
        (["train", "--resume", "--out", "runs/tied/soft", "--epochs", "3"], "runs/tied/soft"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_no_command_writes_through_a_link_inside_a_run(cli, linked, command, link):
    before = contents_of(linked / "outside")
    outcome = cli(*command)
    assert (outcome.code, outcome.err.splitlines()[-1]) == (1, f"Error: {SAID.format(link)}")
    assert contents_of(linked / "outside") == before


def test_a_place_that_is_named_is_taken(cli, linked):
    before = contents_of(linked / "outside")
    assert cli.done("render", "graph", "runs/tied/fold-x", "-o", "graph.json")["file"] == "graph.json"
    assert contents_of(linked / "outside") == before
    os.symlink("outside/fold", "mine")  # beside runs, in no other folder of foldnet's
    assert cli.done("render", "fold", "mine", "--run", "runs/tied")["file"] == "mine/fold.svg"
    assert (linked / "outside/fold/fold.svg").is_file()


def test_links_above_a_run_and_beside_foreign_files_are_followed(tmp_path, put):
    for folder in ("disk/run/sub", "project"):
        (tmp_path / folder).mkdir(parents=True)
    put(tmp_path / "project/config.json", '{"name": "mine"}')
    (tmp_path / "project/runs").symlink_to(tmp_path / "disk")
    refuse_linked(tmp_path / "project/runs/run")
    put(tmp_path / "disk/run/metrics.jsonl", "")  # a damaged run: its config.json is lost
    refuse_linked(tmp_path / "project/runs/run/sub")
    link = tmp_path / "disk/run/out"
    link.symlink_to(tmp_path / "project")
    with pytest.raises(OutputError, match=f"^{re.escape(SAID.format(link))}$"):
        refuse_linked(link / "deeper")
