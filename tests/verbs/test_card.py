"""Cards of folds: what they say, what opens them, and what goes over the network where it is asked for."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from hub import logged_in
from planted import use_few_digits

import foldnet
from foldnet.errors import FoldnetWarning, OutputError, RunError, SettingError
from foldnet.store.seals import sealed
from foldnet.verbs.card import card
from foldnet.verbs.cards.facts import certificate_of
from foldnet.verbs.cards.front_matter import yaml_of
from foldnet.verbs.cards.readme import cell

FOLD = "runs/tied/fold-0.95"
FILES = {"README.md", "config.json", "graph.png", "model.safetensors", "program.json", "report.json"}


@pytest.fixture
def there(monkeypatch, tmp_path):
    """A Hub on the loopback, whose owner is logged in."""
    with logged_in(monkeypatch, tmp_path) as found:
        yield found


def readme(folder="card"):
    """(front matter, text) of a card."""
    _, front, text = (Path(folder) / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def answers(network):
    """What a network says of some images."""
    with torch.no_grad():
        return network(torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)))


def test_a_card_says_what_is_known_and_opens_as_the_fold_that_it_is_of(home, cli):
    made = cli.done("card", FOLD, "-o", "card", "--license", "apache-2.0")
    assert {file.name for file in Path("card").iterdir()} == set(made["files"]) == FILES
    assert made["bytes"] == sum(file.stat().st_size for file in Path("card").iterdir())
    assert (home / "card" / "model.safetensors").read_bytes() == (home / FOLD / "weights.safetensors").read_bytes()
    report = json.loads((home / FOLD / "report.json").read_text())
    front, text = readme()
    score = report["accuracy"]["recalibrated"]
    assert front["license"] == "apache-2.0"
    assert front["library_name"] == "foldnet"
    found = huggingface_hub.ModelCard.load(home / "card" / "README.md").data
    assert (found.eval_results[0].metric_value, found.eval_results[0].dataset_name) == (score, "digits")
    assert report["program"] in text
    assert f"| folded, batch norm recalibrated | {100 * score:.2f} % (" in text
    assert "| control: the soft network, trained as long | not measured |" in text
    assert "These are of one training, seed 0: the spread over seeds, and a control of as many stored numbers" in text
    assert "Nobody has verified this fold" in text
    assert 'network = foldnet.load("hf://OWNER/NAME")' in text
    assert "(pixel / 16 - 0.305) / 0.376" in text
    assert all(
        f"| {cell(name)} | `{digest}` |" in text for name, digest in made["files"].items() if name != "README.md"
    )
    assert torch.equal(answers(foldnet.load("card")), answers(foldnet.load(FOLD)))
    assert str(home) not in text
    again = cli("card", FOLD, "-o", "card", "--force")
    assert (again.code, "no licence is named: choose one with --license, or in README.md" in again.out) == (0, True)
    assert "license" not in readme()[0]


def test_a_card_can_be_verified_and_its_certificate_is_of_its_own_files(home):
    foldnet.verify(FOLD, data=False)
    card(FOLD, "card")
    found = certificate_of(Path("card"))
    assert (found.fold, set(found.files)) == ("swrn-28-1-4-fold-0.95", {*FILES} - {"README.md", "graph.png"})
    text = readme()[1]
    assert f"`foldnet verify` of its author: {found.verdict}." in text
    assert "- not checked: batch norm cannot be compared without the run's data" in text
    assert foldnet.verify("card", run="runs/tied", data=False).files.keys() == found.files.keys()
    assert foldnet.verify("card", written=False).verdict == "consistent in itself; not compared with its run"


def test_without_its_run_a_card_says_what_is_not_known_and_without_dot_there_is_no_picture(home, monkeypatch):
    shutil.copytree(FOLD, "alone")
    monkeypatch.setenv("PATH", "")
    made = card("alone", "card")
    assert [note.partition(":")[0] for note in made.notes] == [
        "no licence is named",
        "the run is not at hand",
        "nobody has verified these files",
        "there is no picture",
    ]
    assert made.notes[3].startswith("there is no picture: it needs Graphviz's program dot, which is not installed; ")
    front, text = readme()
    assert "model-index" not in front
    assert "Data, seed and training are not known: the run that was folded was not at hand." in text
    assert "graph.png" not in text
    assert card("alone", "card2", run="runs/tied").notes[1].startswith("nobody")


def test_a_study_gives_seeds_and_controls(home):
    train = {
        "score": 0.5,
        "test_accuracy": 0.5,
        "parameters": 9,
        "stored": 9,
        "measure": "accuracy",
        "better": "higher",
    }
    results = [
        {"trial": f"t{seed}", "settings": {"arch": "wrn-10-1", "dataset": "digits", "seed": seed}, "steps": []}
        | {"train": train | {"score": 0.5 + seed / 10, "seconds": 1.0}}
        for seed in (0, 1)
    ]
    Path("results.json").write_text(json.dumps(sealed({"results": results})))
    card(FOLD, "card", study="results.json")
    text = readme()[1]
    assert "Over seeds, with what it is compared to (mean and standard deviation):" in text
    assert "| wrn-10-1 | digits | 55.00 % ± 7.07 | 2 |" in text


def test_a_card_is_pushed_and_fetched_and_opened_and_nothing_else_asks_the_network(home, cli, there):
    card(FOLD, "card")
    assert there.asked == []
    pushed = cli.done("card", FOLD, "--push", "me/x", "--private")
    assert (pushed["folder"], there.private) == (None, {"me/x"})
    sha, files = there.files("me/x", "main")
    assert pushed["pushed"] == f"{there.url}/me/x/commit/{sha}"
    assert set(files) == FILES
    assert b'foldnet.load("hf://me/x")' in files["README.md"]
    unverified = (
        rf"^'hf://me/x@{sha}' \(commit {sha[:12]}\) is as its own hashes say, which have no key; nobody here has verified "
        r"what it says of its origin, its accuracy and its certificate, of which `foldnet\.verify` computes again what can be$"
    )
    with pytest.warns(FoldnetWarning, match=unverified):
        network = foldnet.load(f"hf://me/x@{sha}")
    assert torch.equal(answers(network), answers(foldnet.load("card")))
    got = cli("card", "hf://me/x", "-o", "got")
    assert (got.code, "computes again what can be" in got.out.replace("\n", " ").replace("  ", " ")) == (0, True)
    assert {file.name: file.read_bytes() for file in Path("got").iterdir()} == files
    assert torch.equal(answers(foldnet.load("got")), answers(network))


def test_what_was_changed_is_missing_or_is_no_fold_on_the_hub_is_refused(home, there):
    card(FOLD, "card", push="me/x")
    weights = bytearray((home / "card" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    there.commit("me/x", {"model.safetensors": bytes(weights)})
    changed = r"^'hf://me/x/model\.safetensors' was changed after the fold was written \(its SHA-256 differs\); restore it or fold the run again$"
    for use in (lambda: foldnet.load("hf://me/x"), lambda: card("hf://me/x", "got")):
        with pytest.raises(RunError, match=changed):
            use()
    assert not Path("got").exists()
    there.repos["me/x"][-1][1].pop("model.safetensors")
    with pytest.raises(RunError, match=r"^'hf://me/x/model\.safetensors' "):
        card("hf://me/x", "got")
    there.commit("me/bert", {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"x", "evil.py": b"1 / 0"})
    with pytest.raises(
        RunError,
        match=r"^'hf://me/bert/config\.json' is not that of a fold; it was edited, or 'hf://me/bert' is not foldnet's$",
    ):
        foldnet.load("hf://me/bert")
    there.commit("me/empty", {"pytorch_model.bin": b"x"})
    with pytest.raises(RunError, match=r"^'hf://me/empty' holds no config\.json; it is not the folder of a fold$"):
        foldnet.load("hf://me/empty")
    assert not any("evil" in asked or ".bin" in asked for asked in there.asked)


def test_a_changed_fold_has_no_card(home, put):
    content = bytearray((home / FOLD / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    put(home / FOLD / "weights.safetensors", bytes(content))
    with pytest.raises(
        RunError,
        match=r"^'runs/tied/fold-0\.95/weights\.safetensors' was changed after the fold was written \(its SHA-256 differs\); restore it or fold the run again$",
    ):
        card(FOLD, "card")
    assert not Path("card").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "`out` is missing; give the folder to make, or `push` with a place on the Hub such as owner/name"),
        ({"path": "hf://me/x"}, "`out` is missing; give the folder to make"),
        (
            {"path": "hf://me/x", "out": "a", "license": "mit"},
            "`license` has no meaning for 'hf://me/x', which is fetched; leave it out",
        ),
        ({"out": "a", "private": True}, "`private=True` has no meaning without `push`; leave it out"),
        ({"push": "me"}, "'me' names no place on the Hub; write hf://owner/name or hf://owner/name@revision"),
    ],
)
def test_settings_that_mean_nothing_are_refused(shelf, given, said):
    with pytest.raises(SettingError) as refused:
        card(**{"path": FOLD} | given)
    assert str(refused.value) == said


def test_places_that_will_not_do_are_refused(home, cli):
    Path("mine").mkdir()
    Path("mine/notes.py").write_text("")
    exists = "'mine' exists already; give --out another name or add --force"
    assert cli.refused("card", FOLD, "-o", "mine") == exists
    for place in ("mine", FOLD, "runs/soft"):
        with pytest.raises(
            OutputError,
            match=rf"^'{place}' is not a card, and `force=True` replaces no other; give `out` another name$",
        ):
            card(FOLD, place, force=True)
    card(FOLD, "card")
    Path("card/mine.py").write_text("")
    with pytest.raises(OutputError, match=r"^'card' holds 'mine\.py', which foldnet did not write and never deletes; "):
        card(FOLD, "card", force=True)
    assert cli.refused("card", "runs/soft", "-o", "a") == (
        "run 'runs/soft' has no fold; make one with `foldnet fold runs/soft`"
    )
    assert cli.refused("card", "mine", "-o", "a") == "'mine' holds no config.json; it is not the folder of a fold"
    assert cli.refused("card", "none", "-o", "a").startswith(
        "'none' is not a folder; give the folder of a fold, such as "
    )


NETS = """from torch import nn
def make(num_classes=10, in_chans=1, width={width}):
    conv = lambda: nn.Conv2d(width, width, 3, padding=1)
    body = nn.Sequential(*[nn.Sequential(conv(), nn.ReLU()) for _ in range(3)])
    return nn.Sequential(nn.Conv2d(in_chans, width, 1), body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))
