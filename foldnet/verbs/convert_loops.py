"""Converting to loops: a trained network in memory, or a run, to few bodies and the fold that runs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from foldnet.choosing.laboratory import Laboratory
from foldnet.converting.loops import ConvertedRun, Loops, as_soft, first_of, to_loops
from foldnet.converting.settings import ConvertSettings
from foldnet.data.tasks import CLASSES, Task
from foldnet.folding.settings import FoldSettings
from foldnet.sharing.share import materialise
from foldnet.sharing.tied import TiedLayers
from foldnet.show.report import Report, Scored, Table, Text, percent
from foldnet.store.codec import Count, to_plain
from foldnet.store.files import write_json
from foldnet.store.seals import sealed
from foldnet.training.machine import choose_machine
from foldnet.verbs.convert_origin import Origin
from foldnet.verbs.convert_run import Begun, Place, new_run, with_groups, write_run
from foldnet.verbs.fold import fold
from foldnet.verbs.fold_memory import FoldedNetwork, fold_in_memory

ALIKE = 1.0  # the threshold that ties what has one owner, and nothing else


@dataclass(frozen=True, slots=True)
class LoopScores:
    """Test scores, None where not measured: of the trained network, of the bodies with batch norm estimated anew, and
    distilled; and the number of test images."""

    original: float
    converted: float
    finetuned: float | None = None
    images: Count = 0

    def table(self, task: Task) -> Table:
        """Those that were measured."""
        found = {name: getattr(self, name) for name in self.__slots__[:-1]}
        rows = ((name, task.counted(value, self.images)) for name, value in found.items() if value is not None)
        return Table("", (f"test {task.measure}", ""), tuple(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopsReport(Scored):
    """What `foldnet convert --loops` says: the segments into which each run of equal blocks was cut, what their bodies
    began as (`start`), in how many steps they were fitted (`fit`), and the `error` at the end of that, the share of
    what blocks change that is wrong; the `program`, and parameters before and after. Of a run also the run and the fold
    that were written, what they were made from (`source`), the epochs of distillation and test scores.
    """

    run: str | None = None
    fold: str | None = None
    source: str | None = None
    arch: str | None = None
    runs: tuple[ConvertedRun, ...]
    start: str
    fit: Count
    error: float | None
    program: str
    loops: Count
    original_parameters: Count
    parameters: Count
    finetune: Count = 0
    score: LoopScores | None = None
    task: Task = CLASSES

    def parts(self) -> Iterator[Table | Text]:
        """The segments, the program, sizes and scores."""
        rows = tuple(
            (run.sequence, f"{segment[0]} to {segment[-1]}" if len(segment) > 1 else segment[0], len(segment))
            for run in self.runs
            for segment in run.segments
        )
        yield Table("segments that became one body each", ("sequence", "blocks", "count"), rows)
        began = f"bodies began as the {self.start}" if self.start == "average" else f"bodies began {self.start}"
        yield Text(began if self.error is None else f"{began}, fitted in {self.fit} steps: error {self.error:.3f}")
        yield Text(f"\n{self.program}")
        share = percent(self.parameters / max(self.original_parameters, 1), 1)
        sizes = ("parameters", self.original_parameters, self.parameters, share)
        yield Table("", ("", "original", "converted", "share"), (sizes,))
        if self.score is not None:
            yield self.score.table(self.task)
        if self.fold is not None:
            yield Text(f"wrote {self.fold}")


@dataclass(frozen=True, slots=True)
class ConvertedLoops(Report):
    """A network converted to loops: the fold (`folded.looped` is the network that loops, `folded.tied` the same
    unrolled), and the `report`, which is what shows and what JSON holds."""

    folded: FoldedNetwork
    report: LoopsReport

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return self.report.to_json()

    def parts(self) -> Iterator[Table | Text]:
        """The report's."""
        return self.report.parts()


