"""Whether two networks in memory compute the same."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from foldnet.errors import SettingError
from foldnet.folding.calling import batches_of, count_of, inputs_of, run_on
from foldnet.folding.looped import LoopedNetwork
from foldnet.proof.certificate import Certificate, check_comparison
from foldnet.proof.compare import LIMIT, Comparison, Gauge
from foldnet.training.machine import choose_machine

NAME = "network in memory"


def verify_in_memory(network: nn.Module, against: nn.Module | None, inputs: Iterable[Any] | None) -> Certificate:
    """Run `network` and `against`, which must compute the same, on every batch of `inputs`, in evaluation mode and as
    they are otherwise.

    Of a looped network the certificate speaks as of looped to tied, of any other as of dense to soft. Raises
    SettingError where one of the two is missing, there is no batch, or a network cannot be run on one.
    """
    start = time.perf_counter()
    if against is None or inputs is None:
        missing = "against" if against is None else "inputs"
        raise SettingError(
            f"a network in memory is compared with another one, and `{missing}` is not given; "
            f"call `foldnet.verify(looped, against=tied, inputs=batches)`"
        )
    pair = "looped" if isinstance(network, LoopedNetwork) else "dense"
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    with choose_machine(str(device), "fp32").exact_fp32(), torch.no_grad():
        comparison = _compare(copy.deepcopy(network).eval(), copy.deepcopy(against).eval(), inputs, pair)
    return Certificate(
        fold=NAME,
        run="",
        device=str(device),
        files={},
        checkpoint_sha256=None,
        promises=check_comparison(comparison).promises,
        inputs=(comparison,),
        seconds=time.perf_counter() - start,
    )


def _compare(network: nn.Module, against: nn.Module, inputs: Iterable[Any], pair: str) -> Comparison:
    """What both give, batch by batch. A prediction is the largest of the numbers along the second dimension of an
    output."""
    gauge, count, predictions, alike = Gauge(), 0, 0, 0
    for batch in batches_of(inputs):
        positional, keywords = inputs_of(batch)
        if not count_of((positional, keywords)):
            continue
        ours, theirs = (_outputs(model, positional, keywords) for model in (network, against))
        if [value.shape for value in ours] != [value.shape for value in theirs]:
            shapes = " and ".join(str([tuple(value.shape) for value in values]) for values in (ours, theirs))
            raise SettingError(f"the two networks give outputs of the shapes {shapes}; compare networks of one kind")
        if not ours:
            raise SettingError("the two networks give no tensor; compare networks that do")
        for value, reference in zip(ours, theirs, strict=True):
            gauge.add(value, reference)
            if value.ndim > 1:
                predictions += value[:, :1].numel()
                alike += int((value.argmax(1) == reference.argmax(1)).sum())
        count += count_of((positional, keywords))
    if not count:
        raise SettingError(
            "there is no batch to compare on; give `inputs` an iterable of x or (x, y) that is not used up"
        )
    difference = gauge.difference()
    # Within the limit two forms may differ in a prediction that only rounding decides.
    broken = 0 if difference.relative <= LIMIT else predictions - alike
    dense, looped = (None, difference) if pair == "looped" else (difference, None)
    agreement, undecided = alike / predictions if predictions else 1.0, predictions - alike - broken
    return Comparison("given", count, agreement, undecided, None, dense, looped, broken)


def _outputs(model: nn.Module, positional: tuple[Any, ...], keywords: dict[str, Any]) -> list[Tensor]:
    """The tensors that a network gives for a batch of its own, in fp32."""
    inputs = copy.deepcopy((positional, keywords))  # a network may write into them
    with run_on(*inputs):
        return [leaf.float() for leaf in tree_leaves(model(*inputs[0], **inputs[1])) if isinstance(leaf, Tensor)]
