"""foldnet bench inference: time, memory and size of the forms of a fold, measured side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from foldnet.benching.frame import SEED, BenchReport, framed, random_inputs, tf32_note
from foldnet.benching.measuring import Timings, count_flops, peak_bytes, time_in_turns
from foldnet.benching.settings import InferenceBench
from foldnet.errors import RunError, SettingError
from foldnet.exporting.given import given
from foldnet.exporting.running import Exported, opened, runners
from foldnet.folding.folds import Fold, open_fold
from foldnet.folding.looped import LoopedNetwork, unroll, usage_slots
from foldnet.folding.opening import fold_folder, soft_of_fold
from foldnet.sharing.share import SharedNetwork, materialise
from foldnet.sharing.tied import Owners, TiedLayers
from foldnet.show.report import Table, Text, times
from foldnet.store.files import refuse_existing, write_json
from foldnet.store.tensors import file_bytes
from foldnet.training.machine import Machine, channels_last, choose_machine
from foldnet.training.observer import Observer, Silent
from foldnet.zoo.family import runs_code

FORMS = ("soft", "dense", "tied", "looped", "plain")
BASE = "dense"


@dataclass(frozen=True, slots=True)
class FormFigures:
    """One form. By batch size: seconds of one batch (median, quartiles) and peak memory in bytes, weights included.

    `bytes` are those of its safetensors file, `flops` those of one input alone (making the weights included). Of an
    exported file its bytes and times are known alone.
    """

    computed: ClassVar = ("seconds", "seconds_quartiles", "images_per_second")
    unwritten: ClassVar = ("timings",)
    parameters: int | None
    bytes: int
    flops: int | None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceReport(BenchReport):
    """What `foldnet bench inference` says: every form's figures, and their ratios to the dense form; an exported file
    is a form too, called by the runtime that it ran in."""

    computed: ClassVar = (
        *("fold=settings.fold", "batch_sizes=settings.batch_sizes", "repeats=settings.repeats"),
        *BenchReport.computed,
    )
    saying: ClassVar = "folding saves bytes, not FLOPs: the looped network computes what the dense one computes"
    results: dict[str, FormFigures]

    def time_ratio(self, form: str, batch: int) -> Timings:
        """Seconds of a form by those of the dense one in the same round."""
        return self.results[form].timings[batch].ratio(self.results[BASE].timings[batch])

    @property
    def ratios(self) -> dict[str, dict[str, Any]]:
        """Every form's figures by those of the dense one: of `seconds`, above 1 is slower."""
        return {name: self._ratios(name) for name in self.results}

    def parts(self) -> Iterator[Table | Text]:
        """A table a batch size; times beside their ratio to dense."""
        columns = ("ms", "to dense", "middle half", f"{self.unit}/s", "peak MB", "bytes", "GFLOP")
        for batch in self.settings.batch_sizes:
            rows = tuple(self._row(name, form, batch) for name, form in self.results.items())
            yield Table("", (f"batch {batch}", *columns), rows)
        yield from self.below(
            f"{self.arch}, {times(self.image)} {self.unit}, {self.settings.precision}",
            f"median of {self.settings.repeats} rounds; bytes are those of the file, FLOP those of an input",
        )

    def _row(self, name: str, form: FormFigures, batch: int) -> tuple[str | int | None, ...]:
        """One form at one batch size."""
        ratio = self.time_ratio(name, batch)
        middle = "{:.3f}-{:.3f}".format(*ratio.quartiles)
        time = (f"{1000 * form.seconds[batch]:.2f}", f"{ratio.median:.3f}", middle)
        memory = f"{form.peak_memory[batch] / 1e6:.1f}" if form.peak_memory else None
        work = None if form.flops is None else f"{form.flops / 1e9:.3f}"
        return (name, *time, f"{form.images_per_second[batch]:,.0f}", memory, form.bytes, work)

    def _ratios(self, form: str) -> dict[str, Any]:
        """One form by the dense one."""
        own, base = self.results[form], self.results[BASE]
        by_batch = {batch: self.time_ratio(form, batch) for batch in own.timings}
        counts = {name: (getattr(own, name), getattr(base, name)) for name in ("parameters", "bytes", "flops")}
        sizes = {name: None if one is None else one / other for name, (one, other) in counts.items()}
        return sizes | {
            "peak_memory": {batch: count / base.peak_memory[batch] for batch, count in own.peak_memory.items()},
            "seconds": {batch: ratio.median for batch, ratio in by_batch.items()},
            "seconds_quartiles": {batch: ratio.quartiles for batch, ratio in by_batch.items()},
            "images_per_second": {batch: 1 / ratio.median for batch, ratio in by_batch.items()},
        }


