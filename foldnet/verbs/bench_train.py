"""foldnet bench train: how fast a soft network trains, beside its plain twin and the way of the paper's authors."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from foldnet.benching.frame import SEED, BenchReport, framed, random_inputs, tf32_note
from foldnet.benching.measuring import Timings, largest, profile, time_in_turns
from foldnet.benching.settings import TrainBench
from foldnet.data.tasks import TASKS, Task
from foldnet.errors import SettingError
from foldnet.sharing.reference import reference_of
from foldnet.sharing.share import SharedNetwork
from foldnet.show.report import Table, Text, percent
from foldnet.store.files import refuse_existing, write_json
from foldnet.training.learner import Compilation, Learner, Objective, build_optimiser, choose_compilation
from foldnet.training.loop import Steps
from foldnet.training.machine import Machine, choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.zoo.answering import check_answers
from foldnet.zoo.blueprint import Blueprint, blueprint
from foldnet.zoo.family import arch_named, runs_code

CLASSES = 10  # CIFAR's
LR = 0.01  # small: what is measured is time, and weights that are not numbers would take another one
PROFILED_STEPS = 3
BASES = ("reference", "plain")  # what the soft network is compared with
SAMPLE_ON_CUDA = 0.25  # seconds: a sample of one short step would measure mostly how long it takes to start it


@dataclass(frozen=True, slots=True)
class TrainFigures:
    """One network: images a step, parameters, precision, seconds of a training step in each round, and seconds that
    compiling took.

    `profile` is where a step's seconds go by operator, if that was asked for.
    """

    computed: ClassVar = ("seconds=timings.median", "seconds_quartiles=timings.quartiles", "images_per_second")
    unwritten: ClassVar = ("images", "timings")
    images: int
    parameters: int
    precision: str
    timings: Timings
    compile_seconds: float
    profile: dict[str, float] | None = None

    @property
    def images_per_second(self) -> float:
        """The speed."""
        return self.images / self.timings.median


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBenchReport(BenchReport):
    """What `foldnet bench train` says: the speeds of reference, plain and soft, and ratios of images per second."""

    computed: ClassVar = (
        *BenchReport.computed,
        *("ratios_quartiles", "batch_size=settings.batch_size", "steps=settings.steps", "compile=compilation"),
    )
    unwritten: ClassVar = (*BenchReport.unwritten, "compilation")
    saying: ClassVar = (
        "the reference mixes one layer's weight at a time, in fp32 and NCHW; plain and soft are what `foldnet train` "
        "runs"
    )
    plain_arch: str
    results: dict[str, TrainFigures]
    compilation: Compilation

    def speed_ratio(self, form: str, base: str) -> Timings:
        """Images per second of one network by those of another in the same round."""
        return self.results[base].timings.ratio(self.results[form].timings)

    @property
    def ratios(self) -> dict[str, float]:
        """Of images per second, so that above 1 is faster."""
        return {f"soft_to_{base}": self.speed_ratio("soft", base).median for base in BASES}

    @property
    def ratios_quartiles(self) -> dict[str, tuple[float, float]]:
        """Between these lies the middle half of the rounds."""
        return {f"soft_to_{base}": self.speed_ratio("soft", base).quartiles for base in BASES}

    def parts(self) -> Iterator[Table | Text]:
        """The three networks, how much faster the soft one is than each other, and where it spends its time."""
        columns = ("ms", f"{self.unit}/s", "soft faster", "middle half", "precision", "parameters")
        yield Table("", (f"batch {self.settings.batch_size}", *columns), tuple(map(self._row, self.results)))
        spent = self.results["soft"].profile
        if spent is not None:
            total, rows = sum(spent.values()), largest(spent, 0.01).items()
            shares = tuple((name, f"{1000 * took:.2f}", percent(took / total, 1)) for name, took in rows)
            yield Table("", ("soft, operator", "ms a step", "share"), shares)
        compiled = sum(figures.compile_seconds for figures in self.results.values())
        how = f"compiled in {compiled:.0f} s" if self.compilation.on else "not compiled"
        how += f" ({self.compilation.why}), median of {self.settings.steps} rounds"
        twins = self.arch if self.arch == self.plain_arch else f"{self.arch} and {self.plain_arch}"
        yield from self.below(twins, how)

    def _row(self, name: str) -> tuple[str | int, ...]:
        """One network."""
        figures, ratio = self.results[name], self.speed_ratio("soft", name)
        middle = "{:.2f} to {:.2f}".format(*ratio.quartiles)
        compared = ("", "") if name == "soft" else (f"{ratio.median:.2f} x", middle)
        speed = (f"{1000 * figures.timings.median:.1f}", f"{figures.images_per_second:,.0f}")
        return (name, *speed, *compared, figures.precision, figures.parameters)


@runs_code
def bench_train(
    arch: str = TrainBench.ARCH,
    *,
    out: Path | str | None = None,
    force: bool = False,
    observer: Observer | None = None,
    **options: Any,
) -> TrainBenchReport:
    """Measure whole training steps (forward, loss, backward, optimiser) of three networks in turns, each once a round.

    `arch` is soft, its twin is the plain network of the same depth and width; `options` are the other fields of
    TrainBench. Random images of CIFAR's size or of `size`, or random bytes, that lie on the device. With `profile` it
    is also measured, afterwards, where a step's time goes. `out` is a JSON file to write as well. Raises UnknownName,
    SettingError, MissingTool, OutputError.
    """
    settings = TrainBench(arch, **options)
    refuse_existing(out, force=force)
    with arch_named(arch):
        return _bench(settings, out, observer)


def _bench(settings: TrainBench, out: Path | str | None, observer: Observer | None) -> TrainBenchReport:
    """The same by its settings."""
    arch = settings.arch
    chosen: dict[str, Any] = {name: getattr(settings, name) for name in ("templates", "size", "arch_option")}
    soft = blueprint(arch, classes=CLASSES, **chosen)
    if soft.family.outside:
        check_answers(soft)
    if soft.templates is None:
        from foldnet.zoo.near import near_names

        mend = "give `templates=4`" if soft.family.outside else f"write '{near_names(f's{arch}-4')[0]}'"
        raise SettingError(f"`arch={arch!r}` is plain and the bench compares a soft network with its twin; {mend}")
    machine = choose_machine(settings.device, settings.precision)
    compilation = choose_compilation(settings.compile, machine)
    settings = replace(settings, compile="on" if compilation.on else "off")
    with framed(settings, machine) as frame:
        forms = _forms(soft, settings.batch_size, machine, compilation)
        report = TrainBenchReport(
            arch=soft.arch,
            plain_arch=soft.plain.arch,
            image=soft.shape,
            unit=TASKS[soft.task].unit,
            compilation=compilation,
            results=_measure(forms, settings, machine.device, observer or Silent()),
            notes=tf32_note(machine, ", the reference's too"),
            **frame,
        )
    if out is not None:
        write_json(Path(out), report.to_json())
    return report


def _forms(built: Blueprint, batch_size: int, machine: Machine, compilation: Compilation) -> dict[str, "_Form"]:
    """The three networks, warmed up."""
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        soft, plain = built.build(), built.build_plain()
        x = random_inputs(batch_size, built, machine)
        task = TASKS[built.task]
        with torch.no_grad():  # something to learn: what an untrained network says has the right shape
            y = task.predict(plain.to(x.device)(x))
    assert isinstance(soft, SharedNetwork)
    slow, never = Machine(machine.device, "fp32"), Compilation(False, None, "the reference never is")
    return {
        "reference": _Form(reference_of(soft), x.contiguous(), y, slow, never, task),
        "plain": _Form(plain, x, y, machine, compilation, task),
        "soft": _Form(soft, x, y, machine, compilation, task),
    }


def _measure(
    forms: dict[str, "_Form"], settings: TrainBench, device: torch.device, observer: Observer
) -> dict[str, TrainFigures]:
    """Time the steps of the networks in turns."""
    observer.begin("time training steps", settings.steps)
    timings = time_in_turns(
        {name: form.step for name, form in forms.items()},
        rounds=settings.steps,
        device=device,
        least_seconds=SAMPLE_ON_CUDA if device.type == "cuda" else 0.0,
        after_round=observer.advance,
    )
    observer.end()
    return {
        name: TrainFigures(
            images=settings.batch_size,
            parameters=sum(parameter.numel() for parameter in form.learner.model.parameters()),
            precision=form.learner.machine.precision,
            timings=timings[name],
            compile_seconds=form.compile_seconds,
            profile=profile(form.step, calls=PROFILED_STEPS, device=device) if settings.profile else None,
        )
        for name, form in forms.items()
    }


class _Form(Steps):
    """One network in training, and its step on a batch that stays the same."""

    def __init__(
        self, network: nn.Module, x: Tensor, y: Tensor, machine: Machine, compilation: Compilation, task: Task
    ) -> None:
        model = machine.place(network).train()
        optimiser = build_optimiser(model, lr=LR, momentum=0.9, weight_decay=5e-4)
        super().__init__(Learner(model, optimiser, machine, Objective(task=task), compilation), len(x))
        self.x, self.y = x, y
        self.compile_seconds = self.forward.warm_up(x, machine)

    def step(self) -> None:
        """Forward, loss, backward, optimiser."""
        self(self.x, self.y)
