"""Reports in a notebook: the same numbers as in JSON, as tables and pictures, and no word that a browser would run."""

import json
from base64 import b64decode
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import foldnet
from foldnet.program.text import program_text
from foldnet.proof.fold_report import Accuracies
from foldnet.show.report import Report, Table, percent


class Reader(HTMLParser):
    """The cells, the names of tags that were opened and not closed, and the sources of images."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.open, self.images = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th", "caption", "pre"):
            self.cells.append(data)


@dataclass(frozen=True, slots=True)
class Small(Report):
    """A report of three entries."""

    name: str
    images: int
    inner: dict[str, int]


@pytest.fixture
def soft():
    """A soft network of which every layer at one place is alike."""
    torch.manual_seed(0)
    model = foldnet.build("swrn-22-1-2")
    with torch.no_grad():
        for bank in model.sources.values():
            bank.coefficients[2:] = 2 * bank.coefficients[:2]
    return model.eval()


def test_a_report_is_a_table_of_its_words_and_numbers_by_default():
    report = Small("a <b>", 1234, {"x": 1})
    read = Reader(report._repr_html_())
    assert read.cells == ["Small", "name", "a <b>", "images", "1,234"]
    assert read.open == []
    assert report.to_dict() == report.to_json() == {"name": "a <b>", "images": 1234, "inner": {"x": 1}}


def test_cells_are_numbers_words_dashes_and_answers():
    cells = Reader(Table("t", ("a",) * 5, ((1234567, 0.123456, None, True, "x"),)).to_html()).cells
    assert cells == ["t", *"aaaaa", "1,234,567", "0.1235", "–", "yes", "x"]
    assert (percent(0.98765), percent(0.5, 0)) == ("98.77 %", "50 %")


def test_matrices_are_pictures(soft):
    report = foldnet.lsm(soft)
    read = Reader(report._repr_html_())
    assert read.cells[0] == "network, similarity of coefficients"
    assert "stage2" in read.cells
    (image,) = read.images
    kind, data = image.split(",")
    assert kind == "data:image/svg+xml;base64"
    assert b"<svg" in b64decode(data)


def test_a_network_in_memory_folds_as_a_run_does(soft):
    kept = {name: tensor.clone() for name, tensor in soft.state_dict().items()}
    folded = foldnet.fold(soft, threshold=0.95)
    report = folded.report
    assert (report.fold, report.run, report.loops, report.accuracy) == (None, None, 3, Accuracies())
    assert report.program.startswith("stage1: private; 2x { A }")
    x = torch.randn(2, 3, 8, 8)
    looped, tied = folded.looped.eval()(x), folded.tied.eval()(x)
    assert (looped - tied).norm() / tied.norm() < 1e-6
    assert report.program == program_text(folded.plan.program)
    assert report.parameters.folded == sum(parameter.numel() for parameter in folded.looped.parameters())
    assert report.parameters.dense == sum(p.numel() for p in foldnet.materialise(soft).parameters())
    assert all(torch.equal(tensor, kept[name]) for name, tensor in soft.state_dict().items())
    assert folded.to_dict() == folded.to_json() == report.to_json()
    assert json.loads(json.dumps(folded.to_dict()))["run"] is None
    read = Reader(folded._repr_html_())
    assert folded._repr_html_() == report._repr_html_()
    assert "network in memory: 3 loops" in read.cells
    assert report.program in read.cells


def test_a_network_in_memory_is_run_against_the_tied_one_where_inputs_are_given(soft):
    proof = foldnet.fold(soft, threshold=0.95, inputs=torch.randn(2, 3, 8, 8)).report.proof
    assert (proof.inputs, proof.count) == ("given", 2)
    assert proof.relative < 1e-5


def test_a_network_in_memory_has_no_folder_and_a_run_no_inputs(soft):
    with pytest.raises(foldnet.FoldnetError) as caught:
        foldnet.fold(soft, out="runs/fold")
    assert str(caught.value) == (
        "`out='runs/fold'` is for the fold of a run, and a network in memory belongs to none; leave it out and keep "
        "`looped` of what is returned"
    )
    with pytest.raises(
        foldnet.FoldnetError,
        match=r"^`inputs` are for a network in memory, and a run has its own data; leave them out$",
    ):
        foldnet.fold("runs/some", inputs=torch.zeros(1))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_drop": 0.5}, "`max_drop=0.5`"),
        ({"budget": "1M"}, "`budget='1M'`"),
        ({"finetune": 2}, "`finetune=2`"),
        ({"threshold": "auto"}, "`threshold='auto'`"),
    ],
)
def test_what_needs_a_run_is_refused_of_a_network_in_memory(soft, settings, said):
    with pytest.raises(foldnet.FoldnetError) as caught:
        foldnet.fold(soft, **settings)
    assert str(caught.value) == (
        f"{said} needs the data of a run and a network in memory has none; fold a run folder, or give a threshold or clusters"
    )


def test_a_looped_network_in_memory_is_drawn(soft, tmp_path, monkeypatch):
    network = foldnet.fold(soft, threshold=0.95).looped
    file = foldnet.draw(network, tmp_path / "graph.json")
    assert json.loads(Path(file).read_text())["graph"]["title"] == "network"
    with pytest.raises(
        foldnet.FoldnetError,
        match=r"^the network does not loop, so there are no loops to draw; fold it first with `foldnet.fold`$",
    ):
        foldnet.draw(soft, tmp_path / "soft.json")


def test_every_public_report_shows_itself():
    reports = [getattr(foldnet, name) for name in foldnet.__all__ if name.endswith("Report") or name == "Certificate"]
    assert len(reports) >= 7
    assert all(issubclass(report, Report) for report in reports)
