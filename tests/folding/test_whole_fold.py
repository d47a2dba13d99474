"""Whole folds: planted ties of any kind are found, fold exactly, store no more than they must, and loop."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from looping import fold_forms

from foldnet.program.data import expand
from foldnet.zoo.blueprint import build


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from([16, 28, 40]), st.integers(0, 2**31))
def test_a_planted_tie_is_found_and_folds_exactly(data, depth, seed):
    count = (depth - 4) // 3 - 2
    templates = data.draw(st.integers(1, count))
    torch.manual_seed(seed)
    soft = build(f"swrn-{depth}-1-{templates}").eval()
    planted = {}
    for name, bank in soft.sources.items():
        # Rows are of distinct directions: axes, or with one template all the same.
        labels = data.draw(st.lists(st.integers(0, templates - 1), min_size=count, max_size=count))
        scales = data.draw(st.lists(st.floats(0.1, 10) | st.floats(-10, -0.1), min_size=count, max_size=count))
        basis = torch.linalg.qr(torch.randn(templates, templates))[0]
        planted[name] = labels
        with torch.no_grad():
            bank.coefficients.copy_(torch.tensor(scales)[:, None] * basis[labels])
    looped, tied, plan = fold_forms(soft, 0.999)
    for group in plan.groups:
        labels = planted[group.name]
        wanted = {tuple(i for i, label in enumerate(labels) if label == one) for one in labels}
        assert set(group.clusters) == wanted
        assert group.tie.errors.max() < 1e-6
        state = looped.state_dict()
        prefixes = (f"owners.{group.name}.owners.", f"owners.{group.name}.templates.")
        kept = [name for name in state if name.startswith(prefixes)]
        assert len(kept) == group.stored == min(len(wanted), templates)
    for stage in plan.program.stages:
        assert list(expand(stage.items)) == [block.label for block in stage.blocks]
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected, unrolled, looping = soft(x), tied(x), looped.eval()(x)
    assert (unrolled - expected).norm() <= 1e-4 * expected.norm()
    assert (looping - unrolled).norm() <= 1e-5 * unrolled.norm()
