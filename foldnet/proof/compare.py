"""Comparing forms of one network: what every layer and the logits give, step by step, on the same inputs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from foldnet.data.tasks import CLASSES, Task
from foldnet.folding.looped import LoopedNetwork
from foldnet.folding.stepped import SteppedBlock
from foldnet.program.data import Program
from foldnet.sharing.plan import SHAREABLE
from foldnet.sharing.sequences import PARAMETER, joined, stands_in
from foldnet.sharing.share import SharedNetwork

LIMIT = 1e-5  # relative difference, in norm at the logits, that two forms of one network may have in fp32
LAYER_IMAGES = 32  # inputs whose layers are compared: one form's activations of so many are held at a time
PAIRS = {"dense": "soft", "looped": "tied"}  # a form, which names the pair, and its reference

Places = dict[nn.Module, tuple[str, ...]]  # a module -> the unrolled layers that its first, second, ... call stands for


@dataclass(frozen=True, slots=True)
class Difference:
    """Of some outputs from those of a reference: largest and mean absolute difference, and ||a - b|| / ||b||."""

    max_abs: float
    mean_abs: float
    relative: float


@dataclass
class Gauge:
    """Adds up the difference of two forms over batches, in float64. What is not a number stays so."""

    largest: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    sums: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))  # of |a - b|, its square, and b's
    count: int = 0

    def add(self, value: Tensor, reference: Tensor) -> None:
        """One more batch of both, of one shape."""
        expected = reference.double()
        apart = value.double() - expected
        # torch.maximum keeps what is not a number, which Python's max does not.
        self.largest = torch.maximum(self.largest.to(apart.device), apart.abs().max())
        sums = torch.stack((apart.abs().sum(), apart.square().sum(), expected.square().sum()))
        self.sums = self.sums.to(apart.device) + sums
        self.count += apart.numel()

    def difference(self) -> Difference:
        """The difference over everything added. Raises ZeroDivisionError where nothing was."""
        total, squares, reference = self.sums.tolist()
        missing, length = squares**0.5, reference**0.5
        relative = missing / length if length else (0.0 if missing == 0 else float("inf"))
        return Difference(float(self.largest), total / self.count, relative)


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """One layer of the unrolled network, "conv" and the like or "block", compared in both pairs; None where not
    compared."""

    name: str
    kind: str
    dense: Difference | None
    looped: Difference | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the forms gave on one kind of input ("test" or "random").

    `agreement` is the share of predictions (one an input, or one a cell) in which looped and tied are alike. One in
    which they are not may be undecided: its margin is smaller than the rounding that LIMIT allows; `broken` counts the
    others. `dense` (to soft) and `looped` (to tied) are of the logits, None where not compared. `counts` are those of
    the task, by form, None on random inputs. `overflown` are forms whose logits are not all finite.
    """

    unwritten: ClassVar = ("broken", "counts", "overflown")
    inputs: str
    count: int
    agreement: float
    undecided: int
    agreement_soft: float | None
    dense: Difference | None = None
    looped: Difference | None = None
    broken: int = 0
    counts: dict[str, tuple[float, ...]] | None = None
    overflown: tuple[str, ...] = ()

    def pairs(self) -> Iterator[tuple[str, str, Difference]]:
        """(form, its reference, the difference of their logits) of what was compared."""
        found = ((form, reference, getattr(self, form)) for form, reference in PAIRS.items())
        return (pair for pair in found if pair[2] is not None)


class LayerGauges:
    """Differences by layer, and what ran too often or not at all."""

    def __init__(self) -> None:
        self.gauges: dict[str, dict[str, Gauge]] = {pair: {} for pair in PAIRS}
        self.misses: dict[str, None] = {}  # used as an ordered set

    def compare(
        self, pair: str, form: tuple[nn.Module, Places], reference: tuple[nn.Module, Places], x: Tensor
    ) -> None:
        """Run both on x (n, c, h, w) and add up the differences of every layer that runs in both."""
        expected: dict[str, Tensor] = {}

        def keep(name: str, output: Tensor) -> None:
            expected[name] = output

        def compare(name: str, output: Tensor) -> None:
            wanted = expected.pop(name, None)
            if wanted is None or wanted.shape != output.shape:
                self.misses[name] = None
            else:
                self.gauges[pair].setdefault(name, Gauge()).add(output, wanted)

        for (model, places), see in ((reference, keep), (form, compare)):
            with watched(places, see):
                model(x)
        self.misses.update(dict.fromkeys(expected))

    def layers(self, kinds: Mapping[str, str]) -> tuple[LayerDifference, ...]:
        """One entry for each layer that was compared, in the order of execution; `kinds` says of what kind each is."""

        def layer(name: str) -> LayerDifference:
            pairs = (gauges[name].difference() if name in gauges else None for gauges in self.gauges.values())
            return LayerDifference(name, kinds[name], *pairs)

        return tuple(map(layer, self.gauges["looped"] | self.gauges["dense"]))


def places_of(model: nn.Module, program: Program) -> Places:
    """Where in any form of a network the layers of its unrolled form run: weighted layers and blocks."""
    if isinstance(model, LoopedNetwork):
        return _places_of_looped(model, program)
    network = model.network if isinstance(model, SharedNetwork) else model
    blocks, modules = {block.name for block in program.blocks}, network.named_modules()
    return {module: (name,) for name, module in modules if isinstance(module, SHAREABLE) or name in blocks}


