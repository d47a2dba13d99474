"""foldnet bench inference: how fast, how large and how hungry the forms of a fold are, measured side by side."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from foldnet.benching.forms import forms_of
from foldnet.benching.measuring import (
    Timings,
    count_flops,
    cpu_threads,
    measured_on,
    peak_bytes,
    place_of,
    random_images,
    time_in_turns,
)
from foldnet.bounds import BOUNDS, as_code, check_number
from foldnet.errors import SettingError
from foldnet.folding.folds import WEIGHTS, Fold, open_fold
from foldnet.folding.opening import fold_folder
from foldnet.show.report import Report, Table, Text, times
from foldnet.store.files import refuse_existing, write_json
from foldnet.store.tensors import file_bytes
from foldnet.training.machine import Machine, channels_last, choose_machine
from foldnet.training.observer import Observer, Silent

BASE = "dense"
BATCHES = (1, 128)
SAYING = "folding saves bytes, not FLOPs: the looped network computes what the dense one computes"


@dataclass(frozen=True, slots=True)
class FormFigures:
    """One form. By batch size: seconds of one batch (median, quartiles) and peak memory in bytes, weights included.

    `bytes` are those of its safetensors file, `flops` those of one image alone (making the weights included).
    """

    computed: ClassVar = ("seconds", "seconds_quartiles", "images_per_second")
    unwritten: ClassVar = ("timings",)
    parameters: int
    bytes: int
    flops: int
    peak_memory: dict[int, int]
    timings: dict[int, Timings]

    @property
    def seconds(self) -> dict[int, float]:
        """The median, by batch size."""
        return {batch: timing.median for batch, timing in self.timings.items()}

    @property
    def seconds_quartiles(self) -> dict[int, tuple[float, float]]:
        """Between these lies the middle half of the samples."""
        return {batch: timing.quartiles for batch, timing in self.timings.items()}

    @property
    def images_per_second(self) -> dict[int, float]:
        """The same as a speed."""
        return {batch: batch / seconds for batch, seconds in self.seconds.items()}


@dataclass(frozen=True, slots=True)
class InferenceReport(Report):
    """What `foldnet bench inference` says: every form's figures, and their ratios to the dense form."""

    computed: ClassVar = ("device=machine.device", "threads=machine.threads", "ratios")
    fold: str
    arch: str
    command: str
    batch_sizes: tuple[int, ...]
    repeats: int
    image: tuple[int, int, int]
    precision: str
    machine: dict[str, Any]
    results: dict[str, FormFigures]
    notes: tuple[str, ...]
    saying: str = SAYING

    def time_ratio(self, form: str, batch: int) -> tuple[float, float, float]:
        """Seconds of a form by those of the dense one in the same round: median, and the quartiles around it."""
        return self.results[form].timings[batch].ratio(self.results[BASE].timings[batch])

    @property
    def ratios(self) -> dict[str, dict[str, Any]]:
        """Every form's figures by those of the dense one: of `seconds`, above 1 is slower."""
        return {name: self._ratios(name) for name in self.results}

    def parts(self) -> Iterator[Table | Text]:
        """A table a batch size; times beside their ratio to dense."""
        columns = ("ms", "to dense", "middle half", "images/s", "peak MB", "bytes", "GFLOP")
        for batch in self.batch_sizes:
            rows = tuple(self._row(name, form, batch) for name, form in self.results.items())
            yield Table("", (f"batch {batch}", *columns), rows)
        yield Text(
            f"\n{self.arch}, {times(self.image)} images, {self.precision}, {place_of(self.machine)}, "
            f"median of {self.repeats} rounds; bytes are those of the file, FLOP those of an image"
        )
        yield Text(self.saying)
        yield from (Text(f"note: {note}", "note") for note in self.notes)

    def _row(self, name: str, form: FormFigures, batch: int) -> tuple[str | int, ...]:
        """One form at one batch size."""
        ratio, lower, upper = self.time_ratio(name, batch)
        return (
            name,
            f"{1000 * form.seconds[batch]:.2f}",
            f"{ratio:.3f}",
            f"{lower:.3f}-{upper:.3f}",
            f"{form.images_per_second[batch]:,.0f}",
            f"{form.peak_memory[batch] / 1e6:.1f}",
            form.bytes,
            f"{form.flops / 1e9:.3f}",
        )

    def _ratios(self, form: str) -> dict[str, Any]:
        """One form by the dense one."""
        own, base = self.results[form], self.results[BASE]
        by_batch = {batch: self.time_ratio(form, batch) for batch in self.batch_sizes}
        return {
            "parameters": own.parameters / base.parameters,
            "bytes": own.bytes / base.bytes,
            "flops": own.flops / base.flops,
            "peak_memory": {batch: own.peak_memory[batch] / base.peak_memory[batch] for batch in self.batch_sizes},
            "seconds": {batch: ratio for batch, (ratio, _, _) in by_batch.items()},
            "seconds_quartiles": {batch: (lower, upper) for batch, (_, lower, upper) in by_batch.items()},
            "images_per_second": {batch: 1 / ratio for batch, (ratio, _, _) in by_batch.items()},
        }


