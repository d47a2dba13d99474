"""foldnet fold: from a soft run to a folder with loops, its counts checked against what is really there.

The run that most tests fold is tied by hand: in stage 1 nothing is alike, stage 2 loops by blocks, stage 3 is one layer.
"""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import foldnet
from foldnet.errors import NothingToFold, SettingError
from foldnet.training.runs import open_run
from foldnet.verbs.fold import fold

QUICK = ("--no-evaluate", "--dry-run")
FIELDS = {"fold", "threshold", "tie", "groups", "program", "loops", "reuses", "accuracy", "parameters", "bytes"}
GROUP_FIELDS = {"name", "clusters", "owners", "stored", "weight_numbers"}
ACCURACIES = {"soft", "soft_recalibrated", "tied", "recalibrated", "finetuned"}
NUMBERS = {"stage1": 16 * 16 * 9, "stage2": 32 * 32 * 9, "stage3": 64 * 64 * 9}
PLAIN_SAID = "the network has no shared groups, so there is nothing to fold; train a soft one, such as swrn-28-2-4"
NO_THRESHOLD = "is not a number or GROUP=NUMBER; write 0.95, stage2=0.9, chance or auto"
NO_SIMILARITY = "is not a similarity; give a number from 0 to 1, chance or auto"


def exactly(sentence):
    return f"^{re.escape(sentence)}$"


def layers_of(stage):
    """The six layers that share in one stage."""
    return [f"{stage}.{block}.conv{conv}" for block in (1, 2, 3) for conv in (1, 2)]


def owners_of(report):
    return [group["owners"] for group in report["groups"]]


def assert_consistent(report, finetuned=None):
    """The fields of a report agree with each other."""
    assert report.keys() >= FIELDS
    assert report["accuracy"].keys() >= ACCURACIES
    assert report["accuracy"]["finetuned"] == finetuned
    assert [group["name"] for group in report["groups"]] == ["stage1", "stage2", "stage3"]
    for group in report["groups"]:
        assert group.keys() >= GROUP_FIELDS
        layers = [layer for cluster in group["clusters"] for layer in cluster]
        assert sorted(layers) == layers_of(group["name"])
        assert group["owners"] == len(group["clusters"])
        assert group["stored"] == min(group["owners"], 4)
        assert group["weight_numbers"] == NUMBERS[group["name"]]
    for counts in (report["parameters"], report["bytes"]):
        assert counts.keys() == {"soft", "dense", "folded"}
        assert counts["soft"] < counts["dense"]
        assert counts["folded"] < counts["dense"]
    parameters, sizes = report["parameters"], report["bytes"]
    assert parameters["dense"] - parameters["soft"] == sum((6 - 4) * NUMBERS[name] - 6 * 4 for name in NUMBERS)
    assert 4 * parameters["folded"] < sizes["folded"] < 4 * parameters["folded"] + 32 * 1024


def test_the_fold_that_was_made_by_hand_is_found(cli, shelf):
    report = cli.done("fold", "runs/tied", *QUICK)
    assert_consistent(report)
    one, other = ([f"stage2.{block}.conv{conv}" for block in (1, 2, 3)] for conv in (1, 2))
    assert report["groups"][0]["clusters"] == [[layer] for layer in layers_of("stage1")]
    assert report["groups"][1]["clusters"] == [one, other]
    assert report["groups"][2]["clusters"] == [layers_of("stage3")]
    assert [group["stored"] for group in report["groups"]] == [4, 2, 1]
    assert (report["loops"], report["reuses"], report["threshold"]) == (2, 9, 0.95)
    stages = [line for line in report["program"].splitlines() if line.startswith("stage")]
    assert stages == ["stage1: private; A; B; C", "stage2: private; 3x { A }", "stage3: private; 3x { A }"]
    assert report["would_merge_at"] is None


def test_the_usual_threshold_is_that_of_the_settings(cli, shelf):
    assert cli.done("fold", "runs/tied", *QUICK, "--threshold", "0.95") == cli.done("fold", "runs/tied", *QUICK)