def kinds_of(network: nn.Module, program: Program) -> dict[str, str]:
    """Name and kind, "conv", "linear" or "block", of what is compared in an unrolled `network`."""

    def kind(module: nn.Module) -> str:
        return "linear" if isinstance(module, nn.Linear) else "conv" if isinstance(module, SHAREABLE) else "block"

    return {name: kind(module) for module, (name,) in places_of(network, program).items()}


@contextmanager
def watched(places: Places, see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Show `see` (layer, output) for every call of a module; a call more than a module has layers is "NAME again"."""
    with ExitStack() as handles:
        for module, names in places.items():
            handles.enter_context(module.register_forward_hook(_naming(names, see)))
        yield


def _naming(names: tuple[str, ...], see: Callable[[str, Tensor], None]) -> Callable[..., None]:
    """A hook for one module, by closure: what hooks are handed may be a view of the module that they were put on."""
    calls = 0

    def hook(module: nn.Module, args: tuple[object, ...], output: Tensor) -> None:
        nonlocal calls
        calls += 1
        see(names[calls - 1] if calls <= len(names) else f"{names[-1]} again", output)

    return hook


@torch.no_grad()
def compare_forms(
    forms: Mapping[str, nn.Module],
    program: Program,
    inputs: str,
    batches: Iterable[tuple[Tensor, Tensor | None]],
    layers: LayerGauges,
    seen: Callable[[int], None] = lambda count: None,
    task: Task = CLASSES,
) -> Comparison:
    """Run the forms, "looped", "tied" and perhaps "dense" and "soft", on batches of x (n, c, h, w) and labels (n, ...)
    or None.

    Layers are compared on the first LAYER_IMAGES inputs, and added to `layers`; the logits on all of them, in what
    precision the forms have. `seen` hears of every batch. Raises ZeroDivisionError where there is no batch.
    """
    gauges = {form: Gauge() for form, reference in PAIRS.items() if form in forms and reference in forms}
    counts: dict[str, Tensor] = {}
    alike: Counter[str] = Counter()
    overflown: dict[str, None] = {}  # used as an ordered set
    count = 0
    for x, labels in batches:
        if not count:
            for form in gauges:
                ours, theirs = ((forms[name], places_of(forms[name], program)) for name in (form, PAIRS[form]))
                layers.compare(form, ours, theirs, x[:LAYER_IMAGES])
        logits = {name: model(x).float() for name, model in forms.items()}
        for form, gauge in gauges.items():
            gauge.add(logits[form], logits[PAIRS[form]])
        alike.update(_agreements(logits, task))
        overflown.update(dict.fromkeys(name for name, value in logits.items() if not torch.isfinite(value).all()))
        if labels is not None:
            for name, value in logits.items():
                counts[name] = task.counts(value, labels) + counts.get(name, 0)
        count += len(x)
        seen(len(x))
    return Comparison(
        inputs,
        count,
        alike["looped"] / alike["all"],
        alike["undecided"],
        alike["soft"] / alike["all"] if "soft" in forms else None,
        **{form: gauge.difference() for form, gauge in gauges.items()},
        broken=alike["all"] - alike["looped"] - alike["undecided"],
        counts={name: tuple(found.tolist()) for name, found in counts.items()} or None,
        overflown=tuple(overflown),
    )


def _agreements(logits: Mapping[str, Tensor], task: Task) -> dict[str, int]:
    """Of all predictions, one an input or one a cell: how many looped has as tied and as soft do, and how many of the
    others only rounding can make differ from tied.

    Logits that are off by at most LIMIT of their length can change a prediction only where its margin is within twice
    that.
    """
    tied, predicted = logits["tied"], task.predict(logits["looped"])
    differs = predicted != task.predict(tied)
    length = tied.flatten(1).norm(dim=1).view(-1, *(1 for _ in differs.shape[1:]))
    close = task.margin(tied) <= 2 * LIMIT * length
    found = {"all": differs.numel(), "looped": int((~differs).sum()), "undecided": int((differs & close).sum())}
    if "soft" in logits:
        found["soft"] = int((predicted == task.predict(logits["soft"])).sum())
    return found


def _places_of_looped(model: LoopedNetwork, program: Program) -> Places:
    """The n-th call of a looped body is the n-th block of its label."""
    places: Places = {}
    for name, module in model.network.named_modules():
        if isinstance(module, SHAREABLE) and not any(stands_in(name, stage.path) for stage in program.stages):
            places[module] = (name,)
    for stage in program.stages:
        bodies = model.network.get_submodule(joined(stage.path, "blocks"))
        for label in dict.fromkeys(block.label for block in stage.blocks):
            alike = [block for block in stage.blocks if block.label == label]
            body = bodies.get_submodule(label)
            # A block that is itself a layer is one place: its body is watched, under the layer's name.
            inside = body.body if isinstance(body, SteppedBlock) else body
            places[inside] = tuple(block.name for block in alike)
            for position in (use.position for use in alike[0].uses if use.position and PARAMETER not in use.position):
                places[inside.get_submodule(position)] = tuple(joined(block.name, position) for block in alike)
    return places