def bench_inference(
    path: Path | str | None = None,
    *,
    run: Path | str | None = None,
    batch_sizes: Sequence[int] = BATCHES,
    repeats: int = 10,
    threads: int | None = None,
    device: str = "auto",
    precision: str = "fp32",
    out: Path | str | None = None,
    force: bool = False,
    observer: Observer | None = None,
) -> InferenceReport:
    """Measure soft, dense, tied and looped, and the plain network of the same shape, in turns, in evaluation mode.

    Random inputs, channels last. `run` names the run of a fold that does not lie inside it, `out` is a JSON file to
    write as well. Raises RunError, SettingError, OutputError.
    """
    _check(batch_sizes, repeats, threads)
    if out is not None:
        refuse_existing(Path(out), force=force)
    fold = open_fold(fold_folder(path))
    machine = choose_machine(device, precision)
    forms, notes = forms_of(fold, run)
    forms = {name: channels_last(model.to(machine.device)) for name, model in forms.items()}
    with cpu_threads(threads):
        about = measured_on(machine)
        figures = _measure(fold, forms, machine, batch_sizes, repeats, observer or Silent())
    if machine.device.type == "cuda" and machine.precision == "fp32":
        notes = (*notes, "on CUDA torch computes fp32 convolutions in TF32 unless it is told otherwise")
    sizes = ",".join(map(str, batch_sizes))
    options = f"--batch-sizes {sizes} --repeats {repeats} --threads {about['threads']}"
    report = InferenceReport(
        fold=str(fold.folder),
        arch=fold.arch,
        command=f"foldnet bench inference {fold.folder} {options} --device {machine.device} --precision "
        f"{machine.precision}",
        batch_sizes=tuple(batch_sizes),
        repeats=repeats,
        image=fold.blueprint.image,
        precision=machine.precision,
        machine=about,
        results=figures,
        notes=notes,
    )
    if out is not None:
        write_json(Path(out), report.to_json())
    return report


def _check(batch_sizes: Sequence[int], repeats: int, threads: int | None) -> None:
    """Raise SettingError for numbers that nothing can be measured with."""
    bound = BOUNDS["batch_sizes"]
    if not batch_sizes or not all(map(bound.holds, batch_sizes)) or len(set(batch_sizes)) < len(batch_sizes):
        raise SettingError(
            f"{as_code('batch_sizes', tuple(batch_sizes))} is not legal; give different numbers, each {bound}"
        )
    check_number("repeats", repeats)
    if threads is not None:
        check_number("threads", threads)


def _measure(
    fold: Fold,
    forms: dict[str, nn.Module],
    machine: Machine,
    batch_sizes: Sequence[int],
    repeats: int,
    observer: Observer,
) -> dict[str, FormFigures]:
    """Time and memory by batch size, then what does not depend on it."""
    image = fold.blueprint.image
    timings: dict[str, dict[int, Timings]] = {name: {} for name in forms}
    memory: dict[str, dict[int, int]] = {name: {} for name in forms}
    for index, batch in enumerate(batch_sizes):
        x = random_images(batch, image, machine)
        observer.begin(f"time batch of {batch}", repeats, index, len(batch_sizes))
        calls = {name: _call(model, x, machine) for name, model in forms.items()}
        with torch.inference_mode():
            found = time_in_turns(calls, rounds=repeats, device=machine.device, after_round=observer.advance)
        for name, model in forms.items():
            timings[name][batch] = found[name]
            memory[name][batch] = peak_bytes(model, calls[name], x)
        observer.end()
    x = random_images(1, image, machine)
    with torch.no_grad():
        flops = {name: count_flops(_call(model, x, machine)) for name, model in forms.items()}
    return {
        name: FormFigures(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            bytes=(fold.folder / WEIGHTS).stat().st_size if name == "looped" else file_bytes(model.state_dict()),
            flops=flops[name],
            peak_memory=memory[name],
            timings=timings[name],
        )
        for name, model in forms.items()
    }


def _call(model: nn.Module, x: Tensor, machine: Machine) -> Callable[[], object]:
    """One forward pass, in the machine's precision."""

    def call() -> None:
        with machine.autocast():
            model(x)

    return call
