"""What is chosen of a transformer decoder, which of it is legal, and the recipe of its training.

Knows no torch until a network is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

# AdamW, warm-up and half a cosine as for GPT-3 (Brown et al., https://arxiv.org/abs/2005.14165, appendix B), at the
# rate and batch size of a network that is a thousand times smaller.
DECODER_PRESET: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 32,
    "optimiser": "adamw",
    "lr": 1e-3,
    "schedule": "cosine",
    "warmup": 0.05,
    "weight_decay": 0.1,
}


@dataclass(frozen=True, slots=True)
class DecoderOptions:
    """A transformer decoder: blocks, width, attention heads, bytes that it sees at once, and the dropout rate."""

    layers: int
    width: int
    heads: int
    size: int = 128
    dropout: float = 0.0


def decoder(options: DecoderOptions, channels: int, outputs: int) -> nn.Module:
    """A transformer decoder, whose inputs and answers are bytes."""
    from foldnet.zoo.gpt import Gpt

    return Gpt(options.layers, options.width, options.heads, options.size, options.dropout)


def decoder_illegal(options: DecoderOptions, soft: bool) -> str | None:
    """Heads share out the width, and one block shares with none."""
    if options.heads and options.width % options.heads:
        return f"has width {options.width}, which {options.heads} heads cannot share out evenly"
    return f"has layers {options.layers}; the least of a soft network is 2" if soft and options.layers < 2 else None
