"""The recurrence regulariser (paper, section 3.2): reward layers of a group for having parallel coefficients."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foldnet.errors import SettingError
from foldnet.sharing.plan import positions
from foldnet.sharing.share import Bank, SharedNetwork
from foldnet.typed import checked


def banks_of(model: nn.Module) -> dict[str, Bank]:
    """The banks of a soft network by group, in the order of the plan; empty for any other network."""
    sources = getattr(model, "sources", {})
    return {name: source for name, source in sources.items() if isinstance(source, Bank)}


@checked
def recurrence(model: nn.Module, form: str = "mean") -> Tensor:
    """The similarity of its layers that the regulariser rewards in a soft network, a scalar.

    `mean`: mean over groups of the mean |cos| over pairs of different layers. `sum`: the paper's raw sum over all
    ordered pairs i, j of every group, the diagonal included. `loops`: see `loop_shares`, their mean. At the most alike,
    `mean` and `loops` are 1.

    Raises SettingError for a network without coefficients or an unknown form, NothingToFold where `loops` meets a
    shared layer outside the sequences of blocks.
    """
    rows = {name: F.normalize(bank.coefficients.float(), dim=1) for name, bank in banks_of(model).items()}
    if not rows:
        raise SettingError("the network has no coefficients to become alike; share it first with `foldnet.share`")
    if form == "loops" and isinstance(model, SharedNetwork):
        places = positions(model.network, model.plan)
        return loop_shares([rows[group][list(place)] for group in rows for place in places[group]]).mean()
    if form not in ("mean", "sum"):
        raise SettingError(f"the form '{form}' of the regulariser is not legal; choose mean, sum or loops")
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
        shares |= dict(zip(which, torch.linalg.eigvalsh(products)[:, -1] / size, strict=True))
    return torch.stack([shares[index] for index in range(len(places))])
