"""foldnet doctor as a user meets it."""

from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_two_tables(cli):
    outcome = cli("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    rows = {line[:15].strip(): line for line in outcome.out.splitlines()}
    assert f"torch {torch.__version__}" in rows["versions"]
    for name in ("CUDA", "GPU", "processor", "vectors", "memory", "disk at runs/", "Graphviz", "C++ compiler"):
        assert len(rows[name].split()) >= 2, name
    for name in ("device", "precision", "memory format", "compile", "threads"):
        assert len(rows[name].split()) >= 3, name
    assert outcome.out.splitlines()[-1] == "prove it: foldnet doctor --check"
    assert list(Path().iterdir()) == []


def test_json(cli):
    found = cli.done("doctor")
    assert found["chooses"]["device"]["choice"] in ("cpu", "cuda")
    assert found["offers"]["threads"] == torch.get_num_threads()
