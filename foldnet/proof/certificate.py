"""What `foldnet verify` found: a certificate, and what it says when a promise is broken."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, ClassVar

import torch
from torch import nn

from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import BrokenPromise
from foldnet.folding.folds import Fold
from foldnet.folding.looped import LoopedNetwork, usage_slots
from foldnet.proof import promises as promised
from foldnet.proof.compare import LIMIT, PAIRS, Comparison, LayerDifference
from foldnet.proof.fold_report import FoldReport, Sizes
from foldnet.proof.promises import Findings, Promise
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.show.report import Scored, Table, Text, percent
from foldnet.store.codec import to_plain
from foldnet.store.tensors import file_bytes, list_tensors
from foldnet.training.runs import Run

Numbers = dict[str, int]
MEASURES = ("max_abs", "mean_abs", "relative")  # of a difference
SIZE_RATIO, SIZE_SLACK = 1.02, 64 * 1024  # bytes that a file may have: so often its tensors', and so many more


@dataclass(frozen=True, slots=True)
class Certificate(Scored):
    """Whether one fold is what it says, recomputed: promises that were kept or broken, and notes of what could not be
    checked.

    `unmeasured` are the notes that decide nothing, since nobody can measure again what they name, such as the accuracy
    of a network that no fold keeps. `inputs` has one entry for each kind of inputs, "test" and "random"; what is said
    without naming one is the worst of both. Pairs are "dense" (to soft) and "looped" (to tied); None is what was not
    compared. `run` is the run's name. `score` is in the data's own `measure`, `accuracy` the same where it is a share
    (0..1), `bytes` are those of a safetensors file of each form (of the folded one: of its file), `files` the SHA-256
    of the fold's files, `checkpoint_sha256` the digest of the run's soft weights as they are now.
    """

    computed: ClassVar = (
        *("passed", "verdict", "precision", "agreement", "agreement_soft", "accuracy", *Scored.computed),
        *(f"{measure}_difference=differences.{measure}" for measure in MEASURES),
    )
    precision: ClassVar = "fp32"
    fold: str
    run: str
    device: str
    files: dict[str, str]
    checkpoint_sha256: str | None
    promises: tuple[Promise, ...]
    notes: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    inputs: tuple[Comparison, ...] = ()
    layers: tuple[LayerDifference, ...] = ()
    score: dict[str, float | None] = field(default_factory=dict)
    images: int | None = None
    parameters: Numbers = field(default_factory=dict)
    bytes: Numbers = field(default_factory=dict)
    seconds: float = 0.0
    task: Task = CLASSES

    @property
    def accuracy(self) -> dict[str, float | None]:
        """The scores where they are shares."""
        return {form: score if self.task.share else None for form, score in self.score.items()}

    @property
    def passed(self) -> bool | None:
        """Whether every promise holds; None where all that were checked do, and something could not be checked that can
        be."""
        if not all(promise.held for promise in self.promises):
            return False
        return None if set(self.notes) - set(self.unmeasured) else True

    @property
    def verdict(self) -> str:
        """The same in words."""
        held, of = sum(promise.held for promise in self.promises), len(self.promises)
        if self.passed is False:
            return f"FAILED: {held} of {of} promises hold"
        if self.passed:
            return f"passed: {held} of {of} promises hold"
        if not any(found.dense for found in self.inputs):
            return "consistent in itself; not compared with its run"
        return "nothing false was found, but not everything could be checked"

    @property
    def exit_status(self) -> int:
        """Of the command line: 0 where it passed, 1 where a promise is broken, 3 where not everything could be
        checked."""
        return {True: 0, False: 1, None: 3}[self.passed]

    @property
    def agreement(self) -> float | None:
        """Share of predictions in which looped and tied are alike."""
        return min((comparison.agreement for comparison in self.inputs), default=None)

    @property
    def agreement_soft(self) -> float | None:
        """Share of the test images, else of the random inputs, that looped and soft predict alike."""
        return next((comparison.agreement_soft for comparison in self.inputs), None)

    def worst(self, pair: str, measure: str) -> float | None:
        """The largest of one measure of a pair's logits, such as ("looped", "relative"); None where not compared."""
        pairs = (found for comparison in self.inputs for found in comparison.pairs())
        values = [getattr(difference, measure) for form, _, difference in pairs if form == pair]
        return promised.largest(values) if values else None

    @property
    def differences(self) -> dict[str, dict[str, float | None]]:
        """The worst of all measures, by measure and pair."""
        return {measure: {pair: self.worst(pair, measure) for pair in PAIRS} for measure in MEASURES}

    def check(self) -> None:
        """Raise BrokenPromise, naming every promise that does not hold."""
        broken = [promise for promise in self.promises if not promise.held]
        if broken:
            said = "; ".join(f"{promise.name}: {promise.value!r} instead of {promise.wanted}" for promise in broken)
            count = "a promise" if len(broken) == 1 else f"{len(broken)} promises"
            raise BrokenPromise(f"fold '{self.fold}' breaks {count} ({said}); fold the run again")

    def parts(self) -> Iterator[Table | Text]:
        """What was compared, the worst layer of each pair, what each form is, and every promise."""
        yield Table("", ("compared", "inputs", "largest", "mean", "relative", "agree"), tuple(self._compared()))
        for form, reference in PAIRS.items():
            apart = {layer.name: found.relative for layer in self.layers if (found := getattr(layer, form)) is not None}
            if apart:
                worst = max(apart, key=lambda name: apart[name])
                yield Text(f"{form} with {reference}, layer by layer: {apart[worst]:.2e} relative at most, at {worst}")
        yield Table("", ("", f"test {self.task.measure}", "parameters", "bytes"), tuple(self._forms()))
        if self.passed is None:  # otherwise the verdict counts them
            yield Text(f"promises kept: {len(self.promises)} of {len(self.promises)}")
        for promise in self.promises:
            if not promise.held:
                yield Text(f"BROKEN {promise.name}: {promise.value}, wanted {promise.limit}", "alarm")
        yield from (Text(f"not checked: {note}", "note") for note in self.notes)
        yield Text(f"{self.verdict}, {self.fold}, {self.seconds:.1f} s")

    def _compared(self) -> Iterator[tuple[str, ...]]:
        """A row for each kind of inputs and pair of forms."""
        for found in self.inputs:
            for form, reference, difference in found.pairs():
                numbers = (f"{getattr(difference, measure):.2e}" for measure in MEASURES)
                agree = percent(found.agreement) if form == "looped" else ""
                yield (f"{form} with {reference}", f"{found.count} {found.inputs}", *numbers, agree)

    def _forms(self) -> Iterator[tuple[str | int | None, ...]]:
        """Score, parameters and bytes of each form."""
        for form, score in self.score.items():
            stored = "folded" if form == "looped" else form
            written = None
            if score is not None and self.images is not None:
                written = self.task.counted(score, self.images).removeprefix(f"{self.task.measure} ")
            yield form, written, self.parameters.get(stored), self.bytes.get(stored)


