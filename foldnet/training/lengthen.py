"""Making a run longer than it was meant to be: what was trained stays, and what follows has the schedule of the longer
run."""

from dataclasses import replace
from typing import Any

from foldnet.bounds import check_number
from foldnet.data.phases import phase_of
from foldnet.errors import SettingError
from foldnet.store.artifact import read_config, sealed
from foldnet.store.files import write_json
from foldnet.training.course import Course
from foldnet.training.journal import Progress
from foldnet.training.observer import Observer
from foldnet.training.runs import Run


def check_longer(run: Run, epochs: Any, said: str) -> None:
    """Raise SettingError where a run is asked to become shorter: what it has trained followed the schedule of its
    length."""
    check_number("epochs", epochs)
    if epochs < run.settings.epochs:
        raise SettingError(
            f"{said} contradicts run '{run.folder}', which has {run.settings.epochs} epochs and can only "
            "be given more; "
            f"leave it out, or start another run with `out`"
        )


def is_longer(run: Run) -> bool:
    """Whether a run that goes on is to have more epochs than its config.json says."""
    return bool(read_config(run.folder, "run")["settings"]["epochs"] < run.settings.epochs)


def lengthened(run: Run, progress: Progress) -> Run:
    """A run that goes on from `progress`, with what it was meant to be before; the first time that it is to become
    longer, too.

    The longer schedule begins with the next epoch: one that is under way ends as it began.
    """
    config = read_config(run.folder, "run")  # asked anew: of several processes the first may have written it by now
    earlier, before = config.get("lengthened", []), config["settings"]["epochs"]
    if run.settings.epochs > before:
        until = min(progress.epoch + (progress.under_way.step > 0), before)
        earlier = [*(pair for pair in earlier if pair[0] <= until), (until, before)]
    return replace(run, lengthened=tuple((until, length) for until, length in earlier))


def keep_length(run: Run, course: Course, phases: int, observer: Observer) -> None:
    """Write into config.json how long the run has become, where it has, and say so.

    It is no longer finished. Its report goes first, so that a process killed in between leaves a run that lacks its
    report alone.
    """
    if not is_longer(run):
        return
    (run.folder / "report.json").unlink(missing_ok=True)
    config = read_config(run.folder, "run")
    config["settings"]["epochs"] = run.settings.epochs
    config["lengthened"] = [list(pair) for pair in run.lengthened]
    write_json(run.folder / "config.json", sealed(config) if run.sealed else config)
    observer.note(_note(run, course, phases))


def _note(run: Run, course: Course, phases: int) -> str:
    """What is said of a run that has become longer."""
    (until, before), epochs = run.lengthened[-1], run.settings.epochs
    begins = [f"learning rate {course.rate(until):.3g}"]
    if phases > 1:
        begins.append(f"phase {phase_of(until, epochs, phases) + 1} of {phases}")
    return (
        f"run '{run.folder}' had {before} epochs and now has {epochs}; from epoch {until + 1} on "
        f"it follows the schedule of {epochs} ({', '.join(begins)})"
    )
