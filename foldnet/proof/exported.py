"""Whether an exported file computes what the fold does: on real and random inputs, at two batch sizes, at every end of
its dials; and how many bytes of weights it takes, as a file and where it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from foldnet.data.tasks import Task
from foldnet.errors import BrokenPromise
from foldnet.exporting.running import Exported
from foldnet.exporting.runtimes import Run
from foldnet.folding.looped import LoopedNetwork
from foldnet.program.data import Program
from foldnet.proof.promises import Promise, at_most, equal
from foldnet.show.report import Report, Table, Text

LARGEST = 1e-4  # absolute difference of an output, where outputs are not large:
ROUNDINGS = 32 * 2.0**-23  # of the largest output, less than which cannot be asked of fp32
FURTHER = 1e-4  # of it where loops are turned: states that nobody trained may grow, and shrink again behind a norm
FILE, OPTIMISED, SLACK = 1.05, 1.10, 64 * 1024  # bytes of a file, of weights as they run: times the tensors', and more
BATCHES = (32, 3)
NAMED = 3  # broken promises in an error, below a table of all of them


@dataclass(frozen=True, slots=True)
class Ran:
    """A file run once over some inputs: by what, on which, in batches of how many, with which loops turned; the largest
    difference, the largest output, and predictions that are not alike though rounding alone cannot make them differ."""

    runtime: str
    inputs: str
    count: int
    batch: int
    trips: dict[str, int]
    difference: float
    largest: float
    broken: int

    @property
    def limit(self) -> float:
        """The most that outputs may differ."""
        return limit_of(self.largest, self.trips)

    @property
    def name(self) -> str:
        """What was run, in words."""
        turned = "".join(f", {loop} {count} times" for loop, count in self.trips.items())
        return f"{self.runtime} on {self.inputs} inputs in batches of {self.batch}{turned}"

    @property
    def promises(self) -> tuple[Promise, Promise]:
        """What must hold of it."""
        return (
            at_most(f"largest difference of {self.name}", self.difference, self.limit),
            equal(f"predictions of {self.name} that differ", self.broken, 0),
        )


@dataclass(frozen=True, slots=True)
class ExportCertificate(Report):
    """What `foldnet verify --exported` found of one file, which it names by its SHA-256.

    `bytes` are those of the `file`, of the `unique` tensors, of the `weights` in the file and in onnxruntime's
    `optimised` model (None where it is not ONNX); `looped` says whether every weight that is reused is so in a loop of
    the file.
    """

    computed: ClassVar = ("passed", "verdict", "difference")
    fold: str
    file: str
    sha256: str
    format: str
    files: dict[str, str]
    versions: dict[str, str]
    ran: tuple[Ran, ...]
    promises: tuple[Promise, ...]
    bytes: dict[str, int | None]
    looped: bool
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0.0)

    @property
    def passed(self) -> bool | None:
        """Whether every promise holds; None where all that were checked do, and something could not be checked."""
        if not all(promise.held for promise in self.promises):
            return False
        return None if self.notes else True

    @property
    def verdict(self) -> str:
        """The same in words."""
        held, of = sum(promise.held for promise in self.promises), len(self.promises)
        if self.passed is None:
            return "nothing false was found, but not everything could be checked"
        return f"{'passed' if self.passed else 'FAILED'}: {held} of {of} promises hold"

    @property
    def difference(self) -> float:
        """The largest difference of an output with all loops as found."""
        return max((ran.difference for ran in self.ran if not ran.trips), default=0.0)

    @property
    def exit_status(self) -> int:
        """Of the command line, as that of a fold's certificate."""
        return {True: 0, False: 1, None: 3}[self.passed]

    def check(self) -> None:
        """Raise BrokenPromise, naming the first promises that do not hold: where one weight is another, nearly all."""
        broken = [promise for promise in self.promises if not promise.held]
        if broken:
            said = "; ".join(f"{one.name}: {_short(one.value)} instead of {one.wanted}" for one in broken[:NAMED])
            said += f"; and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
            raise BrokenPromise(f"'{self.file}' does not keep what it promises ({said}); export the fold again")

    def parts(self) -> Iterator[Table | Text]:
        """A row for each time that it ran, and its sizes."""
        rows = (
            (ran.runtime, f"{ran.count} {ran.inputs}", ran.batch, _turned(ran.trips), f"{ran.difference:.1e}")
            for ran in self.ran
        )
        yield Table("", ("runs in", "inputs", "batch", "loops", "largest difference"), tuple(rows))
        unique = self.bytes["unique"] or 1
        for name, count in self.bytes.items():
            if count is not None and name != "unique":
                yield Text(f"{name}: {count:,} bytes, {count / unique:.3f} times the network's tensors")
        yield from (Text(f"BROKEN {one.name}: {one.value}, wanted {one.limit}", "alarm") for one in self._broken())
        yield from (Text(f"not checked: {note}", "note") for note in self.notes)
        yield Text(f"{self.verdict}, {self.file}, {self.seconds:.1f} s")

    def _broken(self) -> Iterator[Promise]:
        return (promise for promise in self.promises if not promise.held)


def _short(value: object) -> str:
    """A value in an error."""
    return f"{value:.3g}" if isinstance(value, float) else repr(value)


def _turned(trips: Mapping[str, int]) -> str:
    """Which loops are not as found."""
    return ", ".join(f"{loop} {count}x" for loop, count in trips.items()) or "as found"


def limit_of(largest: float, trips: Mapping[str, int]) -> float:
    """The most that outputs may differ whose largest is `largest`."""
    return max(LARGEST, (FURTHER if trips else ROUNDINGS) * largest)


@torch.no_grad()
def run_against(
    run: Run, looped: LoopedNetwork, x: Tensor, batch: int, trips: Mapping[str, int], task: Task, **said: str
) -> Ran:
    """Run a file and the looped network on x (n, ...) in batches, loops turned alike in both. `said` are `runtime` and
    `inputs` of what is given back."""
    looped.set_trips(trips)
    try:
        pairs = [(run(part, trips).float(), looped(part).float()) for part in torch.split(x, batch)]
    finally:
        looped.set_trips({})
    ours, wanted = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    difference, largest = float((ours - wanted).abs().max()), float(wanted.abs().max())
    close = task.margin(wanted) <= 2 * limit_of(largest, trips)
    broken = int(((task.predict(ours) != task.predict(wanted)) & ~close).sum())
    return Ran(
        count=len(x), batch=batch, trips=dict(trips), difference=difference, largest=largest, broken=broken, **said
    )


def turned(exported: Exported, program: Program) -> Iterator[dict[str, int]]:
    """What a file's dials are set to, one at a time: 0 (the loop left out), 1, what was found and twice that."""
    found = {loop.name: loop.times for stage in program.stages for loop in stage.loops}
    for name in exported.about.dial:
        yield from ({name: count} for count in dict.fromkeys((0, 1, found[name], 2 * found[name])))


def size_promises(found: Mapping[str, int | None], *, looped: bool) -> tuple[Promise, ...]:
    """What must hold of the bytes, and what is only said: a runtime may write out what repeats without a loop."""
    unique, optimised = found["unique"] or 0, found.get("optimised")
    name = "file" if found.get("graph") is None else "weights"  # the text of a graph of torch's is no weight
    promises = [at_most(f"bytes of the {name}", float(found[name] or 0), FILE * unique + SLACK)]
    if optimised is not None and looped:
        promises.append(at_most("bytes of weights in onnxruntime", float(optimised), OPTIMISED * unique + SLACK))
    return tuple(promises)
