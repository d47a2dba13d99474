"""The recurrence regulariser (paper, section 3.2): reward layers of a group for having parallel coefficients."""

import torch
from torch import Tensor, nn

from foldnet.sharing.bank import Bank


def banks_of(model: nn.Module) -> dict[str, Bank]:
    """The banks of a soft network by group, in the order of the plan; empty for any other network."""
    sources = getattr(model, "sources", {})
    return {name: source for name, source in sources.items() if isinstance(source, Bank)}


def recurrence(model: nn.Module, form: str) -> Tensor:
    """The similarity that the regulariser rewards, a scalar.

    `mean`: mean over groups of the mean |cos| over pairs of different layers. `sum`: the paper's raw sum over all ordered
    pairs i, j of every group, the diagonal included.
    """
    terms = []
    for bank in banks_of(model).values():
        rows = torch.nn.functional.normalize(bank.coefficients.float(), dim=1)
        similarity = (rows @ rows.T).abs()
        layers = len(rows)
        off_diagonal = similarity.sum() - similarity.diagonal().sum()
        terms.append(similarity.sum() if form == "sum" else off_diagonal / max(layers * (layers - 1), 1))
    stacked = torch.stack(terms)
    return stacked.sum() if form == "sum" else stacked.mean()