"""


def test_a_card_of_a_users_own_network_opens_only_with_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    use_few_digits(monkeypatch)
    Path("nets.py").write_text(NETS.format(width=4))
    Path("other.py").write_text(NETS.format(width=5))
    settings = {"templates": 2, "epochs": 1, "precision": "fp32", "device": "cpu", "validation": 20}
    foldnet.train(arch="nets.py:make", out="run", **settings)
    foldnet.fold("run", out="run/fold", threshold=0.1, evaluated=False, code="nets.py")
    card("run/fold", "card", code="nets.py")
    front, text = readme()
    assert "model-index" not in front
    assert "| folded | not measured |" in text
    assert 'foldnet.load("hf://OWNER/NAME", code="nets.py")' in text
    assert "The network is made by a Python file of its author's, `nets.py` (SHA-256 `" in text
    assert not list(Path("card").glob("*.py"))
    with pytest.raises(
        SettingError, match=r"^the network is made by a file of its owner's, 'nets\.py', and code runs only "
    ):
        foldnet.load("card")
    with pytest.raises(RunError, match=r"^'other\.py' is not the file that made the network, or was changed since "):
        foldnet.load("card", code="other.py")
    assert torch.equal(answers(foldnet.load("card", code="nets.py")), answers(foldnet.load("run/fold", code="nets.py")))


def test_front_matter_is_yaml_of_what_it_says():
    texts = [
        "",
        "no",
        "1.0",
        "null",
        "a: b # c",
        "- a",
        "'\"\\",
        "\x00\x1b\x7f\x85\n\t",
        "ä\u2028\ufeff\ud7ff",
        "\U0001f600",
        "---",
    ]
    content = {
        "a": texts,
        "model-index": [{"x": {"y": [{"z": 1}]}, "t": True}],
        "n": [0.5, 1e18, 1e-7, -3, 0.9277777777777778],
    }
    assert yaml.safe_load("\n".join(yaml_of(content))) == content


def test_texts_are_no_markup():
    assert cell("a\u202eb") == r"a\\u202eb"
    assert cell("<b>\n# [a](b) | `c` *d* _e_") == r"\<b\> \# \[a\](b) \| \`c\` \*d\* \_e\_"


def test_a_certificate_that_is_fetched_is_one_of_these_files(home, there):
    foldnet.verify(FOLD, data=False)
    card(FOLD, push="me/x")
    files = dict(there.repos["me/x"][-1][1])
    assert len(card("hf://me/x", "a").notes) == 1
    certificate = json.loads(files["certificate.json"])
    certificate["files"]["program.json"] = "0" * 64
    there.commit("me/x", {"certificate.json": json.dumps(certificate).encode()})
    with pytest.raises(
        RunError,
        match=r"^'hf://me/x/certificate.json' was changed after the certificate was written \(its SHA-256 differs\); restore it or "
        r"verify the fold again$",
    ):
        card("hf://me/x", "b")
    there.commit("me/x", {"certificate.json": json.dumps(sealed(certificate)).encode()})
    assert card("hf://me/x", "b").notes[1] == "'certificate.json' in it is of other files, and says nothing of these"
    there.commit("me/x", {"certificate.json": b'{"passed": true}'})
    with pytest.raises(
        RunError, match=r"^'hf://me/x/certificate.json' is not a certificate \(.*\); verify the fold again$"
    ):
        card("hf://me/x", "c")
    assert not Path("c").exists()


@pytest.mark.parametrize(
    "verb", ["evaluate", "verify", "export --format onnx", "report", "info", "lsm", "fold", "render graph"]
)
def test_what_lies_on_the_hub_is_fetched_first(cli, verb):
    said = (
        "'hf://me/x@v1' lies on the Hub; fetch it with `foldnet card hf://me/x@v1 --out FOLDER`, and give that folder"
    )
    assert cli.refused(*verb.split(), "hf://me/x@v1") == said