@pytest.mark.parametrize(
    ("options", "owners", "threshold"),
    [
        (["--threshold", "1"], [6, 2, 1], 1.0),
        (["--threshold", "0.7"], [4, 2, 1], 0.7),
        (["--threshold", "0"], [1, 1, 1], 0.0),
        (["--threshold", "stage1=0.7"], [4, 2, 1], {"stage1": 0.7, "stage2": 0.95, "stage3": 0.95}),
        (
            ["--threshold", "0", "--threshold", "stage1=0.7", "--threshold", "stage2=1"],
            [4, 2, 1],
            {"stage1": 0.7, "stage2": 1.0, "stage3": 0.0},
        ),
        (["--threshold", "0,stage1=0.7,stage2=1"], [4, 2, 1], {"stage1": 0.7, "stage2": 1.0, "stage3": 0.0}),
        (["--groups", "stage3"], [6, 6, 1], 0.95),
        (["--groups", "stage1, stage2", "--threshold", "0"], [1, 1, 6], 0.0),
    ],
)
def test_thresholds_and_groups(cli, shelf, options, owners, threshold):
    report = cli.done("fold", "runs/tied", *QUICK, *options)
    assert_consistent(report)
    assert owners_of(report) == owners
    assert report["threshold"] == threshold


@pytest.mark.parametrize(
    ("threshold", "said"),
    [
        ("1.5", f"--threshold 1.5 {NO_SIMILARITY}"),
        ("-0.1", f"--threshold -0.1 {NO_SIMILARITY}"),
        ("nan", f"--threshold nan {NO_SIMILARITY}"),
        ("inf", f"--threshold inf {NO_SIMILARITY}"),
        ("stage1=2", f"--threshold 2.0 {NO_SIMILARITY}"),
        ("abc", f"--threshold 'abc' {NO_THRESHOLD}"),
        ("", f"--threshold '' {NO_THRESHOLD}"),
        ("stage2=", f"--threshold 'stage2=' {NO_THRESHOLD}"),
    ],
)
def test_a_threshold_that_is_none(cli, shelf, threshold, said):
    assert cli.refused("fold", "runs/tied", "--threshold", threshold) == said


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (["--threshold", "stage9=0.9"], "--threshold names 'stage9', which is no group"),
        (["--groups", "stage9"], "--groups names 'stage9', which does not exist"),
        (["--keep", "stage9.1.conv1"], "--keep names 'stage9.1.conv1', which is not a layer that shares; did you mean"),
    ],
)
def test_names_that_do_not_exist_come_with_those_that_do(cli, shelf, options, start):
    said = cli.refused("fold", "runs/tied", *options)
    assert said.startswith(start)
    assert "stage3" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tie", "foo"], "--tie foo is not legal; choose gain, signed or mean"),
        (["--linkage", "ward"], "--linkage ward is not legal; choose complete, average or single"),
        (["--metric", "foo"], "--metric foo is not legal; choose coefficients or weights"),
        (["--checkpoint", "foo"], "run 'runs/tied' has no 'foo' checkpoint; use --checkpoint last"),
    ],
)
def test_words_that_are_not_legal(cli, shelf, options, said):
    assert cli.refused("fold", "runs/tied", *options) == said


def test_a_unit_that_is_none(cli, shelf):
    assert cli.refused("fold", "runs/tied", "--unit", "stage").startswith("--unit stage is not legal; choose ")


@pytest.mark.parametrize("other", [["--threshold", "0.9"], ["--threshold", "stage2=0.9"], ["--max-drop", "1"]])
def test_two_ways_of_choosing_contradict_each_other(cli, home, other):
    (home / "my.json").write_text("{}")
    said = f"--clusters and {other[0]} contradict each other; give one of them"
    assert cli.refused("fold", "runs/tied", "--clusters", "my.json", *other) == said


