"""A network that is to learn: the optimiser of its parameters, what its steps minimise, the recurrence regulariser
among it, and if they are compiled."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from foldnet.bounds import checked
from foldnet.data.tasks import CLASSES, Task
from foldnet.errors import MissingTool, SettingError
from foldnet.options import check_choice
from foldnet.sharing.sequences import positions
from foldnet.sharing.share import SharedNetwork, banks_of
from foldnet.training.machine import Machine, seeded
from foldnet.training.settings import COMPILE

SECOND_BETA = 0.95  # of AdamW, as GPT-3 was trained; Adam's usual 0.999 remembers a thousand steps
MIXING = ("coefficients", "gains", "gain")  # what mixes or scales shared weights never decays


@dataclass(frozen=True, slots=True)
class Objective:
    """What the steps minimise: `loss` of (outputs, targets, inputs), by default the task's, less the weighted
    recurrence. In one process alone `run` stands for the network where its loss is all; `begin` hears before each epoch
    what share of them is over. Gradients are scaled down to a norm of `clip` where that is above 0; `settle` is called
    after each step."""

    recurrence: float = 0.0
    form: str = "mean"
    after: int = 0
    task: Task = CLASSES
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    run: Callable[[Tensor], Tensor] | None = None
    begin: Callable[[float], None] | None = None
    clip: float = 0.0
    settle: Callable[[], None] | None = None


@checked
def recurrence(model: nn.Module, form: str = "mean") -> Tensor:
    """The similarity of its layers that the regulariser (paper, section 3.2) rewards in a soft network, a scalar.

    `mean`: mean over groups of the mean |cos| over pairs of different layers. `sum`: the paper's raw sum over all
    ordered pairs i, j of every group, the diagonal included. `loops`: see `loop_shares`, their mean. `signed`: at each
    place the squared length of the mean of its unit rows, averaged over places, so that layers come to have one sign
    too, as those of a loop must that is to run longer. At the most alike, all but `sum` are 1.

    A layer that has no other at its place, as outside of all sequences, counts as alike there. Raises SettingError for
    a network without coefficients or an unknown form.
    """
    rows = {name: F.normalize(bank.coefficients.float(), dim=1) for name, bank in banks_of(model).items()}
    if not rows:
        raise SettingError("the network has no coefficients to become alike; share it first with `foldnet.share`")
    if form in ("loops", "signed") and isinstance(model, SharedNetwork):
        places = positions(model.network, model.plan)
        at_places = [rows[group][list(place)] for group in rows for place in places[group]]
        if form == "loops":
            return loop_shares(at_places).mean()
        return torch.stack([its.mean(0).square().sum() for its in at_places]).mean()
    if form not in ("mean", "sum"):
        raise SettingError(f"the form '{form}' of the regulariser is not legal; choose mean, sum, loops or signed")
    alike = [(unit @ unit.T).abs() for unit in rows.values()]
    if form == "sum":
        return torch.stack([every.sum() for every in alike]).sum()
    pairs = [(every.sum() - every.diagonal().sum()) / max(len(every) * (len(every) - 1), 1) for every in alike]
    return torch.stack(pairs).mean()


def loop_shares(places: list[Tensor]) -> Tensor:
    """For each place in a block, how far the n unit rows (n, K) of its layers have one direction: (places,), each 1/n
    to 1.

    It is the share of the largest eigenvalue, lambda_max(R R^t) / n. Unlike the mean of |cos| it is smooth where signs
    differ, so rows do not stick between two directions; at rows that are exactly the identity its gradient is 0, at any
    other orthogonal ones it is not. Places of one number of layers go through one call, since each waits for a GPU.
    """
    sizes = sorted({len(rows) for rows in places})
    shares: dict[int, Tensor] = {}
    for size in sizes:
        which = [index for index, rows in enumerate(places) if len(rows) == size]
        products = torch.stack([places[index] @ places[index].T for index in which])
        shares |= dict(zip(which, _largest_eigenvalues(products) / size, strict=True))
    return torch.stack([shares[index] for index in range(len(places))])


def _largest_eigenvalues(products: Tensor) -> Tensor:
    """Of symmetric matrices (m, n, n): (m,). Of what is not finite nan, so that a training that diverged says so."""
    try:
        largest: Tensor = torch.linalg.eigvalsh(products)[:, -1]
        return largest
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # LAPACK fails on nan
        return products.sum((1, 2)) * float("nan")


def build_optimiser(
    model: nn.Module, *, lr: float, momentum: float, weight_decay: float, kind: str = "sgd"
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, Adam ("adam") or AdamW ("adamw"; `momentum` is the first beta of both).

    Coefficients and gains never decay, with AdamW nothing but weights and templates does: no bias, norm or embedding.
    """
    spared = _spared(model) if kind == "adamw" else set()
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:  # fixed coefficients
            continue
        (free if name.rpartition(".")[2] in MIXING or parameter in spared else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if kind == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=(momentum, 0.999), fused=True)
    if kind == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=(momentum, SECOND_BETA), fused=True)
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=True)


