"""A training imports what it uses, and nothing of what only other trainings and other commands need."""

import os
import subprocess
import sys

MOST = 45
CODE = """
import sys, foldnet
foldnet.train(out=sys.argv[1], arch="swrn-16-1-2", epochs=1, batch_size=512, precision="fp32", device="cpu")
for name, module in sys.modules.items():
    if name.startswith("foldnet.") and not hasattr(module, "__path__"):
        print(name)
"""
OTHERS = ("benching", "choosing", "drawing", "folding", "program", "proof")
ASKED_FOR = (
    *("data.curriculum", "data.folder", "training.parallel", "training.processes", "training.progressive"),
    *("training.tensorboard", "zoo.shortest_paths"),
)


def test_a_training_imports_little(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    modules = [name.removeprefix("foldnet.") for name in done.stdout.splitlines()]
    assert len(modules) <= MOST, modules
    assert [name for name in modules if name.split(".")[0] in OTHERS or name in ASKED_FOR] == []