def test_the_users_own_clusters(cli, home):
    mine = {"stage1": [["stage1.3.conv2", "stage1.1.conv1"], ["stage1.2.conv1"]], "stage3": []}
    (home / "my.json").write_text(json.dumps(mine))
    report = cli.done("fold", "runs/tied", *QUICK, "--clusters", "my.json")
    assert_consistent(report)
    assert report["threshold"] is None
    assert owners_of(report) == [5, 6, 6]
    assert ["stage1.1.conv1", "stage1.3.conv2"] in report["groups"][0]["clusters"]
    only = cli.done("fold", "runs/tied", *QUICK, "--clusters", "my.json", "--groups", "stage3")
    assert owners_of(only) == [6, 6, 6]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", '--clusters my.json is not an object such as {"stage2": [["layer", "layer"]]}'),
        ("null", '--clusters my.json is not an object such as {"stage2": [["layer", "layer"]]}'),
        (
            '{"stage2": "ab"}',
            "the clusters of 'stage2' are not a list of lists of layer names; write them as "
            '[["layer", "layer"], ...] in the --clusters file',
        ),
        (
            '{"stage2": ["stage2.1.conv1"]}',
            "the clusters of 'stage2' are not a list of lists of layer names; write them as "
            '[["layer", "layer"], ...] in the --clusters file',
        ),
        (
            '{"stage2": [["stage2.1.conv1", "stage2.1.conv1"]]}',
            "layer 'stage2.1.conv1' is named twice in the --clusters file's group 'stage2'; name it once",
        ),
        (
            '{"stage2": [["stage2.1.conv1"], ["stage2.1.conv1"]]}',
            "layer 'stage2.1.conv1' is named twice in the --clusters file's group 'stage2'; name it once",
        ),
        (
            '{"stage2": [[1, 2]]}',
            "there is no layer 1 in the --clusters file's group 'stage2'; group 'stage2' holds "
            + ", ".join(layers_of("stage2")),
        ),
    ],
)
def test_a_clusters_file_that_will_not_do(cli, home, content, said):
    (home / "my.json").write_text(content)
    assert cli.refused("fold", "runs/tied", "--clusters", "my.json") == said


@pytest.mark.parametrize(
    ("content", "start"),
    [
        ('{"stage9": []}', "--clusters my.json names group 'stage9', which does not exist; did you mean "),
        (
            '{"stage2": [["stage2.1.conv9"]]}',
            "there is no layer 'stage2.1.conv9' in the --clusters file's group 'stage2'",
        ),
        (
            '{"stage2": [["stage3.1.conv1"]]}',
            "there is no layer 'stage3.1.conv1' in the --clusters file's group 'stage2'",
        ),
        ("{", "--clusters my.json is not valid JSON ("),
        (b"\xff\xfe", "--clusters my.json is not valid JSON ("),
    ],
)
def test_a_clusters_file_with_unknown_names_or_no_json(cli, home, put, content, start):
    put(home / "my.json", content)
    assert cli.refused("fold", "runs/tied", "--clusters", "my.json").startswith(start)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no.json", "--clusters no.json cannot be read (No such file or directory); check the path"),
        ("runs", "--clusters runs is a folder and not a plain file; put one there"),
    ],
)
def test_a_clusters_file_that_cannot_be_read(cli, shelf, name, said):
    assert cli.refused("fold", "runs/tied", "--clusters", name) == said


def test_whole_blocks_are_tied_position_by_position(cli, shelf):
    report = cli.done("fold", "runs/tied", *QUICK, "--unit", "block")
    assert_consistent(report)
    assert owners_of(report) == [6, 2, 2]
    assert (report["loops"], report["reuses"]) == (2, 8)


