"""foldnet fold says which attributes kept blocks apart, and writes no fold that computes something else."""

import torch

from foldnet.training.runs import Run
from foldnet.verbs import fold as recipe

QUICK = ("--no-evaluate", "--dry-run")


def plant_indices(monkeypatch, name="index"):
    """Let every block of a loaded run know its number."""
    load = Run.load

    def planted(self, *args, **kwargs):
        model, progress = load(self, *args, **kwargs)
        for stage in ("stage2", "stage3"):
            for number, block in enumerate(model.network.get_submodule(stage)):
                setattr(block, name, number)
        return model, progress

    monkeypatch.setattr(Run, "load", planted)


def test_a_harmless_attribute_keeps_blocks_apart_is_named_and_may_be_ignored(cli, shelf, monkeypatch):
    plain = cli.done("fold", "runs/tied", *QUICK)
    assert (plain["kept_apart"], plain["ignored"], plain["loops"]) == ([], [], 2)
    plant_indices(monkeypatch)
    report = cli.done("fold", "runs/tied", *QUICK)
    assert report["loops"] == 0
    assert report["kept_apart"] == [
        {
            "sequence": stage,
            "attribute": "index",
            "blocks": [f"{stage}.{n}", f"{stage}.{n + 1}"],
            "reason": f"{n} and {n + 1}",
        }
        for stage in ("stage2", "stage3")
        for n in (1, 2)
    ]
    lines = cli("fold", "runs/tied", *QUICK).out.splitlines()
    assert "kept apart by 'index': stage2.1 and stage2.2 (1 and 2), and 1 more" in lines
    ignoring = cli.done("fold", "runs/tied", *QUICK, "--ignore", "index")
    assert (ignoring["loops"], ignoring["kept_apart"], ignoring["ignored"]) == (2, [], ["index"])
    assert ignoring["program"] == plain["program"]
    assert "attributes that were not compared: index" in cli("fold", "runs/tied", *QUICK, "--ignore", "index").out


def test_near_misses_and_blocks_hear_of_what_is_ignored(cli, shelf, monkeypatch):
    options = ("--unit", "block", "--threshold", "0.99", *QUICK)
    plain = cli.done("fold", "runs/tied", *options)
    plant_indices(monkeypatch)
    assert cli.done("fold", "runs/tied", *options)["loops"] == 0
    ignoring = cli.done("fold", "runs/tied", *options, "--ignore", "index")
    assert [ignoring[name] for name in ("program", "near_misses")] == [
        plain[name] for name in ("program", "near_misses")
    ]


def test_an_attribute_to_ignore_that_no_block_has_is_refused(cli, shelf):
    said = "--ignore names 'strid', which is no attribute of any block; did you mean 'conv1.stride' or 'conv2.stride' or 'stride'?"
    assert cli.refused("fold", "runs/tied", "--ignore", "strid") == said


def test_what_fold_compared_is_in_its_report(cli, shelf):
    asked = cli.done("fold", "runs/tied", *QUICK)["proof"]
    assert (asked["inputs"], asked["count"]) == ("random", 16)
    seen = cli.done("fold", "runs/tied", "--dry-run", "--no-shares")["proof"]
    assert (seen["inputs"], seen["count"]) == ("test", 16)
    assert 0 <= max(asked["relative"], seen["relative"]) <= 1e-5


def test_a_fold_that_computes_something_else_is_refused_before_anything_is_written(cli, shelf, monkeypatch):
    make = recipe.loop_tied

    def tampered(*args):
        looped = make(*args)
        with torch.no_grad():
            looped.network.stage2.blocks["A"].body.norm1.bias[1] += 1
        return looped

    monkeypatch.setattr(recipe, "loop_tied", tampered)
    said = cli.refused("fold", "runs/tied", "--no-evaluate")
    assert said.startswith("the looped network differs from the tied one by ")
    assert said.endswith(
        "of its output, and block 'stage2.2' is the first to differ; keep the layers of that block out of the fold "
        "('stage2.2.conv1', 'stage2.2.conv2')"
    )
