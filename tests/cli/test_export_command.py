"""foldnet export, and what verify and bench say of the files: every format, the whole way."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import onnx
import pytest
import torch

from foldnet.errors import RunError
from foldnet.exporting import onnx_model, running
from foldnet.exporting.runtimes import openvino_of
from foldnet.store.seals import sha256_of

FOLD = "runs/tied/fold-0.95"
LOOPS = {"stage2.loop1": 3, "stage3.loop1": 3}


@pytest.fixture(scope="module")
def exports(cli, stock, tmp_path_factory):
    """What is said of a file of the fold in each format, by its ending."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(stock)
        return {
            ending: cli.done("export", *options, "-o", folder / f"a{ending}", *more)
            for ending, options, more in (
                (".onnx", (), ["--dial"]),
                (".pt2", (FOLD,), []),
                (".safetensors", (FOLD,), []),
            )
        }


@pytest.fixture(scope="module")
def files(exports):
    """The files, by their endings."""
    return {ending: Path(said["file"]) for ending, said in exports.items()}


def test_a_fold_is_written_and_verified(cli, home, exports, files):
    said, file = exports[".onnx"], files[".onnx"]
    assert (said["format"], said["form"], said["source"]) == ("onnx", "looped", "fold-0.95")
    assert (said["loops"], said["dial"], said["unrolled"]) == (LOOPS, [*LOOPS], {})
    assert said["sha256"] == sha256_of(file)
    about = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert (
        said["scaling"]
        == json.loads(about["foldnet"])["scaling"]
        == json.loads(Path("runs/soft/config.json").read_text())["scaling"]
    )
    assert said["scaling"]["classes"] == list("0123456789")
    found = cli("verify", FOLD, "--no-data", "--exported", file, "--json")
    assert found.code == 3
    certificate = json.loads(found.out)
    kept = home / FOLD / f"exported-{said['sha256'][:12]}.json"
    written = json.loads(kept.read_text())
    assert written == certificate | {"fold": "fold-0.95", "file": "a.onnx"}
    assert (certificate["sha256"], certificate["passed"]) == (said["sha256"], None)
    assert certificate["notes"] == ["no test images were asked for: only random inputs are compared"]
    assert certificate["bytes"]["file"] <= 1.05 * certificate["bytes"]["unique"] + 2**16
    for runtime in ("onnxruntime", "openvino"):
        trips = [ran["trips"] for ran in certificate["ran"] if ran["runtime"].startswith(runtime)]
        assert trips == [{}, {}, *({name: count} for name in LOOPS for count in (0, 1, 3, 6))]
    assert {ran["batch"] for ran in certificate["ran"]} == {32, 3}
    assert all(ran["broken"] == 0 for ran in certificate["ran"])


def test_with_its_data_a_file_passes(cli, home, files):
    for file in files.values():
        certificate = cli.done("verify", FOLD, "--images", "40", "--exported", file)
        assert certificate["passed"] is True
        assert {(ran["inputs"], ran["count"]) for ran in certificate["ran"] if not ran["trips"]} == {
            *(("random", count) for count in (64, 32)),
            *(("test", count) for count in (40, 32)),
        }
        assert certificate["difference"] < 1e-4
        assert certificate["format"] == file.suffix[1:]


def test_a_file_is_timed_beside_the_forms(cli, shelf, files):
    said = cli.done(
        *("bench", "inference", FOLD, "--exported", files[".onnx"], "--batch-sizes", "1,2", "--repeats", "1"),
        *("--threads", "1", "--device", "cpu"),
    )
    (name,) = [name for name in said["results"] if name.startswith("onnxruntime ")]
    figures = said["results"][name]
    assert figures["bytes"] == files[".onnx"].stat().st_size
    assert set(figures["seconds"]) == {"1", "2"}
    assert (figures["parameters"], figures["flops"], figures["peak_memory"]) == (None, None, {})
    assert said["ratios"][name]["seconds"]["1"] > 0
    assert said["threads"] == 1


