"""Running the looped network against the tied one: what is proven from what blocks are, shown once more by what they
compute."""

import copy
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from foldnet.choosing.laboratory import Laboratory
from foldnet.errors import BrokenPromise, FoldnetError
from foldnet.folding.folds import Fold
from foldnet.folding.looped import LoopedNetwork
from foldnet.program.data import Block, Program
from foldnet.proof.compare import LIMIT, Places, places_of, watched
from foldnet.training.runs import Run

FEW = 4096  # numbers of a block's output that are kept to find the first that differs
# Training or not, pass by pass on one copy: what a pass leaves behind shows in the next, what training leaves in the
# last.
EVALUATION, PASSES = (False, False), (False, False, True, True, False)
ROUNDINGS = 16  # of a coarse precision, that two forms may differ by
# Beyond the limit rounding is to blame only for little: where batch norm divides by next to nothing a thousandth. Of a
# coarse precision 16 roundings are allowed already, and further layers do not make many more than twice as many.
EXCUSED, EXCUSED_ROUNDINGS = 1e-3, 2 * ROUNDINGS


@dataclass(frozen=True, slots=True)
class Proof:
    """How the looped and the tied network were compared: on `count` inputs of a kind, "test", "given" or "random"; the
    largest ||looped - tied|| / ||tied|| of their outputs.
    """

    inputs: str
    count: int
    relative: float


def prove(
    looped: LoopedNetwork, tied: nn.Module, inputs: tuple[Any, ...], ignored: Collection[str] = (), kind: str = "given"
) -> Proof:
    """Run copies of both on the same inputs and from the same random state: twice in evaluation mode, and where the
    tied network can be trained on such inputs twice in training mode and once more in evaluation. Both are left as they
    were.

    Raises BrokenPromise where they differ by more than rounding, naming the first block that does and what to do.
    """
    blocks = {block.name: block for block in looped.program.blocks}
    passes = PASSES if _trains(tied, inputs) else EVALUATION
    with torch.no_grad():
        copied = copy.deepcopy(tied)
        theirs = _run(copied, _blocks_of(copied, looped.program), inputs, passes)
        ours = _run_looped(copy.deepcopy(looped), inputs, passes)
        relative = apart(ours.outputs, theirs.outputs)
        limit, excused = _limits(tied, inputs)
        runs = (looped, ours), (tied, theirs)
        if not relative <= limit and not (relative <= excused and _only_rounding(runs, inputs, passes, excused)):
            first = blocks.get(_first_difference(ours, theirs, limit))
            place = f", and block '{first.name}' is the first to differ" if first is not None else ""
            raise BrokenPromise(
                f"the looped network differs from the tied one by {relative:.2g} of its output"
                f"{place}{_mode(ours, theirs, passes, limit)}; {_mend(first, ignored)}"
            )
    return Proof(kind, next((len(x) for x in tree_leaves(inputs) if isinstance(x, Tensor) and x.ndim), 1), relative)


def _trains(tied: nn.Module, inputs: tuple[Any, ...]) -> bool:
    """Whether a pass in training mode is possible: batch norm, say, wants more than one value a channel."""
    try:
        with torch.no_grad():
            _run(copy.deepcopy(tied), {}, inputs, (True,))
    except Exception:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Run:
    """What a model gave, pass by pass, and some numbers of what its blocks gave, by their names in the order of
    execution."""

    outputs: list[Any]
    blocks: list[tuple[str, Any]]


