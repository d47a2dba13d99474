"""README.md of a card, out of what was collected: whatever was not measured is said not to be."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from foldnet.show.report import counted, spelt_out
from foldnet.verbs.cards.facts import Facts
from foldnet.verbs.cards.front_matter import front_matter
from foldnet.zoo.family import WRITTEN

PICTURE = "graph.png"
FORMS = {
    "soft": "soft network, before folding",
    "soft_recalibrated": "soft network, batch norm recalibrated",
    "tied": "folded",
    "recalibrated": "folded, batch norm recalibrated",
    "finetuned": "folded and fine-tuned",
    "soft_finetuned": "control: the soft network, trained as long",
}
NOT_MEASURED = "not measured"


def readme_of(facts: Facts, digests: Mapping[str, str], *, picture: bool) -> str:
    """The whole file. `digests` are those of the card's other files."""
    parts = (_about(facts, picture), _program(facts), _scores(facts), _proof(facts), _use(facts), _files(digests))
    return front_matter(facts) + "\n" + "\n".join(line for part in parts for line in part) + "\n"


def cell(text: Any) -> str:
    """A text that is no markup, wherever it stands in Markdown."""
    said = spelt_out(re.sub(r"[\x00-\x1f\x7f]+", " ", str(text)))
    return re.sub(r"([\\`*_\[\]<>#!|~&])", r"\\\1", said)


def _code(text: str) -> str:
    """A text as code, between more backticks than are in it."""
    said = spelt_out(re.sub(r"[\x00-\x1f\x7f]+", " ", text))
    fence = "`" * (1 + max(map(len, re.findall("`+", said)), default=0))
    return f"{fence} {said} {fence}" if "`" in said else f"`{said}`"


def _about(facts: Facts, picture: bool) -> Iterator[str]:
    """What it is, of what, and its sizes."""
    report, groups = facts.report, facts.report.groups
    owners, layers = sum(group.owners for group in groups), sum(len(group.layers) for group in groups)
    yield f"# {cell(facts.name)}\n"
    yield (
        f"{_code(facts.fold.arch)}, trained with soft parameter sharing and folded by foldnet: "
        f"{counted(layers, 'layer')} use {counted(owners, 'weight')}, in {counted(report.loops, 'loop')}. "
        f"What was tied: {cell(report.why)}.\n"
    )
    yield f"![The folded network: boxes are weights, arrows the way through them]({PICTURE})\n" if picture else ""
    if facts.run is None:
        yield "Data, seed and training are not known: the run that was folded was not at hand.\n"
    else:
        settings = facts.run.settings
        seed = f"seed {settings.seed}, {counted(settings.epochs, 'epoch')}"
        yield f"Trained on {cell(settings.dataset)}, {seed}, batches of {settings.batch_size}.\n"
    yield from ("| | soft | dense | folded |", "|---|---:|---:|---:|")
    for name, sizes in (("parameters", report.parameters), ("bytes", report.bytes)):
        yield f"| {name} | {sizes.soft:,} | {sizes.dense:,} | {sizes.folded:,} |"
    yield "\nFolding saves memory and bytes. It saves no operations: every layer runs as often as before.\n"


def _program(facts: Facts) -> Iterator[str]:
    """The folded network as a program."""
    yield from ("## Program\n", "```", spelt_out(facts.report.program).replace("`", "'"), "```\n")


def _scores(facts: Facts) -> Iterator[str]:
    """Every score that was measured, and what was not."""
    task, found = facts.fold.task, facts.report.score or facts.report.accuracy
    yield f"## Test {task.measure}\n"
    known, images = found.known(), found.images
    yield from (f"| | test {task.measure} |", "|---|---|")
    if known.get("soft") == known.get("soft_recalibrated") and known.get("tied") == known.get("recalibrated"):
        known = {form: score for form, score in known.items() if "recalibrated" not in form}  # it changed nothing
    for form, said in FORMS.items():
        if form in known and images is not None:
            score = task.counted(known[form], images).removeprefix(f"{task.measure} ")
            yield f"| {said} | {score} |"
        elif form in ("soft", "tied", "soft_finetuned"):
            yield f"| {said} | {NOT_MEASURED} |"
    yield ""
    if facts.study is None:
        seed = "one training" if facts.run is None else f"one training, seed {facts.run.settings.seed}"
        yield (
            f"These are of {seed}: the spread over seeds, and a control of as many stored numbers that was never "
            f"folded, are {NOT_MEASURED} here.\n"
        )
        return
    yield "Over seeds, with what it is compared to (mean and standard deviation):\n"
    yield f"{facts.study.to_markdown().strip()}\n"


def _proof(facts: Facts) -> Iterator[str]:
    """What was verified, by whom."""
    yield "## What was checked\n"
    if facts.certificate is None:
        yield "Nobody has verified this fold: `foldnet verify` computes again whether it is what it says.\n"
        return
    proof = facts.certificate
    yield (
        f"`foldnet verify` of its author: {proof.verdict}. `certificate.json` has every promise. Nobody else has: "
        "`foldnet verify` on a copy computes again what needs no run, and all of it with `--run`.\n"
    )
    held = [promise for promise in proof.promises if promise.held]
    yield from (f"- {cell(promise.name)}" for promise in held[:12])
    if len(held) > 12:
        yield f"- and {len(held) - 12} more"
    yield from (f"- not checked: {cell(note)}" for note in proof.notes)
    yield ""


def _use(facts: Facts) -> Iterator[str]:
    """How it is loaded, and what it takes."""
    code = WRITTEN.fullmatch(facts.fold.arch)
    own = f", code={json.dumps(code['file'])}" if code is not None else ""
    place = facts.place or "hf://OWNER/NAME"
    yield from ("## Use\n", "```python", "import foldnet  # pip install 'foldnet[hub]'\n")
    yield from (f'network = foldnet.load("{place}"{own})', "```\n")
    yield f"It takes {_inputs(facts)}. Loading runs no code of this repository and reads no pickle.\n"
    if code is not None:
        yield (
            f"The network is made by a Python file of its author's, {_code(code['file'])} (SHA-256 "
            f"`{facts.fold.blueprint.options.mark}`), which is not here: it runs only where you name it.\n"
        )


def _inputs(facts: Facts) -> str:
    """Shapes, and how numbers were scaled where that is known."""
    built = facts.fold.blueprint
    if built.family.symbols:
        most = "any length" if getattr(built.options, "abacus", False) else f"length at most {built.size}"
        return f"bytes (n, length) int64, {most}, and gives logits (n, length, {built.classes})"
    shape = f"x (n, {built.channels}, {built.size}, {built.size})"
    scaling = facts.fold.scaling
    return f"{shape}, normalised as in training" if scaling is None else f"{shape}: {scaling.formula}"


def _files(digests: Mapping[str, str]) -> Iterator[str]:
    """What is there, by hash."""
    yield from ("## Files\n", "| file | SHA-256 |", "|---|---|")
    yield from (f"| {cell(name)} | `{digest}` |" for name, digest in digests.items())