def loops_in_memory(model: nn.Module, chosen: ConvertSettings, batches: Iterable[Any]) -> ConvertedLoops:
    """A trained network that is in memory, to loops; it is left as it was. What is folded is run against what is tied
    on the first batch, where that has positional inputs alone."""
    assert chosen.loops is not None
    was_training = model.training
    trained = materialise(model)
    found = to_loops(trained, chosen.loops, batches, start=chosen.start, fit=chosen.fit)
    positional, options = first_of(batches)
    soft = as_soft(found.tied).train(was_training)
    folded = fold_in_memory(soft, FoldSettings(threshold=ALIKE), inputs=None if options else positional)
    return ConvertedLoops(folded, _report(chosen, found, folded, trained))


def _report(chosen: ConvertSettings, found: Loops, folded: FoldedNetwork, original: nn.Module) -> LoopsReport:
    """What there is to say without a run."""
    numbers = (sum(parameter.numel() for parameter in one.parameters()) for one in (original, folded.looped))
    before, after = numbers
    return LoopsReport(
        runs=found.runs,
        start=chosen.start,
        fit=chosen.fit,
        error=found.error,
        program=folded.report.program,
        loops=folded.report.loops,
        original_parameters=before,
        parameters=after,
    )


def loops_of_run(
    origin: Origin, chosen: ConvertSettings, laboratory: Laboratory, place: Place, data_dir: Path | None
) -> ConvertedLoops:
    """Convert a run's network to loops, distil them from it, and write a soft run that has the bodies as templates,
    with the fold that runs them inside."""
    assert chosen.loops is not None
    machine = choose_machine(str(laboratory.machine.device), origin.run.settings.precision)
    trained, watching = origin.trained.to(machine.device), laboratory.observer
    batches = Training(laboratory)
    own: dict[str, Any] = {"start": chosen.start, "fit": chosen.fit, "observer": watching}
    found = to_loops(trained, chosen.loops, batches, autocast=machine.autocast, **own)
    tied, images = found.tied, laboratory.test.images

    def score(model: nn.Module) -> float:
        return laboratory.score(model, laboratory.test, watching).value

    scores = LoopScores(score(trained), score(tied), images=images)
    if chosen.finetune:
        tuning = FoldSettings(finetune=chosen.finetune, finetune_lr=chosen.finetune_lr)
        laboratory.finetune(tied, tuning, trained)
        scores = replace(scores, finetuned=score(tied))
    bodies = {name: source.stored.form[0] for name, source in tied.sources.items() if isinstance(source, TiedLayers)}
    built = with_groups(origin.run.blueprint, tied.plan, bodies)
    untrained = replace(chosen, finetune=0)  # as a soft run: its bodies were trained tied
    kept = {name: getattr(chosen, name) for name in ("loops", "start", "fit", "finetune")}
    begun = Begun(as_soft(tied.cpu()), new_run(origin.run, built, untrained), {**origin.facts, **kept})
    with place as (temporary, folder):
        write_run(temporary, begun, trained, untrained, laboratory)
        about = {"source": str(origin.facts.get("run", origin.facts.get("weights"))), "arch": built.arch}
        write_json(temporary / "convert.json", sealed(to_plain(kept) | about | {"score": to_plain(scores)}))
    device = str(laboratory.machine.device)
    folded = fold(folder, threshold=ALIKE, data_dir=data_dir, device=device, observer=watching, shares=False)
    report = _report(chosen, found, folded, trained)
    named = replace(report, run=str(folder), fold=folded.report.fold, source=about["source"], arch=about["arch"])
    return ConvertedLoops(folded, replace(named, finetune=chosen.finetune, score=scores, task=origin.run.task))


class Training:
    """A run's training images, as the run saw them, epoch after epoch: batches of x."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory, self.epochs = laboratory, 0

    def __iter__(self) -> Iterator[Any]:
        """The next epoch's."""
        self.epochs += 1
        return (x for x, _ in self.laboratory.train.epoch(self.epochs - 1))
