"""One writer a folder, and a dead writer's lock is no lock."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from foldnet.errors import OutputError, RunError
from foldnet.store.lock import FILE, take_lock

HOLD = """
import sys, time
from pathlib import Path
from foldnet.store.lock import take_lock
take_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_with_the_name_of_the_first(tmp_path, holder):
    since = json.loads((tmp_path / FILE).read_text())["since"]
    sentence = (
        f"run '{tmp_path}' is being written by process {holder.pid} on '{socket.gethostname()}' since {since}; "
        f"wait for it, stop it, or give `out` another name"
    )
    with pytest.raises(RunError, match=f"^{re.escape(sentence)}$"):
        take_lock(tmp_path)


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / FILE).read_text())["process"] == holder.pid
    with closing(take_lock(tmp_path)):
        assert json.loads((tmp_path / FILE).read_text())["process"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_goes_with_a_folder_that_is_renamed(tmp_path):
    (tmp_path / "old").mkdir()
    lock = take_lock(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    with pytest.raises(RunError):
        take_lock(tmp_path / "new")
    lock.folder = tmp_path / "new"
    lock.close()
    assert list((tmp_path / "new").iterdir()) == []


def test_the_lock_of_a_folder_that_was_replaced_leaves_the_new_one_alone(tmp_path):
    lock = take_lock(tmp_path)
    (tmp_path / FILE).unlink()
    with closing(take_lock(tmp_path)):
        lock.close()
        assert (tmp_path / FILE).exists()


def test_an_owner_that_is_not_named_is_another_process(tmp_path):
    with closing(take_lock(tmp_path)):
        (tmp_path / FILE).write_bytes(b"")
        with pytest.raises(RunError, match="is being written by another process; wait for it"):
            take_lock(tmp_path)


def test_a_folder_that_is_gone_is_one_sentence(tmp_path):
    sentence = (
        f"'{tmp_path / 'no' / FILE}' cannot be written (No such file or directory); free the place or choose another"
    )
    with pytest.raises(OutputError, match=f"^{re.escape(sentence)}$"):
        take_lock(tmp_path / "no")


def test_where_the_file_system_knows_no_locks_work_goes_on(tmp_path, monkeypatch):
    def refuse(handle, operation):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with closing(take_lock(tmp_path)):
        assert Path(tmp_path / FILE).exists()


def test_a_forked_child_does_not_hold_its_dead_parents_lock(tmp_path):
    code = "import os, sys, time; from pathlib import Path; from foldnet.store.lock import take_lock; take_lock(Path(sys.argv[1]))\n"
    code += "if os.fork() == 0: print('held', flush=True)\n"
    code += "time.sleep(600)"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert parent.stdout.readline() == "held\n"
        parent.kill()
        parent.wait()
        take_lock(tmp_path).close()
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.stdout.close()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (os.symlink, "is a link and foldnet writes through none inside a run; remove it"),
        (os.link, "has another name elsewhere (a hard link) and foldnet would write to it; remove it"),
        (lambda outside, lock: os.mkfifo(lock), "is no plain file and foldnet would write to it; remove it"),
    ],
)
def test_a_lock_that_leads_elsewhere_is_refused_and_nothing_is_written_there(tmp_path, make, what):
    (tmp_path / "run").mkdir()
    (tmp_path / "outside").write_text("mine")
    make(tmp_path / "outside", tmp_path / "run" / FILE)
    said = f"'{tmp_path / 'run' / FILE}' {what}"
    with pytest.raises(OutputError, match=f"^{re.escape(said)}$"):
        take_lock(tmp_path / "run")
    assert (tmp_path / "outside").read_text() == "mine"