def _spared(model: nn.Module) -> set[nn.Parameter]:
    """The parameters of embeddings and norms, and biases. In loops they are stacked by step: their shapes say
    nothing. Residuals decay wherever they stand, as owners do."""
    kinds = (nn.Embedding, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, _NormBase)
    held = (its for module in model.modules() if isinstance(module, kinds) for its in module.named_parameters())
    spared = {parameter for name, parameter in held if not name.endswith(("residual_left", "residual_right"))}
    return spared | {parameter for name, parameter in model.named_parameters() if name.rpartition(".")[2] == "bias"}


COMPILERS = ("c++", "g++", "clang++")  # one of these builds what inductor writes for a CPU
TRITON_NEEDS = (7, 0)  # compute capability for which Triton, inductor's other way, writes kernels
WARM_UPS = 3  # of CUDA graphs: the first run warms up, the second is recorded, the third is played
ASKED_FOR = "asked for"


@dataclass(frozen=True, slots=True)
class Compilation:
    """Whether training steps are compiled, in which of torch.compile's modes (None: not compiled), and why."""

    on: bool
    mode: str | None
    why: str


UNCOMPILED = Compilation(False, None, ASKED_FOR)


def choose_compilation(choice: str, machine: Machine) -> Compilation:
    """Resolve "auto", "on" or "off" for a machine.

    "auto" is on for CUDA: there, fused kernels and, in one process alone, CUDA graphs (mode "reduce-overhead") spare
    launches and trips to memory; several processes reduce gradients in between, which a graph would have to be cut for.
    On a CPU it is off: convolutions are nearly all of a step and compiling leaves them as they are. Raises SettingError
    for another word, MissingTool where "on" lacks a compiler.
    """
    check_choice("compile", choice, COMPILE)
    if choice == "off":
        return UNCOMPILED
    mode = "reduce-overhead" if machine.on_cuda and machine.world.alone else "default"
    lacking = _lacking(machine)
    if choice == "on":
        if lacking is not None:
            raise MissingTool(f"`compile='on'` needs {lacking}; install it or use `compile='off'`")
        return Compilation(True, mode, ASKED_FOR)
    if not machine.on_cuda:
        return Compilation(False, None, "on a CPU the convolutions are nearly all of a step, and they are not compiled")
    if lacking is not None:
        return Compilation(False, None, f"it needs {lacking}, which is not there")
    graphs = " and CUDA graphs" if mode == "reduce-overhead" else ""
    return Compilation(True, mode, f"fused kernels{graphs} spare launches and trips to memory")


def _lacking(machine: Machine) -> str | None:
    """What inductor needs and does not find."""
    if machine.on_cuda:
        able = find_spec("triton") is not None and torch.cuda.get_device_capability(machine.device) >= TRITON_NEEDS
        return None if able else f"Triton and a GPU of compute capability {TRITON_NEEDS[0]}.{TRITON_NEEDS[1]} or more"
    return None if any(map(shutil.which, COMPILERS)) else "a C++ compiler (g++ or clang++)"


@dataclass(frozen=True, slots=True)
class Learner:
    """A network on its machine, the optimiser of its parameters, what its steps minimise, and whether they are
    compiled."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    machine: Machine
    objective: Objective = Objective()
    compilation: Compilation = UNCOMPILED


class CompiledForward:
    """A network's forward pass for training batches of one size; any other batch, and evaluation, take the network
    itself.

    So nothing is ever compiled twice for an epoch's last batch. Parameters and buffers are the network's own.
    Shapes: as those of the network.
    """

    def __init__(self, network: nn.Module, compilation: Compilation, batch: int) -> None:
        """`batch` is the number of examples in a regular batch of this process; `network` may be
        DistributedDataParallel's."""
        self.network, self.batch = network, batch
        self._compiled: Callable[[Tensor], Tensor] | None = None
        if compilation.on:
            # Inductor's modes are exclusive; "default" is said as None in older versions, which every version takes.
            mode = None if compilation.mode == "default" else compilation.mode
            self._compiled = torch.compile(network, dynamic=False, mode=mode)

    def __call__(self, x: Tensor) -> Tensor:
        """x (b, c, h, w) -> the network's output."""
        if self._compiled is None or len(x) != self.batch or not self.network.training:
            out: Tensor = self.network(x)
            return out
        if x.device.type == "cuda":
            # The step before is over: its outputs may be written over.
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return self._compiled(x)

    def warm_up(self, x: Tensor, machine: Machine) -> float:
        """Compile, by forward and backward passes over a batch x (b, c, h, w), and return the seconds that it took.

        Nothing is left of them: buffers are put back, gradients taken away, random states kept.
        """
        if self._compiled is None:
            return 0.0
        start = time.perf_counter()
        kept = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        was_training = self.network.training
        self.network.train()
        with seeded(0, machine.device):
            for _ in range(WARM_UPS):
                with machine.autocast():
                    out = self(x)
                torch.autograd.backward(out.float().square().mean())
                self.network.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in self.network.named_buffers():
                buffer.copy_(kept[name])
        self.network.train(was_training)
        if machine.on_cuda:
            torch.cuda.synchronize(machine.device)
        return time.perf_counter() - start
