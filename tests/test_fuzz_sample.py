"""A few of the cases of tests/fuzz.py, in a process that has no threads but its own."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("fuzz.py")


def test_whatever_is_spoilt_is_refused_in_a_sentence_or_changes_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, "--count", "20", "--seed", "20"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        timeout=600,
    )
    assert (done.returncode, done.stdout) == (0, "20 cases, 0 faults\n"), done.stdout + done.stderr[-2000:]