def _run(model: nn.Module, places: Places, inputs: tuple[Any, ...], passes: tuple[bool, ...]) -> _Run:
    """Call a model with inputs of its own, in these modes."""
    run = _Run([], [])

    def see(name: str, output: Any) -> None:
        run.blocks.append((name, tree_map(_few, output)))

    devices = sorted({tensor.device.index for tensor in model.parameters() if tensor.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)  # so that dropout which does not know of evaluation drops the same in both forms
        for index, training in enumerate(passes):
            model.train(training)
            # A network may write into its inputs.
            given = tree_map(lambda x: x.clone() if isinstance(x, Tensor) else copy.deepcopy(x), inputs)
            # The first pass is as inference has it: a looped network that is watched keeps nothing between calls.
            with watched(places if index else {}, see):
                run.outputs.append(model(*given))
    return run


def _run_looped(looped: LoopedNetwork, inputs: tuple[Any, ...], passes: tuple[bool, ...]) -> _Run:
    """What the looped network gives. Raises BrokenPromise where it fails, since the tied one has run."""
    try:
        return _run(looped, _blocks_of(looped, looped.program), inputs, passes)
    except FoldnetError:
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BrokenPromise(
            f"the looped network fails where the tied one runs ({said}): a block may reach a layer through an object "
            "in which foldnet does not look; hold layers as submodules, or in lists and dictionaries"
        ) from error


def _few(output: Any) -> Any:
    """Some numbers of a tensor, spread over all of it."""
    if not isinstance(output, Tensor):
        return output
    return output.flatten()[:: max(1, output.numel() // FEW)].clone()


def apart(one: Any, other: Any) -> float:
    """||a - b|| / ||b|| of two outputs, each a tensor or any nest of them; what is not finite must be so in both."""
    pairs = list(zip(tree_leaves(one), tree_leaves(other), strict=False))
    if len(tree_leaves(one)) != len(tree_leaves(other)) or any(not isinstance(a, type(b)) for a, b in pairs):
        return float("inf")
    missing = length = 0.0
    for a, b in (pair for pair in pairs if isinstance(pair[1], Tensor)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return float("inf")
        wide = torch.complex128 if b.is_complex() else torch.float64
        a, b = a.to(wide), b.to(wide)
        finite = torch.isfinite(b)
        if not torch.equal(finite, torch.isfinite(a)) or not torch.allclose(a[~finite], b[~finite], equal_nan=True):
            return float("inf")
        missing += float((a - b)[finite].abs().square().sum())
        length += float(b[finite].abs().square().sum())
    if not length:
        return 0.0 if not missing else float("inf")
    return float((missing / length) ** 0.5)


def _limits(tied: nn.Module, inputs: tuple[Any, ...]) -> tuple[float, float]:
    """The relative difference that rounding may make, and the one that it may make where doubles show none."""
    tensors = [*tree_leaves(inputs), *tied.parameters()]
    kinds = {x.dtype for x in tensors if isinstance(x, Tensor) and x.dtype.is_floating_point and x.itemsize < 4}
    coarse = max((torch.finfo(kind).eps for kind in kinds), default=0.0)
    return max(LIMIT, ROUNDINGS * coarse), max(EXCUSED, EXCUSED_ROUNDINGS * coarse)


def _only_rounding(
    runs: tuple[tuple[nn.Module, _Run], ...], inputs: tuple[Any, ...], passes: tuple[bool, ...], excused: float
) -> bool:
    """Whether the difference vanishes in double precision, where both networks can run in it and give what they gave.

    `.double()` makes new tensors: what was lost in one form alone, such as a tensor's attribute, may then be in
    neither, but such a form is no longer what it was.
    """
    try:
        wide = [_run(copy.deepcopy(model).double(), {}, _in_double(inputs), passes).outputs for model, _ in runs]
    except (RuntimeError, TypeError):  # a constant that stays in single precision
        return False
    pairs = zip(wide, runs, strict=True)
    as_before = all(apart(outputs, _in_double(run.outputs)) <= excused for outputs, (_, run) in pairs)
    return as_before and apart(*wide) <= LIMIT


def _in_double(values: Any) -> Any:
    """The same nest of tensors in double precision."""
    return tree_map(lambda x: x.double() if isinstance(x, Tensor) and x.is_floating_point() else x, values)


def _first_difference(one: _Run, other: _Run, limit: float) -> str:
    """The name of the first block that gave something else; empty where none did."""
    for (name, output), (wanted, reference) in zip(one.blocks, other.blocks, strict=False):
        if name != wanted or not apart(output, reference) <= limit:
            return wanted
    return ""


def _blocks_of(model: nn.Module, program: Program) -> Places:
    """Where the blocks run."""
    blocks = {block.name for block in program.blocks}
    return {module: names for module, names in places_of(model, program).items() if names[0] in blocks}


def _mode(one: _Run, other: _Run, passes: tuple[bool, ...], limit: float) -> str:
    """In which mode it begins, where that is not evaluation."""
    ends = range(1, len(passes) + 1)
    last = next(end for end in ends if not apart(one.outputs[:end], other.outputs[:end]) <= limit)
    return "" if not any(passes[:last]) else " in training mode" if passes[last - 1] else " after training"


def _mend(first: Block | None, ignored: Collection[str]) -> str:
    """What to do about it."""
    if ignored:
        named = ", ".join(f"'{name}'" for name in ignored)
        return f"what was ignored ({named}) matters to what blocks compute, so ignore less"
    layers = [use.layer for use in first.uses if use.group is not None] if first is not None else []
    named = ", ".join(f"'{layer}'" for layer in layers)
    return f"keep the layers of that block out of the fold ({named})" if layers else "fold it less far"


INPUTS = 16
SEED = 0


def random_inputs(tied: nn.Module, run: Run | Fold) -> tuple[Any, ...]:
    """Random inputs of the shape that a run was trained on, where the network is."""
    return (run.blueprint.random_inputs(INPUTS, SEED).to(next(tied.parameters()).device),)


def check_fold(
    looped: LoopedNetwork, tied: nn.Module, run: Run | Fold, laboratory: Laboratory | None, ignored: Collection[str]
) -> Proof:
    """Compare on test images where there is a laboratory, else on random inputs of the shape that the run was trained
    on.

    Raises BrokenPromise where the two differ.
    """
    if laboratory is None:
        return prove(looped, tied, random_inputs(tied, run), ignored, "random")
    x = next(iter(laboratory.test.in_order()))[0][:INPUTS]
    return prove(looped, tied, (x.to(next(tied.parameters()).device),), ignored, "test")
