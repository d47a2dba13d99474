"""A run whose layers are alike by design, without training: what folds of it look like is known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foldnet.data.dataset import Dataset
from foldnet.data.images import load_digits
from foldnet.data.sources import Digits
from foldnet.folding.folds import SEALED
from foldnet.sharing.share import SharedNetwork
from foldnet.store.seals import seal_of, sealed, sha256_of
from foldnet.training import session
from foldnet.training.checkpoint import save_checkpoint
from foldnet.training.observer import Progress
from foldnet.training.runs import Run, create_run
from foldnet.training.settings import train_settings
from foldnet.zoo.blueprint import blueprint

ARCH = "swrn-28-1-2"  # six shared layers a stage, two templates
# Blocks A A B of each stage; conv1 and conv2 of A are other owners, the second A is twice and minus the first.
ROWS = [[1.0, 0.2], [0.1, 1.0], [2.0, 0.4], [-0.1, -1.0], [1.0, -0.8], [1.0, -0.8]]
OWNERS = 3  # each of two blocks "A", which loop, uses two owners; block "B" uses the third twice


def few_digits() -> Dataset:
    """200 training and 50 test images."""
    digits = load_digits()
    return replace(digits, train=digits.train.take(torch.arange(200)), test=digits.test.take(torch.arange(50)))


def use_few_digits(monkeypatch: Any) -> None:
    """Let every recipe see few digits."""
    few = few_digits()
    monkeypatch.setattr(Digits, "images", lambda *args, **kwargs: few)


def plant_run(folder: Path, *, rows: list[list[float]] | None = None, arch: str = ARCH, seed: int = 0) -> Run:
    """Write a run folder; verbs must see few digits."""
    settings = train_settings({"dataset": "digits", "arch": arch, "validation": 60, "epochs": 1})
    _, split = session.split_of(settings)
    run = Run(folder, settings, blueprint(arch, channels=1, size=8), "fp32", split.hash)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = run.blueprint.build()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.uniform_(-0.5, 0.5)
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 1.5)
    assert isinstance(model, SharedNetwork)
    for bank in model.sources.values():
        bank.coefficients.data.copy_(torch.tensor(rows or ROWS))
    folder.mkdir(parents=True)
    run = create_run(folder, run, {})
    save_checkpoint(folder / "last", model, None, Progress(1, None, None, 1.0), seal_of(run.identity, [], {}))
    return run


def reseal(folder: Path) -> None:
    """State the digests of a fold's files as they are now: they have no key, so anybody can."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["files"] = {name: sha256_of(folder / name) for name in SEALED}
    file.write_text(json.dumps(sealed(config)))
