"""foldnet doctor --check: prove on the spot what this machine does, one small computation after the other."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from foldnet.bounds import checked
from foldnet.errors import FoldnetError, SettingError, UnknownName, nearest
from foldnet.show.report import Report, Table, Text
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.verbs.checks import arithmetic
from foldnet.verbs.checks.parts import NotHere, Part
from foldnet.verbs.checks.processes import check_processes
from foldnet.verbs.checks.training import check_resume, check_throughput

OK, FAILED, NOT_HERE = "ok", "failed", "not here"
TONES = {FAILED: "alarm", NOT_HERE: "note"}
# Each takes the machine, in fp32, and gives its parts; it raises NotHere, or anything else where it fails.
CHECKS: Mapping[str, Callable[[Machine], tuple[Part, ...]]] = {
    "fp32": arithmetic.check_fp32,
    "forms": arithmetic.check_forms,
    "memory-format": arithmetic.check_memory_format,
    "bf16": arithmetic.check_bf16,
    "resume": check_resume,
    "throughput": check_throughput,
    "processes": check_processes,
    "compile": arithmetic.check_compile,
    "cuda-graphs": arithmetic.check_cuda_graphs,
}


@dataclass(frozen=True, slots=True)
class Check:
    """One check: "ok", "failed" or "not here", the parts that were measured, the seconds it took, and why it failed or
    is not here."""

    computed: ClassVar = ("value=closest.value", "limit=closest.limit")
    name: str
    outcome: str
    parts: tuple[Part, ...]
    seconds: float
    why: str | None = None

    @property
    def closest(self) -> Part | None:
        """The part that is closest to its limit or furthest beyond."""
        return max(self.parts, key=lambda part: part.used, default=None)

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Check, what was measured, outcome, measured and limit, for each part; one row where there is none."""
        rows = []
        for part in self.parts:
            outcome = OK if part.held else FAILED
            rows.append((self.name, part.what, outcome, f"{part.value:.2g}", f"{part.rule} {part.limit:.2g}"))
        return rows or [(self.name, "", self.outcome, "", "")]


@dataclass(frozen=True, slots=True)
class CheckReport(Report):
    """What `foldnet doctor --check` says; `skipped` names the checks that were left out."""

    computed: ClassVar = ("passed", "device=machine.device")
    machine: dict[str, Any]
    checks: tuple[Check, ...]
    skipped: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything that is here and was checked works."""
        return all(check.outcome != FAILED for check in self.checks)

    @property
    def exit_status(self) -> int:
        """0 where it does, else 1."""
        return 0 if self.passed else 1

    def parts(self) -> Iterator[Table | Text]:
        """A row for each part, a sentence for each check that failed or is not here, and what it comes to."""
        rows = [row for check in self.checks for row in check.rows()]
        columns = ("check", "what", "outcome", "measured", "limit")
        yield Table("", columns, tuple(rows), tuple(TONES.get(row[2], "") for row in rows), grouped=True)
        for check in self.checks:
            if check.why is not None:
                yield Text(f"{check.name} {check.outcome}: {check.why}", TONES.get(check.outcome, ""))
        if self.skipped:
            yield Text(f"left out: {', '.join(self.skipped)}", "note")
        failed = sum(check.outcome == FAILED for check in self.checks)
        verdict = f"{failed} of {len(self.checks)} checks failed" if failed else "everything that is here works"
        yield Text(f"{verdict}, on {self.machine['device']}, {self.seconds:.0f} s", "alarm" if failed else "")


@checked
def check(device: str = "auto", *, skip: tuple[str, ...] = (), observer: Observer | None = None) -> CheckReport:
    """Run every check on a device, but those named in `skip`. What fails or raises is said in the report and ends
    nothing.

    Temporary folders are taken away again. Raises SettingError where the device is not there or every check is left
    out, UnknownName for a check that does not exist.
    """
    for name in skip:
        if name not in CHECKS:
            raise UnknownName(
                f"check '{name}' does not exist{nearest(name, CHECKS)}; the checks are {', '.join(CHECKS)}"
            )
    chosen = [name for name in CHECKS if name not in skip]
    if not chosen:
        raise SettingError("`skip` leaves out every check, so that nothing would be known; name fewer")
    machine, observer, start = choose_machine(device, "fp32"), observer or Silent(), time.perf_counter()
    found = []
    for number, name in enumerate(chosen):
        observer.begin(f"check {name}", 1, number, len(chosen))
        found.append(_run(name, CHECKS[name], machine))
        observer.advance()
        observer.note(f"{name}: {found[-1].outcome}, {found[-1].seconds:.1f} s")
        observer.end()
    return CheckReport(
        machine=machine.about(),
        checks=tuple(found),
        skipped=tuple(name for name in CHECKS if name in skip),
        seconds=time.perf_counter() - start,
    )


def _run(name: str, measure: Callable[[Machine], tuple[Part, ...]], machine: Machine) -> Check:
    """One check. What it raises is its outcome."""
    start = time.perf_counter()
    parts: tuple[Part, ...] = ()
    outcome, why = OK, None
    try:
        parts = measure(machine)
        beyond = [part.what for part in parts if not part.held]
        if beyond:
            outcome, why = FAILED, f"beyond the limit: {', '.join(beyond)}"
    except NotHere as error:
        outcome, why = NOT_HERE, str(error)
    except Exception as error:  # a machine may fail in any way
        unexpected = f"unexpected {type(error).__name__}: {str(error).strip()}".partition("\n")[0]
        outcome, why = FAILED, str(error) if isinstance(error, FoldnetError) else unexpected
    return Check(name, outcome, parts, time.perf_counter() - start, why)
