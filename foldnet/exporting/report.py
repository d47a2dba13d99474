"""What foldnet export says of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from foldnet.errors import either
from foldnet.show.report import Report, Table, Text, counted
from foldnet.zoo.scaling import Scaling


@dataclass(frozen=True, slots=True)
class ExportReport(Report):
    """A file that was written: its format, the form of the network in it ("looped", or "dense": every weight written
    out), and the name of the folder that it came from.

    `bytes` are those of the file, `unique_bytes` those of the network's tensors, each once. `loops` are loops that are
    loops in the file, with their trips as found, `unrolled` those that are written out, and why; `dial` are the loops
    whose trips are inputs of the file. `scaling` is how pixels become its inputs, where that is known.
    """

    file: str
    format: str
    form: str
    source: str
    sha256: str
    bytes: int
    unique_bytes: int
    loops: Mapping[str, int] = field(default_factory=dict)
    unrolled: Mapping[str, str] = field(default_factory=dict)
    dial: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scaling: Scaling | None = None

    def parts(self) -> Iterator[Table | Text]:
        """In a few lines."""
        size = f"{self.bytes:,} bytes, {self.bytes / max(self.unique_bytes, 1):.3f} times its tensors"
        yield Text(f"{self.format} of the {self.form} network: {size}")
        if self.scaling is not None:
            yield Text(f"inputs: {self.scaling.formula}")
        if self.loops:
            yield Text(
                "loops: " + ", ".join(f"{name} ({counted(trips, 'trip')})" for name, trips in self.loops.items())
            )
        if self.dial:
            yield Text(f"trips that are inputs: {either(self.dial, 'and')}")
        for reason in dict.fromkeys(self.unrolled.values()):
            names = [name for name, why in self.unrolled.items() if why == reason]
            yield Text(f"written out, its weights once: {either(names, 'and')} ({reason})", "note")
        yield from (Text(note, "note") for note in self.notes)
