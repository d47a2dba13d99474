"""A training imports what it uses, and nothing of what only other trainings and other commands need."""

import os
import subprocess
import sys

import pytest

PYTHON = """
import foldnet
foldnet.train(out=sys.argv[1], arch="swrn-16-1-2", epochs=1, batch_size=512, precision="fp32", device="cpu")
"""
COMMAND = """
from foldnet_cli.main import main
sys.argv[1:] = ["train", "--out", sys.argv[1], "--arch", "swrn-16-1-2", "--epochs", "1", "--batch-size", "512"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
"""
LISTED = """
for name, module in sys.modules.items():
    if name.startswith(("foldnet.", "foldnet_cli.")) and not hasattr(module, "__path__"):
        print("imported", name)
"""
OTHERS = ("benching", "choosing", "drawing", "folding", "program", "proof")
ASKED_FOR = ("data.curriculum", "data.folder", "foldnet_cli.launch", "foldnet_cli.outputs")
ASKED_FOR += ("sharing.chosen", "training.origin", "training.parallel", "training.processes")
ASKED_FOR += ("training.step_losses", "verbs.origins")
ASKED_FOR += ("zoo.answering", "zoo.code", "zoo.external", "zoo.near", "zoo.steps")


@pytest.mark.parametrize(("code", "most"), [(PYTHON, 44), (COMMAND, 49)])
def test_a_training_imports_little(tmp_path, code, most):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys{code}{LISTED}", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    modules = [line.split()[1].removeprefix("foldnet.") for line in done.stdout.splitlines() if line[:8] == "imported"]
    assert len(modules) <= most, modules
    assert [name for name in modules if name.split(".")[0] in OTHERS or name in ASKED_FOR] == []
