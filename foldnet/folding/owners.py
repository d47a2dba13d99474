"""What a folded group stores: one weight an owner, or fewer templates that give them; and how layers use them."""

import torch
from torch import Tensor, nn

from foldnet.folding.tie import Tie
from foldnet.sharing.bank import Bank, mix


class Owners(nn.Module):
    """The weights that the clusters of one group keep.

    Holds M owners, or K templates and coefficients (M, K) where K < M, so min(M, K) weights (O, I, *kernel), each a
    tensor of its own.
    """

    def __init__(self, owners: int, templates: int | None, shape: tuple[int, ...]) -> None:
        """Empty weights of `shape`; `templates` is None where the owners themselves are kept."""
        super().__init__()
        kept = owners if templates is None else templates
        stored = nn.ParameterList(torch.empty(shape) for _ in range(kept))
        self.owners = stored if templates is None else None
        self.templates = None if templates is None else stored
        self.coefficients = None if templates is None else nn.Parameter(torch.empty(owners, templates))

    def owner_weights(self) -> tuple[Tensor, ...]:
        """The M owners, (O, I, *kernel) each. They exist once; where templates are kept they are mixed here."""
        if self.owners is not None:
            return tuple(self.owners)
        assert self.templates is not None
        assert self.coefficients is not None
        stacked = torch.stack(list(self.templates)).movedim(2, -1)  # input channels last, as in a bank
        return mix(self.coefficients, stacked).unbind(0)


class TiedLayers(nn.Module):
    """Layers that use owners by signed gains: W_i = g_i C_a(i)."""

    def __init__(self, owners: Owners, assignment: tuple[int, ...]) -> None:
        super().__init__()
        self.stored = owners
        self.assignment = assignment
        self.gains = nn.Parameter(torch.ones(len(assignment)))

    def layer_weights(self) -> tuple[Tensor, ...]:
        """A weight (O, I, *kernel) for each of the L layers."""
        owners = self.stored.owner_weights()
        return tuple(gain * owners[owner] for gain, owner in zip(self.gains.unbind(0), self.assignment, strict=True))


def tie_bank(bank: Bank, tie: Tie) -> TiedLayers:
    """The tied form of a bank's layers; what it stores is the cheaper of owners and templates."""
    templates, shape = bank.templates.detach().movedim(-1, 2), bank.templates.movedim(-1, 2).shape[1:]
    count = len(tie.owners)
    rows = torch.as_tensor(tie.owners, dtype=torch.float64, device=templates.device)
    by_templates = templates.shape[0] < count
    stored = Owners(count, templates.shape[0] if by_templates else None, tuple(shape)).to(templates)
    with torch.no_grad():
        if stored.templates is not None and stored.coefficients is not None:
            stored.coefficients.copy_(rows)
            for kept, template in zip(stored.templates, templates, strict=True):
                kept.copy_(template)
        elif stored.owners is not None:
            # One owner at a time in float64: exact ties stay exact, and no second copy of the group is made.
            for kept, row in zip(stored.owners, rows, strict=True):
                kept.copy_(sum_in_double(row, templates))
        tied = TiedLayers(stored, tuple(int(owner) for owner in tie.assignment)).to(templates)
        tied.gains.copy_(torch.as_tensor(tie.gains, dtype=torch.float64))
    return tied


def sum_in_double(row: Tensor, templates: Tensor) -> Tensor:
    """sum_j row_j T_j in float64: row (K,), templates (K, O, I, *kernel) -> (O, I, *kernel)."""
    total = torch.zeros_like(templates[0], dtype=torch.float64)
    for weight, template in zip(row, templates, strict=True):
        total += weight * template
    return total