@pytest.mark.parametrize("tie", ["gain", "signed", "mean"])
def test_ways_of_tying(cli, shelf, tie):
    report = cli.done("fold", "runs/tied", *QUICK, "--tie", tie)
    assert report["tie"] == tie
    gains = [layer["gain"] for layer in report["groups"][2]["layers"]]
    errors = [layer["error"] for layer in report["groups"][2]["layers"]]
    if tie == "gain":  # the rows are 1, -1, 2, 0.5, 1 and -1.25 times one another
        assert [gain / gains[0] for gain in gains] == pytest.approx([1, -1, 2, 0.5, 1, -1.25])
        assert sum(gain**2 for gain in gains) == pytest.approx(6)
        assert max(errors) < 1e-6
    elif tie == "signed":
        assert gains == [1, -1, 1, 1, 1, -1]
    else:
        assert gains == [1] * 6
    assert max(layer["error"] for layer in report["groups"][0]["layers"]) == 0


@pytest.mark.parametrize(("linkage", "owners"), [("complete", 4), ("average", 4), ("single", 2)])
def test_linkage_says_how_clusters_grow(cli, shelf, linkage, owners):
    report = cli.done("fold", "runs/tied", *QUICK, "--linkage", linkage, "--threshold", "stage1=0.7")
    assert (report["linkage"], owners_of(report)) == (linkage, [owners, 2, 1])


def test_the_metric_is_that_of_the_report(cli, shelf):
    assert cli.done("fold", "runs/tied", *QUICK)["metric"] == "coefficients"
    report = cli.done("fold", "runs/tied", *QUICK, "--metric", "weights")
    assert report["metric"] == "weights"
    assert owners_of(report)[1:] == [2, 1]  # exact ties are exact by either


def test_a_dry_run_writes_nothing_and_says_the_same(cli, home):
    before = sorted(home.rglob("*"))
    dry = cli.done("fold", "runs/tied", "--no-evaluate", "--dry-run")
    assert sorted(home.rglob("*")) == before
    wet = cli.done("fold", "runs/tied", "--no-evaluate")
    assert dry["fold"] is None
    assert wet | {"fold": None} == dry


def test_without_evaluation_no_data_are_touched(cli, home, monkeypatch):
    def untouchable(*arguments, **options):
        raise AssertionError("data were loaded")

    monkeypatch.setattr("foldnet.data.sources.Digits.images", untouchable)
    report = cli.done("fold", "runs/tied", "--no-evaluate")
    assert {report["accuracy"][name] for name in ACCURACIES} == {None}
    soft, looped = foldnet.load("runs/tied").state_dict(), foldnet.load(report["fold"]).state_dict()
    assert torch.equal(looped["network.norm.running_var"], soft["network.norm.running_var"])


@pytest.mark.parametrize("options", [["--unit", "layer"], ["--unit", "block"], ["--groups", "stage1"]])
def test_where_nothing_merges_the_height_at_which_something_would_is_true(cli, shelf, options):
    report = cli.done("fold", "runs/soft", *QUICK, *options, "--threshold", "1")
    assert_consistent(report)
    assert owners_of(report) == [6, 6, 6]
    assert (report["loops"], report["reuses"]) == (0, 0)
    height = report["would_merge_at"]
    assert 0 < height < 1
    merged = cli.done("fold", "runs/soft", *QUICK, *options, "--threshold", repr(height))
    assert sum(owners_of(merged)) < 18
    above = cli.done("fold", "runs/soft", *QUICK, *options, "--threshold", repr(height + 1e-6))
    assert owners_of(above) == [6, 6, 6]
    text = cli("fold", "runs/soft", *QUICK, *options, "--threshold", "1").out
    (shown,) = re.findall(r"nothing merged; at --threshold (0\.\d{3}) something would", text)
    assert sum(owners_of(cli.done("fold", "runs/soft", *QUICK, *options, "--threshold", shown))) < 18


def test_a_fold_without_loops_is_a_fold(cli, home):
    report = cli.done("fold", "runs/soft", "--no-evaluate", "--threshold", "1", "--out", "apart")
    assert_consistent(report)
    images = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.allclose(foldnet.load("apart")(images), foldnet.load("runs/soft")(images), atol=1e-4)


