"""foldnet bench train: how fast a soft network trains, beside its plain twin and the way of the paper's authors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from foldnet.benching.measuring import (
    SEED,
    Timings,
    cpu_threads,
    measured_on,
    place_of,
    profile,
    random_images,
    time_in_turns,
)
from foldnet.bounds import check_number
from foldnet.data.tasks import CLASSES as CLASSES_TASK
from foldnet.data.tasks import TASKS, Task
from foldnet.errors import SettingError
from foldnet.sharing.reference import reference_of
from foldnet.sharing.share import SharedNetwork
from foldnet.show.report import Report, Table, Text, percent
from foldnet.store.files import refuse_existing, write_json
from foldnet.training.course import Objective, build_optimiser
from foldnet.training.loop import step
from foldnet.training.machine import Compilation, CompiledForward, Machine, choose_compilation, choose_machine, place
from foldnet.training.observer import Observer, Silent
from foldnet.zoo.blueprint import Blueprint, blueprint

ARCH = "swrn-28-4-4"
BATCH_SIZE = 128
STEPS = 20
CLASSES = 10  # CIFAR's
LR = 0.01  # small: what is measured is time, and weights that are not numbers would take another one
PROFILED_STEPS = 3
BASES = ("reference", "plain")  # what the soft network is compared with
SAMPLE_ON_CUDA = 0.25  # seconds: a sample of one short step would measure mostly how long it takes to start it
SAYING = (
    "the reference mixes one layer's weight at a time, in fp32 and NCHW; plain and soft are what `foldnet train` runs"
)


@dataclass(frozen=True, slots=True)
class TrainFigures:
    """One network: parameters, precision, seconds of a training step in each round, and seconds that compiling took.

    `profile` is where a step's seconds go by operator, if that was asked for.
    """

    computed: ClassVar = ("seconds=timings.median", "seconds_quartiles=timings.quartiles")
    unwritten: ClassVar = ("timings",)
    parameters: int
    precision: str
    timings: Timings
    compile_seconds: float
    profile: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class TrainBenchReport(Report):
    """What `foldnet bench train` says: the speeds of reference, plain and soft, and ratios of images per second."""

    computed: ClassVar = (
        *("compile=compilation", "device=machine.device", "threads=machine.threads"),
        *("ratios", "ratios_quartiles"),
    )
    unwritten: ClassVar = ("compilation",)
    arch: str
    plain_arch: str
    image: tuple[int, int, int]
    command: str
    batch_size: int
    steps: int
    precision: str
    compilation: Compilation
    machine: dict[str, Any]
    results: dict[str, TrainFigures]
    notes: tuple[str, ...]
    saying: str = SAYING

    def speed_ratio(self, form: str, base: str) -> tuple[float, float, float]:
        """Images per second of one network by those of another in the same round: median, and the quartiles around
        it."""
        return self.results[base].timings.ratio(self.results[form].timings)

    @property
    def ratios(self) -> dict[str, float]:
        """Of images per second, so that above 1 is faster."""
        return {f"soft_to_{base}": self.speed_ratio("soft", base)[0] for base in BASES}

    @property
    def ratios_quartiles(self) -> dict[str, tuple[float, float]]:
        """Between these lies the middle half of the rounds."""
        return {f"soft_to_{base}": self.speed_ratio("soft", base)[1:] for base in BASES}

    def parts(self) -> Iterator[Table | Text]:
        """The three networks, how much faster the soft one is than each other, and where it spends its time."""
        columns = ("ms", "images/s", "soft faster", "middle half", "precision", "parameters")
        yield Table("", (f"batch {self.batch_size}", *columns), tuple(map(self._row, self.results)))
        spent = self.results["soft"].profile
        if spent is not None:
            total = sum(spent.values())
            large = {name: took for name, took in spent.items() if took >= total / 100 and name != "other"}
            rows = (*large.items(), ("other", total - sum(large.values())))
            shares = tuple((name, f"{1000 * took:.2f}", percent(took / total, 1)) for name, took in rows)
            yield Table("", ("soft, operator", "ms a step", "share"), shares)
        compiled = sum(figures.compile_seconds for figures in self.results.values())
        how = f"compiled in {compiled:.0f} s" if self.compilation.on else "not compiled"
        yield Text(
            f"\n{self.arch} and {self.plain_arch}, {place_of(self.machine)}, {how} ({self.compilation.why}), "
            f"median of {self.steps} rounds"
        )
        yield Text(self.saying)
        yield from (Text(f"note: {note}", "note") for note in self.notes)

    def _row(self, name: str) -> tuple[str | int, ...]:
        """One network."""
        figures, (ratio, lower, upper) = self.results[name], self.speed_ratio("soft", name)
        seconds = figures.timings.median
        compared = ("", "") if name == "soft" else (f"{ratio:.2f} x", f"{lower:.2f} to {upper:.2f}")
        speed = (f"{1000 * seconds:.1f}", f"{self.batch_size / seconds:,.0f}")
        return (name, *speed, *compared, figures.precision, figures.parameters)

    def to_json(self) -> dict[str, Any]:
        """As plain data, speeds beside seconds."""
        plain = Report.to_json(self)
        for figures in plain["results"].values():
            figures["images_per_second"] = self.batch_size / figures["seconds"]
        return plain


def bench_train(
    arch: str = ARCH,
    *,
    batch_size: int = BATCH_SIZE,
    steps: int = STEPS,
    device: str = "auto",
    precision: str = "auto",
    compile: str = "auto",
    threads: int | None = None,
    profiled: bool = False,
    out: Path | str | None = None,
    force: bool = False,
    observer: Observer | None = None,
) -> TrainBenchReport:
    """Measure whole training steps (forward, loss, backward, optimiser) of three networks in turns, each once a round.

    `arch` is soft, its twin is the plain network of the same depth and width. Random images of CIFAR's size that lie on
    the device. With `profiled` it is also measured, afterwards, where a step's time goes. `out` is a JSON file to write
    as well. Raises UnknownName, SettingError, MissingTool, OutputError.
    """
    check_number("batch_size", batch_size)
    check_number("rounds", steps, setting="steps")
    if threads is not None:
        check_number("threads", threads)
    if out is not None:
        refuse_existing(Path(out), force=force)
    soft = blueprint(arch, classes=CLASSES)
    if not soft.soft:
        raise SettingError(
            f"`arch={arch!r}` is plain and the bench compares a soft network with its twin; write 's{arch}-4'"
        )
    machine = choose_machine(device, precision)
    compilation = choose_compilation(compile, machine)
    with cpu_threads(threads):
        about = measured_on(machine)
        forms = _forms(soft, batch_size, machine, compilation)
        results = _measure(forms, steps, machine.device, profiled, observer or Silent())
    options = f"--batch-size {batch_size} --steps {steps} --threads {about['threads']} --device {machine.device}"
    chosen = f"--precision {machine.precision} --compile {'on' if compilation.on else 'off'}"
    chosen += " --profile" if profiled else ""
    report = TrainBenchReport(
        arch=arch,
        plain_arch=soft.plain.arch,
        image=soft.image,
        command=f"foldnet bench train --arch {arch} {options} {chosen}",
        batch_size=batch_size,
        steps=steps,
        precision=machine.precision,
        compilation=compilation,
        machine=about,
        results=results,
        notes=_notes(machine),
    )
    if out is not None:
        write_json(Path(out), report.to_json())
    return report


def _forms(built: Blueprint, batch_size: int, machine: Machine, compilation: Compilation) -> dict[str, "_Form"]:
    """The three networks, warmed up."""
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        soft, plain = built.build(), built.build_plain()
        x = random_images(batch_size, built.image, machine)
        task = TASKS[built.task]
        y = _targets(plain, x, task, batch_size)
    assert isinstance(soft, SharedNetwork)
    slow, never = Machine(machine.device, "fp32"), Compilation(False, None, "the reference never is")
    return {
        "reference": _Form(reference_of(soft), x.contiguous(), y, slow, never, task),
        "plain": _Form(plain, x, y, machine, compilation, task),
        "soft": _Form(soft, x, y, machine, compilation, task),
    }


def _targets(plain: nn.Module, x: Tensor, task: Task, count: int) -> Tensor:
    """Something to learn: random classes, or of another task what an untrained network says, which has the right
    shape."""
    if task is CLASSES_TASK:
        return torch.randint(CLASSES, (count,)).to(x.device)
    with torch.no_grad():
        return task.predict(plain.to(x.device)(x))


def _measure(
    forms: dict[str, "_Form"], steps: int, device: torch.device, profiled: bool, observer: Observer
) -> dict[str, TrainFigures]:
    """Time the steps of the networks in turns."""
    observer.begin("time training steps", steps)
    timings = time_in_turns(
        {name: form.step for name, form in forms.items()},
        rounds=steps,
        device=device,
        least_seconds=SAMPLE_ON_CUDA if device.type == "cuda" else 0.0,
        after_round=observer.advance,
    )
    observer.end()
    return {
        name: TrainFigures(
            parameters=sum(parameter.numel() for parameter in form.network.parameters()),
            precision=form.machine.precision,
            timings=timings[name],
            compile_seconds=form.compile_seconds,
            profile=profile(form.step, calls=PROFILED_STEPS, device=device) if profiled else None,
        )
        for name, form in forms.items()
    }


class _Form:
    """One network in training, and its step on a batch that stays the same."""

    def __init__(
        self, network: nn.Module, x: Tensor, y: Tensor, machine: Machine, compilation: Compilation, task: Task
    ) -> None:
        self.network, self.machine = place(network, machine).train(), machine
        self.optimiser = build_optimiser(self.network, lr=LR, momentum=0.9, weight_decay=5e-4)
        self.x, self.y, self.objective = x, y, Objective(task=task)
        self.forward = CompiledForward(self.network, compilation, len(x))
        self.compile_seconds = self.forward.warm_up(x, machine)

    def step(self) -> None:
        """Forward, loss, backward, optimiser."""
        forward: Callable[[Tensor], Tensor] = self.forward
        step(forward, self.optimiser, self.x, self.y, self.machine, self.objective)  # type: ignore[arg-type]


def _notes(machine: Machine) -> tuple[str, ...]:
    """What a reader of the figures should know."""
    if machine.device.type == "cuda":
        return ("on CUDA torch computes fp32 convolutions in TF32 unless it is told otherwise, the reference's too",)
    return ()
