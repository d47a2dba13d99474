"""Transformer decoders of bytes (Radford et al. 2019, GPT-2,
https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf), pre-norm.

Layers are named as a reader counts them: blocks.0.qkv, blocks.0.out, blocks.0.up, blocks.0.down, blocks.1.qkv, ...
Queries, keys and values come from one layer: each of a block's four layers then has a shape of its own, so that a group
is one place of all blocks and its templates serve that place alone.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foldnet.errors import ShapeMismatch

SYMBOLS = 256  # values of a byte
STD = 0.02  # of weights and embeddings, GPT-2's
WIDER = 4  # times the width between a block's last two layers


class GptBlock(nn.Module):
    """Causal self-attention and two layers around a GELU, each behind a layer norm and added to what came in.

    Shapes: x (n, length, width) -> the same.
    """

    only_calls_layers = True  # of the forward below: see folding/owners.py

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, WIDER * width)
        self.down = nn.Linear(WIDER * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        # (n, length, 3 width) -> three of (n, heads, length, width / heads)
        q, k, v = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        dropped = self.dropout.p if self.training else 0.0
        seen = F.scaled_dot_product_attention(q, k, v, dropout_p=dropped, is_causal=True)
        x = x + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        changed: Tensor = x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))
        return changed


class Gpt(nn.Module):
    """gpt-LAYERS-WIDTH-HEADS: embeddings of bytes and of their places, `layers` blocks, a layer norm, and as output
    layer the embeddings of bytes once more.

    Shapes: x (n, length) int64, bytes -> logits (n, length, 256) of the byte that follows each; one depends on what
    stands before alone. Raises ShapeMismatch for a length of more than `context`.
    """

    only_calls_layers = True
    starts_at_scale = True  # of the weights below, also where templates take their place
    sequences = ("blocks",)

    def __init__(self, layers: int, width: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        self.context = context
        self.bytes = nn.Embedding(SYMBOLS, width)
        self.places = nn.Embedding(context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(GptBlock(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self._initialise(layers)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length > self.context:
            raise ShapeMismatch(f"{length} bytes are more than the {self.context} that the network sees; give fewer")
        places = self.places(torch.arange(length, device=x.device))
        state = self.norm(self.blocks(self.dropout(self.bytes(x) + places)))
        return F.linear(state, self.bytes.weight)

    @torch.no_grad()
    def _initialise(self, layers: int) -> None:
        """GPT-2's start: normal weights, biases at zero; layers that feed the residual sum smaller, so that it does not
        grow with the `layers`."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding) and not module.weight.is_meta:
                ends = name.endswith((".out", ".down"))
                module.weight.normal_(std=STD / math.sqrt(2 * layers) if ends else STD)
                if isinstance(module, nn.Linear):
                    module.bias.zero_()