@runs_code
def bench_inference(
    path: Path | str | None = None,
    *,
    out: Path | str | None = None,
    force: bool = False,
    observer: Observer | None = None,
    **options: Any,
) -> InferenceReport:
    """Measure soft, dense, tied and looped, and the plain network of the same shape, in turns, in evaluation mode.

    Random inputs, channels last. `options` are the fields of InferenceBench, `out` is a JSON file to write as well.
    Raises RunError, SettingError, OutputError.
    """
    settings = InferenceBench(path, **options)
    refuse_existing(out, force=force)
    fold = open_fold(fold_folder(path))
    machine = choose_machine(settings.device, settings.precision)
    exported = _exported(fold, settings, machine)
    forms, notes = forms_of(fold, settings.run)
    forms = {name: channels_last(model.to(machine.device)) for name, model in forms.items()}
    if machine.precision == "fp32":
        notes += tf32_note(machine)
    with framed(replace(settings, fold=fold.folder), machine) as frame:
        report = InferenceReport(
            arch=fold.arch,
            image=fold.blueprint.shape,
            unit=fold.task.unit,
            results=_measure(fold, forms, machine, settings, observer or Silent(), exported),
            notes=notes,
            **frame,
        )
    if out is not None:
        write_json(Path(out), report.to_json())
    return report


def _exported(fold: Fold, settings: InferenceBench, machine: Machine) -> Exported | None:
    """The file that is to be timed too. Raises RunError, SettingError where the machine is not the CPU in fp32."""
    if settings.exported is None:
        return None
    if machine.device.type != "cpu" or machine.precision != "fp32":
        raise SettingError("`exported` files are timed on the CPU in fp32; add `device='cpu'` and `precision='fp32'`")
    exported = opened(Path(settings.exported))
    exported.check_origin(fold.folder, fold.files, fold.program)
    return exported


def _measure(
    fold: Fold,
    forms: dict[str, nn.Module],
    machine: Machine,
    settings: InferenceBench,
    observer: Observer,
    exported: Exported | None = None,
) -> dict[str, FormFigures]:
    """What does not depend on the batch size, then time and memory by it."""
    built, sizes, figures = fold.blueprint, settings.batch_sizes, {}
    x = random_inputs(1, built, machine)
    for name, model in forms.items():
        parameters = sum(parameter.numel() for parameter in model.parameters())
        size = fold.weights.stat().st_size if name == "looped" else file_bytes(model.state_dict())
        with torch.no_grad():
            figures[name] = FormFigures(parameters, size, count_flops(partial(_call, model, x, machine)), {}, {})
    runs = runners(exported, given(fold.folder), threads=torch.get_num_threads()) if exported is not None else {}
    for name in runs:
        figures[name] = FormFigures(None, len(exported.content), None, {}, {})  # type: ignore[union-attr]
    for index, batch in enumerate(sizes):
        x = random_inputs(batch, built, machine)
        observer.begin(f"time batch of {batch}", settings.repeats, index, len(sizes))
        calls: dict[str, Callable[[], object]] = {
            name: partial(_call, model, x, machine) for name, model in forms.items()
        }
        plain = x.contiguous()
        calls |= {name: partial(run, plain, {}) for name, run in runs.items()}
        with torch.inference_mode():
            found = time_in_turns(calls, rounds=settings.repeats, device=machine.device, after_round=observer.advance)
        for name, timings in found.items():
            figures[name].timings[batch] = timings
        for name, model in forms.items():
            figures[name].peak_memory[batch] = peak_bytes(model, calls[name], x)
        observer.end()
    return figures


def _call(model: nn.Module, x: Tensor, machine: Machine) -> None:
    """One forward pass, in the machine's precision."""
    with machine.autocast():
        model(x)


def forms_of(fold: Fold, named: Path | str | None = None) -> tuple[dict[str, nn.Module], tuple[str, ...]]:
    """All forms of a fold on the CPU, in evaluation mode, and what there is to say about them; `named` is its run.

    Raises RunError where a run that is named is not the fold's.
    """
    looped, notes = fold.load(), []
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        soft = fold.blueprint.build()
        plain = fold.blueprint.build_plain()
    try:
        soft = soft_of_fold(fold, named)
    except RunError as error:
        if named is not None:
            raise
        notes.append(f"soft and dense have random weights, which costs the same time ({error})")
    with torch.device("meta"):
        unrolled = materialise(fold.blueprint.build())
    assert isinstance(soft, SharedNetwork)
    forms = {
        "soft": soft,
        "dense": materialise(soft),
        "tied": _tied(looped, unroll(looped, unrolled), soft),
        "looped": looped,
        "plain": plain,
    }
    return {name: forms[name].eval() for name in FORMS}, tuple(notes)


def _tied(looped: LoopedNetwork, unrolled: nn.Module, soft: SharedNetwork) -> SharedNetwork:
    """Owners, gains and residuals in an unrolled network that takes `unrolled` over."""
    owner_of = {use.layer: use.owner for use in looped.program.uses if use.owner is not None}
    usages = {layer: [stack[step] for stack in stacks] for stacks, step, layer in usage_slots(looped)}
    sources: dict[str, nn.Module] = {}
    for group in soft.plan.groups:
        owners = looped.owners[group.name]
        assert isinstance(owners, Owners)
        tied = TiedLayers(owners, tuple(owner_of[layer] for layer in group.layers)).to(usages[group.layers[0]][0])
        with torch.no_grad():
            for layer, own in zip(group.layers, tied.usages(), strict=True):
                for kept, stored in zip(own, usages[layer], strict=True):
                    kept.copy_(stored)
        sources[group.name] = tied
    return SharedNetwork(unrolled, soft.plan, sources)