def check_comparison(comparison: Comparison) -> Findings:
    """What must hold on one kind of inputs.

    Where the soft network itself leaves fp32 nothing can be compared; where it is not there, the same is said of the
    tied one.
    """
    inputs, overflown = comparison.inputs, comparison.overflown
    source = "tied" if comparison.dense is None else "soft"
    notes, promises = [], []
    if source in overflown:
        said = f"the {source} network itself overflows fp32 on {inputs} inputs"
        notes.append(f"{said}: its forms cannot be compared there")
    for form, reference, difference in comparison.pairs():
        if not (source in overflown and reference in overflown):
            name = f"relative difference of {form} to {reference} on {inputs} inputs"
            promises.append(promised.at_most(name, difference.relative, LIMIT))
    if not (source in overflown and "tied" in overflown):
        form = "dense" if comparison.looped is None else "looped"
        name = f"agreement of {form} with {PAIRS[form]} on {inputs} inputs"
        promises.append(Promise(name, comparison.broken == 0, comparison.agreement, 1.0))
    return Findings(tuple(promises), tuple(notes))


def count(fold: Fold, looped: LoopedNetwork, report: FoldReport) -> tuple[Numbers, Numbers, list[Promise]]:
    """Parameters and bytes of the three forms, the folded one's from its file, and the promises about them."""
    file = fold.weights
    tensors, _ = list_tensors(file)
    with torch.device("meta"):
        soft = fold.blueprint.build()
        forms: dict[str, nn.Module] = {"soft": soft, "dense": materialise(soft), "folded": looped}
    parameters = {form: sum(parameter.numel() for parameter in model.parameters()) for form, model in forms.items()}
    owned = {name for name, _ in looped.named_parameters()}
    parameters["folded"] = sum(math.prod(shape) for name, _, shape in tensors if name in owned)
    in_bytes = {form: file_bytes(model.state_dict()) for form, model in forms.items()}
    bare = {form: file_bytes(model.state_dict(), stated=False) for form, model in forms.items()}  # as version 0.1 did
    sizes = Sizes(**(bare if to_plain(report.bytes) == bare else in_bytes))
    counts: dict[str, Any] = {"measure": fold.task.measure, "parameters": Sizes(**parameters), "bytes": sizes}
    group_of = {use.layer: use.group for use in fold.program.uses}
    gains: dict[str, float] = {}
    residuals: Counter[str | None] = Counter()
    for stacks, step, layer in usage_slots(looped):
        gains[layer] = stacks[0][step].item()
        residuals[group_of[layer]] += sum(stack[step].numel() for stack in stacks[1:])
    for group in fold.groups:
        held = sum(name.startswith(f"owners.{group.name}.") and shape == group.shape for name, _, shape in tensors)
        of_group = {"owners": group.owners, "stored": held, "weight_numbers": math.prod(group.shape)}
        of_group["residual_numbers"] = residuals[group.name]
        counts |= {f"groups.{group.name}.{name}": number for name, number in of_group.items()}
    if report.better is not None:  # older reports state accuracies alone
        same = {"score": report.accuracy, "validation_score": report.validation_accuracy}
        counts |= {"better": fold.task.better} | (same if fold.task.share else {})
    promises = []
    if isinstance(soft, SharedNetwork):
        promises += promised.check_stored(fold.program, soft.plan.groups, soft.network, tensors)
        counts |= {f"groups.{group.name}.templates": group.templates for group in soft.plan.groups}
    unique = sum(tensor.nbytes for tensor in (*looped.parameters(), *looped.buffers()))
    unfinished = sum(int((~torch.isfinite(tensor)).sum()) for tensor in looped.state_dict().values())
    promises += [
        promised.at_most("bytes of the folded file", file.stat().st_size, math.floor(SIZE_RATIO * unique) + SIZE_SLACK),
        *promised.check_report(report, fold.program, counts, gains),
        promised.equal("numbers in the file that are not finite", unfinished, 0),
    ]
    return parameters, in_bytes | {"folded": file.stat().st_size}, promises


def check_origin(fold: Fold, run: Run) -> Promise:
    """The fold's network is the one that its run trained."""
    facts = attrgetter("arch", "classes", "channels", "size", "dropout")
    folded, trained = (", ".join(map(str, (*facts(one.blueprint), one.scaling))) for one in (fold, run))
    return promised.equal("architecture, classes, channels, size, dropout and scaling of the run", folded, trained)