def test_a_run_is_written_in_its_dense_form(cli, home):
    said = cli.done("export", "runs/soft", "--format", "pt2")
    assert (said["file"], said["form"], said["loops"]) == ("runs/soft/network.pt2", "dense", {})
    assert said["notes"] == []
    with_fold = cli.done("export", "runs/tied", "-o", "b.safetensors")
    assert with_fold["notes"] == [
        "the run was exported with every weight written out; name one of its folds for its loops"
    ]
    said = cli("export", "runs/soft", "-o", "a.safetensors").out
    assert said.startswith("safetensors of the dense network: ")


def test_what_is_not_this_folds_file_is_refused(cli, home, files, tmp_path):
    def refused(file):
        return cli.refused("verify", FOLD, "--no-data", "--exported", file)

    (tmp_path / "b.onnx.d").mkdir()
    (tmp_path / "b.onnx").write_bytes(b"\xff garbage")
    assert refused("b.onnx") == "'b.onnx' is no ONNX file, or was cut short; export the fold again"
    (tmp_path / "b.pt2").write_bytes(b"garbage")
    assert refused("b.pt2") == "'b.pt2' was not written by foldnet export; give a file that was"
    for name, why in {
        "b.txt": "has ending '.txt'",
        "b": "has no ending",
        "b.onnx.d": "is a folder",
        "gone.onnx": "does not exist",
        os.devnull: "has no ending",
    }.items():
        assert refused(name) == f"'{name}' {why}; give an exported file, .onnx, .pt2, .safetensors"
    changed = onnx.load(files[".onnx"])
    changed.graph.initializer[0].raw_data = bytes(len(changed.graph.initializer[0].raw_data))
    onnx.save(changed, tmp_path / "c.onnx")
    assert refused("c.onnx") == "'c.onnx' was changed after it was written (its digest differs); export the fold again"
    content = bytearray(files[".pt2"].read_bytes())
    place = content.find(b"torch.ops.aten.relu")
    content[place : place + 19] = b"torch.ops.aten.tanh"
    (tmp_path / "c.pt2").write_bytes(content)
    assert refused("c.pt2").startswith("'c.pt2' was changed after it was written (")
    content = bytearray(files[".safetensors"].read_bytes())
    content[-1] ^= 1
    (tmp_path / "c.safetensors").write_bytes(content)
    assert refused("c.safetensors").startswith("'c.safetensors' was changed after it was written (its digest differs)")
    cli.done("export", "runs/plain", "-o", "d.safetensors")
    assert refused("d.safetensors") == f"'d.safetensors' was not made of fold '{FOLD}', but of plain; name its own fold"
    shutil.copytree(home / "runs/plain", tmp_path / "fold-0.95")
    cli.done("export", tmp_path / "fold-0.95", "-o", "e.safetensors")
    said = f"'e.safetensors' was not made of fold '{FOLD}', but of another fold-0.95; name its own fold"
    assert refused("e.safetensors") == said
    assert cli.refused("bench", "inference", FOLD, "--exported", "d.safetensors", "--device", "cpu") == (
        f"'d.safetensors' was not made of fold '{FOLD}', but of plain; name its own fold"
    )


@pytest.mark.parametrize(
    "told",
    [[], {"files": None}, {"format": "pt2"}, {"versions": 1}, {"dial": ["stage9.loop1"]}, {"dial": 3}, {"loops": []}],
)
def test_a_file_that_says_what_foldnet_does_not_write_is_refused(cli, shelf, files, tmp_path, told):
    model = onnx.load(files[".onnx"])
    about = {entry.key: entry.value for entry in model.metadata_props if entry.key != onnx_model.SEAL}
    about["foldnet"] = json.dumps(json.loads(about["foldnet"]) | told if told else told)
    onnx.helper.set_model_props(model, about)
    onnx_model.seal(model)
    onnx.save(model, tmp_path / "a.onnx")
    said = cli.refused("verify", FOLD, "--no-data", "--exported", tmp_path / "a.onnx")
    assert said == f"'{tmp_path / 'a.onnx'}' was not written by foldnet export; give a file that was"


