"""The loader that docs/export.md prints: about thirty lines, and torch alone, make the network of a file of tensors."""

import inspect
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import test_onnx_file as networks
import torch
from torchvision.models import VisionTransformer

import foldnet

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
LOADER = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)[-1]
RUN = """
{loader}

from torch import nn

{block}

{network}

loaded = load(sys.argv[1], Network(listed=False))
x = torch.linspace(-1, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
heavy = [name for name in ("foldnet", "safetensors", "onnx") if name in sys.modules]
print(json.dumps([loaded(x).tolist(), heavy]))
"""


def test_it_runs_the_program_as_it_is_printed(tmp_path):
    looped = networks.folded(listed=False).looped.eval()
    file = foldnet.export(looped, tmp_path / "a.safetensors")
    sources = {"block": inspect.getsource(networks.Block), "network": inspect.getsource(networks.Network)}
    code = "import sys\n" + RUN.format(loader=LOADER, **sources)
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found, heavy = json.loads(done.stdout)
    assert heavy == []
    with torch.no_grad():
        assert torch.equal(torch.tensor(found), looped(networks.X))


def test_it_takes_layers_that_are_parameters(tmp_path):
    torch.manual_seed(0)
    make = partial(VisionTransformer, 16, 8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=16, num_classes=5)
    soft = foldnet.share(make()).eval()
    with torch.no_grad():
        for group in soft.plan.groups:
            rows = soft.sources[group.name].coefficients
            rows.copy_(torch.linspace(0.5, 1.5, len(rows))[:, None] * rows[:1])
    x = torch.randn(2, 3, 16, 16)
    looped = foldnet.fold(soft, threshold=0.99, inputs=x).looped.eval()
    file = foldnet.export(looped, tmp_path / "a.safetensors")
    names: dict = {}
    exec(LOADER, names)
    with torch.no_grad():
        assert torch.equal(names["load"](file, make())(x), looped(x))


def test_it_is_short():
    lines = [
        line for line in LOADER.splitlines() if line.strip() and not line.strip().startswith(('"""', "import", "from"))
    ]
    assert len(lines) <= 40
