"""Which tied layer hurts: the validation loss that goes when one layer alone gets its own weight back."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from foldnet.folding.groups import GroupAlgebra
from foldnet.folding.plan import FoldPlan, GroupFold


def added_loss_shares(
    plan: FoldPlan, algebra: tuple[GroupAlgebra, ...], loss: Callable[[FoldPlan], float]
) -> Mapping[str, float]:
    """Each tied layer's share of the validation loss that tying added, 0..1 and 1 in sum (all 0 where none takes any
    away).

    `loss` recalibrates a fold and gives its validation loss in nats: the part of layer l is the loss of the whole fold
    less that of the fold with l restored, never below 0. Layers that are alone are left out.
    """
    whole = loss(plan)
    parts = {}
    by_name = {entry.group.name: entry for entry in algebra}
    for index, group in enumerate(plan.groups):
        for cluster in group.clusters:
            for row in cluster if len(cluster) > 1 else ():
                groups = (*plan.groups[:index], restored(group, row, by_name[group.name]), *plan.groups[index + 1 :])
                parts[group.layers[row]] = max(0.0, whole - loss(replace(plan, groups=groups)))
    total = sum(parts.values())
    return {layer: part / total if total > 0 else 0.0 for layer, part in parts.items()}


def restored(group: GroupFold, row: int, algebra: GroupAlgebra) -> GroupFold:
    """The same fold of a group, in which one layer uses a weight of its own; the others keep their owner and gains."""
    tie = group.tie
    clusters = [tuple(member for member in cluster if member != row) for cluster in group.clusters]
    owners = np.vstack([tie.owners, algebra.coefficients[row]])
    gains, assignment, errors = tie.gains.copy(), tie.assignment.copy(), tie.errors.copy()
    gains[row], assignment[row], errors[row] = 1.0, len(tie.owners), 0.0
    changed = replace(tie, owners=owners, gains=gains, assignment=assignment, errors=errors)
    return replace(group, clusters=(*(cluster for cluster in clusters if cluster), (row,)), tie=changed)