def test_what_a_file_says_of_its_size_and_inputs_is_not_believed(cli, home, files, tmp_path):
    model = onnx.load(files[".onnx"])
    about = {entry.key: entry.value for entry in model.metadata_props if entry.key != onnx_model.SEAL}
    about["foldnet"] = json.dumps(json.loads(about["foldnet"]) | {"unique_bytes": 10**12})
    onnx.helper.set_model_props(model, about)
    onnx_model.seal(model)
    onnx.save(model, tmp_path / "a.onnx")
    found = [
        json.loads(cli("verify", FOLD, "--no-data", "--exported", file, "--json").out)
        for file in (tmp_path / "a.onnx", files[".onnx"])
    ]
    assert found[0]["bytes"]["unique"] == found[1]["bytes"]["unique"]
    del model.graph.input[1:]
    onnx.helper.set_model_props(model, about)
    onnx_model.seal(model)
    onnx.save(model, tmp_path / "a.onnx")
    said = cli.refused("verify", FOLD, "--no-data", "--exported", tmp_path / "a.onnx")
    assert said.startswith(f"onnxruntime does not take '{tmp_path / 'a.onnx'}' (")
    assert said.endswith("); export the fold again")


def test_a_file_that_computes_something_else_breaks_its_promises(cli, home, files, monkeypatch):
    original = running.onnxruntime_of

    def wrong(*given, **options):
        run = original(*given, **options)
        return lambda x, trips: run(x, trips) + 0.01

    monkeypatch.setattr(running, "onnxruntime_of", wrong)
    found = cli("verify", FOLD, "--no-data", "--exported", files[".onnx"])
    assert found.code == 1
    assert "FAILED: " in found.out
    assert "does not keep what it promises (largest difference of onnxruntime" in found.err


def test_openvino_runs_it_too_with_dials_turned(cli, home, files):
    found = json.loads(cli("verify", FOLD, "--no-data", "--exported", files[".onnx"], "--json").out)
    ran = {
        name: [one for one in found["ran"] if one["runtime"].startswith(name)] for name in ("onnxruntime", "openvino")
    }
    assert [one["trips"] for one in ran["openvino"]] == [one["trips"] for one in ran["onnxruntime"]]
    assert any(ran["openvino"][-1]["trips"].values())
    assert all(one["difference"] <= 1e-4 * max(1, one["largest"]) for one in found["ran"])
    assert ran["openvino"][0]["runtime"] == f"openvino {version('openvino')}"


def test_where_openvino_is_not_installed_onnxruntime_runs_it_alone(cli, home, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    found = json.loads(cli("verify", FOLD, "--no-data", "--exported", files[".onnx"], "--json").out)
    assert {ran["runtime"].split()[0] for ran in found["ran"]} == {"onnxruntime"}
    assert found["passed"] is None


def test_a_model_that_openvino_does_not_take(tmp_path):
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("NoSuchOperator", ["x"], ["y"])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]))
    with pytest.raises(RunError, match=r"^OpenVINO does not take 'a.onnx' \(.*\); export the fold again$"):
        openvino_of(model.SerializeToString(), Path("a.onnx"))(torch.ones(1), {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "dot", "--dial"], "--dial has no meaning for 'graph.dot'; leave it out"),
        (
            ["--format", "onnx", "--loops", "rolled"],
            "--loops rolled is not legal; choose loop or unrolled; did you mean 'unrolled'?",
        ),
        (["--format", "onnx", "-o", "a.json"], "'a.json' has ending '.json'; give it one of .onnx"),
        (
            ["runs/plain", "--format", "onnx", "--dial"],
            "--dial makes the trips of loops an input, and the network has no loop; leave it out",
        ),
    ],
)
def test_what_cannot_be_exported(cli, shelf, arguments, said):
    assert cli.refused("export", *arguments) == said


def test_nothing_of_it_is_imported_where_it_is_not_asked_for(shelf):
    code = (
        "import sys\nfrom foldnet_cli.main import main\nsys.argv = ['foldnet', *sys.argv[1:]]\n"
        "try:\n    main()\nfinally:\n    print('HEAVY', [n for n in ('onnx', 'onnxruntime', 'torch.export', 'torch.onnx._internal.exporter') if n in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True)
    assert done.stdout.endswith("HEAVY []\n")


def test_the_newest_run_without_a_fold_is_taken_itself(cli, home):
    shutil.rmtree(home / FOLD)
    outcome = cli("export", "--format", "safetensors", "-o", "a.safetensors")
    assert outcome.err.startswith("using runs/tied, the newest run, which has no fold\n")
