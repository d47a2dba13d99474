"""A training that is prepared: machine, network, optimiser, data and course, each made once."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foldnet.data.batches import Batches
from foldnet.data.dataset import Dataset, Split
from foldnet.data.tasks import Task
from foldnet.errors import SettingError
from foldnet.hardware import memory_bytes
from foldnet.sharing.share import SharedNetwork
from foldnet.training.checkpoint import FILE, load_model, load_optimiser
from foldnet.training.course import Course, Objective, build_optimiser
from foldnet.training.journal import BEGINNING, Progress
from foldnet.training.lengthen import lengthened
from foldnet.training.loading import training_batches
from foldnet.training.machine import UNCOMPILED, Compilation, Machine, choose_compilation, place, seeded
from foldnet.training.parallel import synchronise_norms
from foldnet.training.runs import Run, check_nothing_lost
from foldnet.zoo.shortest_paths import PathNetwork


def progressive_loss(
    model: nn.Module, task: Task, machine: Machine, weight: float
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """(1 - weight) times the loss of the whole network and `weight` times that of a part of it.

    Of `depth` steps the part starts after 0 to depth - 1, whose work is taken as given, and goes on for 1 step to all
    that are left; both numbers are drawn anew for every batch. Raises SettingError for a network without such steps.
    """
    network = model.network if isinstance(model, SharedNetwork) else model
    if not isinstance(network, PathNetwork):
        raise SettingError(
            f"`progressive={weight:g}` needs a network of steps, such as scnn-20-32-1; leave it out for others"
        )
    depth = len(network.body)

    def loss(outputs: Tensor, targets: Tensor, x: Tensor) -> Tensor:
        start = int(torch.randint(depth, ()))
        steps = int(torch.randint(1, depth - start + 1, ()))
        with machine.autocast():
            partial = model(x, start=start, steps=steps).float()
        return (1 - weight) * task.loss(outputs, targets) + weight * task.loss(partial, targets)

    return loss


FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Session:
    """What one training needs: a network on its machine, the optimiser of its parameters, what it sees, and from where
    to where."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    train: Batches
    validation: Batches | None
    machine: Machine
    course: Course
    compilation: Compilation = UNCOMPILED
    start: Progress = BEGINNING


def session_of(run: Run, dataset: Dataset, split: Split, machine: Machine, *, new: bool = False) -> tuple[Run, Session]:
    """The training of a run, from its last checkpoint where it has one; the run with its lengths as they are from then
    on.

    A `new` run has no folder yet.

    Raises RunError for a checkpoint that is lost, damaged or another run's, SettingError for what the machine does not
    hold.
    """
    settings = run.settings
    compilation = choose_compilation(settings.compile, machine)
    _check_memory(run, machine)
    with seeded(settings.seed, torch.device("cpu")):  # the process's own random state stays untouched
        model = run.network()
    start, last = BEGINNING, run.folder / "last"
    if not new:
        check_nothing_lost(run.folder)
        if (last / FILE).is_file():
            start = load_model(last, model)
            run.check_own("last")
        run = lengthened(run, start)
    if machine.device.type == "cuda":
        torch.cuda.set_device(
            machine.device
        )  # what asks for the current one, such as pinning threads, then means this one
    place(model, machine)
    if settings.sync_bn:
        model = synchronise_norms(model, machine)
    chosen = {"lr": settings.lr, "momentum": settings.momentum, "weight_decay": settings.weight_decay}
    optimiser = build_optimiser(model, kind=settings.optimiser, **chosen)
    if start != BEGINNING:
        load_optimiser(last, model, optimiser)
    batches = training_batches(dataset, split, run, machine)
    course = course_of(run, dataset.task, model, machine)
    return run, Session(model, optimiser, *batches, machine, course, compilation, start)


def course_of(run: Run, task: Task, model: nn.Module, machine: Machine) -> Course:
    """What the run says of the loop in which `model` is trained."""
    settings = run.settings
    loss = progressive_loss(model, task, machine, settings.progressive) if settings.progressive else None
    objective = Objective(settings.recurrence, settings.recurrence_form, task, loss)
    return Course(settings.epochs, settings.lr, settings.seed, settings.schedule, objective, lengthened=run.lengthened)


def _check_memory(run: Run, machine: Machine) -> None:
    """Raise SettingError for a network that the memory does not hold, before any of it is allocated."""
    with torch.device("meta"):
        numbers = sum(parameter.numel() for parameter in run.network().parameters())
    # Weights, gradients and momenta; a GPU's own memory says so itself.
    needed, (total, _) = numbers * FLOAT_BYTES * (3 if machine.device.type == "cpu" else 1), memory_bytes()
    if total is not None and needed > total:
        raise SettingError(
            f"`arch={run.settings.arch!r}` has {numbers:,} parameters, which take {needed / 2**30:,.0f} "
            "GiB in training, "
            f"and this machine has {total / 2**30:,.1f}; choose a smaller network"
        )
