"""foldnet doctor --check as a user meets it."""

import json
from pathlib import Path

import pytest

from foldnet.verbs import check as module
from foldnet.verbs.checks.parts import NotHere, Part

HERE = ["fp32", "forms", "memory-format", "bf16", "resume", "throughput", "processes"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_whole_on_a_cpu(cli):
    outcome = cli("doctor", "--check", "--device", "cpu", "--skip", "compile", "--json")
    found = json.loads(outcome.out)
    assert {entry["name"]: (entry["outcome"], entry["why"]) for entry in found["checks"]} == dict.fromkeys(
        HERE, ("ok", None)
    ) | {"cuda-graphs": ("not here", "a CPU has no CUDA graphs")}
    assert outcome.json == found
    assert (found["passed"], found["skipped"], found["device"]) == (True, ["compile"], "cpu")
    for entry in found["checks"][: len(HERE)]:
        assert entry["seconds"] > 0
        assert all(part["held"] and part["value"] is not None for part in entry["parts"]), entry
    # Two ways of computing that give the very same would not have been two.
    values = {(entry["name"], part["what"]): part["value"] for entry in found["checks"] for part in entry["parts"]}
    assert values["bf16", "outputs"] > 1e-3
    assert values["processes", "2 processes (gloo) to one"] > 0
    assert [line.split(",")[0] for line in outcome.err.splitlines()] == [
        *(f"{name}: ok" for name in HERE),
        "cuda-graphs: not here",
    ]
    assert list(Path().iterdir()) == []


@pytest.mark.cuda
def test_the_whole_on_a_gpu(cli):
    found = cli.done("doctor", "--check", "--device", "cuda")
    assert [entry["name"] for entry in found["checks"] if entry["outcome"] == "failed"] == []


def test_what_fails_is_a_row_a_sentence_and_the_exit_status(cli, monkeypatch):
    def lacking(machine):
        raise NotHere("`compile='on'` needs a C++ compiler (g++ or clang++); install it or use `compile='off'`")

    def broken(machine):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    checks = {
        "memory-format": lambda machine: (
            Part("outputs", 1.234e-05, 1e-05),
            Part("speed of swrn-16-1-2 to plain", 0.93, 0.5, at_least=True),
        ),
        "resume": broken,
        "compile": lacking,
        "bf16": lambda machine: (),
    }
    monkeypatch.setattr(module, "CHECKS", checks)
    outcome = cli("doctor", "--check", "--device", "cpu", "--skip", "bf16")
    assert outcome.code == 1
    lines = [line.rstrip() for line in outcome.out.splitlines()]
    assert lines[:-1] == [
        "check          what                           outcome   measured  limit",
        "memory-format  outputs                        failed    1.2e-05   at most 1e-05",
        "               speed of swrn-16-1-2 to plain  ok        0.93      at least 0.5",
        "resume                                        failed",
        "compile                                       not here",
        "memory-format failed: beyond the limit: outputs",
        "resume failed: unexpected RuntimeError: CUDA error: an illegal memory access was",
        "  encountered",
        "compile not here: --compile on needs a C++ compiler (g++ or clang++); install it",
        "  or use --compile off",
        "left out: bf16",
    ]
    assert lines[-1].startswith("2 of 3 checks failed, on cpu, ")
    assert max(map(len, lines)) <= 80


def test_the_json_speaks_the_language_of_the_command_line(cli, monkeypatch):
    def lacking(machine):
        raise NotHere("use `compile='off'`")

    monkeypatch.setattr(module, "CHECKS", {"compile": lacking})
    assert cli.done("doctor", "--check", "--device", "cpu")["checks"][0]["why"] == "use --compile off"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--skip", "bf16"), "--skip has a meaning with --check only; add --check or leave it out"),
        (("--device", "cpu"), "--device has a meaning with --check only; add --check or leave it out"),
        (
            ("--check", "--skip", "bf6"),
            "check 'bf6' does not exist; did you mean 'bf16'?; the checks are fp32, forms, memory-format, bf16, resume, "
            "throughput, processes, compile, cuda-graphs",
        ),
        (("--check", "--device", "gpu"), "--device gpu is not a device; write cpu, cuda or cuda:0"),
    ],
)
def test_what_is_refused(cli, options, sentence):
    assert cli.refused("doctor", *options) == sentence


def test_the_help_names_every_check(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    said = cli("doctor", "--help").out
    assert [name for name in module.CHECKS if name not in said] == []