def test_the_counts_are_those_of_the_network_and_of_the_file(cli, shelf):
    report = json.loads((shelf / "runs/tied/fold-0.95/report.json").read_text())
    assert_consistent(report)
    looped = foldnet.load("runs/tied/fold-0.95")
    file = shelf / "runs/tied/fold-0.95/weights.safetensors"
    with safe_open(file, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    parameters = dict(looped.named_parameters())
    assert report["parameters"]["folded"] == sum(parameter.numel() for parameter in parameters.values())
    assert report["parameters"]["folded"] == sum(tensors[name].numel() for name in parameters)
    assert tensors.keys() == looped.state_dict().keys()
    unique = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    assert unique <= file.stat().st_size <= 1.02 * unique + 64 * 1024
    assert report["bytes"]["folded"] == file.stat().st_size
    soft, _ = open_run(shelf / "runs" / "tied").load()
    assert report["parameters"]["soft"] == sum(parameter.numel() for parameter in soft.parameters())
    dense = foldnet.materialise(soft)
    assert report["parameters"]["dense"] == sum(parameter.numel() for parameter in dense.parameters())


def test_what_is_stored_is_one_tensor_an_owner(shelf):
    report = json.loads((shelf / "runs/tied/fold-0.95/report.json").read_text())
    state = foldnet.load("runs/tied/fold-0.95").state_dict()
    assert len({tensor.untyped_storage().data_ptr() for tensor in state.values()}) == len(state)
    for group in report["groups"]:
        shape = tuple(state[f"network.{group['name']}.blocks.private1.conv2.weight"].shape)
        kept = [name for name, tensor in state.items() if tuple(tensor.shape) == shape and "owners." in name]
        assert len(kept) == group["stored"]
    weights = [name for name in state if name.startswith("owners.")]
    assert len(weights) == 4 + 1 + 2 + 1  # stage 1 keeps its templates, and coefficients


def test_the_accuracies_are_those_of_evaluate_to_the_last_image(cli, shelf):
    accuracy = json.loads((shelf / "runs/tied/fold-0.95/report.json").read_text())["accuracy"]
    assert accuracy["images"] == 360
    assert all(0 <= accuracy[name] <= 1 for name in ("soft", "soft_recalibrated", "tied", "recalibrated"))
    assert accuracy["recalibrated"] == cli.done("evaluate", "runs/tied/fold-0.95")["accuracy"]
    assert accuracy["soft"] == cli.done("evaluate", "runs/tied")["accuracy"]
    assert accuracy["tied"] == accuracy["soft"]  # the ties are exact
    assert accuracy["recalibrated"] == accuracy["soft_recalibrated"]


def test_force_replaces_the_fold_of_the_same_name(cli, home):
    before = (home / "runs/tied/fold-0.95/report.json").stat().st_ino
    again = cli.done("fold", "runs/tied", "--no-shares", "--no-evaluate", "--force")
    assert again["fold"] == "runs/tied/fold-0.95"
    assert (home / "runs/tied/fold-0.95/report.json").stat().st_ino != before
    assert not (home / "runs/tied/fold-0.95-2").exists()


def test_folding_twice_gives_the_same(cli, home):
    first = json.loads((home / "runs/tied/fold-0.95/report.json").read_text())
    again = cli.done("fold", "runs/tied", "--no-shares")
    assert again["fold"] == "runs/tied/fold-0.95-2"
    names = {"fold": "fold-0.95", "run": "tied"}
    assert again | names == first
    one, other = (foldnet.load(folder).state_dict() for folder in ("runs/tied/fold-0.95", again["fold"]))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_folder_says_what_was_asked_and_is_new_each_time(cli, home):
    names = [
        cli.done("fold", "runs/tied", "--no-evaluate", *options)["fold"]
        for options in ([], ["--threshold", "0.5"], ["--unit", "block"], ["--tie", "mean", "--unit", "block"])
    ]
    assert names == [
        f"runs/tied/{name}" for name in ("fold-0.95-2", "fold-0.5", "fold-0.95-block", "fold-0.95-block-mean")
    ]


def test_what_exists_is_replaced_only_by_force_and_only_if_it_is_a_fold(cli, home):
    assert cli.done("fold", "runs/tied", "--no-evaluate", "--out", "new/deep/fold")["fold"] == "new/deep/fold"
    said = "'new/deep/fold' exists already; give --out another name or add --force"
    assert cli.refused("fold", "runs/tied", "--no-evaluate", "--out", "new/deep/fold") == said
    report = cli.done("fold", "runs/tied", "--no-evaluate", "--out", "new/deep/fold", "--force", "--threshold", "0")
    assert json.loads(Path("new/deep/fold/report.json").read_text()) == report | {"fold": "fold", "run": "tied"}
    assert sorted(path.name for path in Path("new/deep").iterdir()) == ["fold"]
    Path("mine.txt").write_text("mine")
    for place in ("runs", "runs/tied", "new", "mine.txt"):
        said = f"'{place}' is not the folder of a fold, and --force replaces no other; give --out another name"
        assert cli.refused("fold", "runs/tied", "--no-evaluate", "--out", place, "--force") == said
    Path("empty").mkdir()
    assert cli.done("fold", "runs/tied", "--no-evaluate", "--out", "empty", "--force")["fold"] == "empty"


def test_a_place_below_a_file_cannot_be_written(cli, home):
    (home / "file").write_text("mine")
    said = "'file/fold' cannot be written (File exists); free the place or choose another"
    assert cli.refused("fold", "runs/tied", "--no-evaluate", "--out", "file/fold") == said


def test_a_fold_that_is_interrupted_leaves_nothing(cli, home, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("foldnet.verbs.fold.save_fold", interrupted)
    outcome = cli("fold", "runs/tied", "--no-evaluate", "--out", "new")
    assert (outcome.code, outcome.err) == (130, "interrupted\n")
    assert sorted(path.name for path in home.iterdir()) == ["runs"]


def test_a_plain_run_cannot_be_folded(cli, shelf):
    assert cli.refused("fold", "runs/plain") == PLAIN_SAID
    with pytest.raises(NothingToFold, match=exactly(PLAIN_SAID)):
        fold("runs/plain", evaluated=False)


def test_a_fold_cannot_be_folded(cli, shelf):
    said = "'runs/tied/fold-0.95' is the folder of a fold, not of a run; give the folder of a run"
    assert cli.refused("fold", "runs/tied/fold-0.95") == said


def test_a_run_left_out_is_the_newest(cli, shelf):
    assert cli.done("fold", *QUICK)["run"] == "runs/tied"


def test_the_other_checkpoint_is_folded(cli, shelf):
    report = cli.done("fold", "runs/soft", *QUICK, "--checkpoint", "best")
    assert report["checkpoint"] == "best"
    assert_consistent(report)


def test_from_python_the_keywords_are_the_settings(shelf):
    report = fold("runs/tied", dry_run=True, evaluated=False, threshold=0.0, groups=("stage1",), tie="mean").report
    assert (report.threshold, report.tie, report.unit) == (0.0, "mean", "layer")
    assert [group.owners for group in report.groups] == [1, 6, 6]
    with pytest.raises(SettingError, match=exactly(f"`threshold=1.5` {NO_SIMILARITY}")):
        fold("runs/tied", dry_run=True, evaluated=False, threshold=1.5)


def test_a_program_that_was_searched_for_greedily_is_called_so(cli, shelf, monkeypatch):
    said = "stage1, stage2, stage3: too many blocks to try every program, a shorter one may exist"
    assert said not in cli("fold", "runs/tied", *QUICK).out
    monkeypatch.setattr("foldnet.program.loops.EXACT_LABELS", 3)
    assert said in " ".join(cli("fold", "runs/tied", *QUICK).out.split())
    assert cli.done("fold", "runs/tied", *QUICK)["greedy"] == ["stage1", "stage2", "stage3"]
