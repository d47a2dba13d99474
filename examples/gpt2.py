"""A decoder as GPT-2's, as a user's own file: its blocks stand in a list, each is handed the masks that it keeps itself.

    foldnet plan examples/gpt2.py:make --templates 2

prints who would share: the four matrices of the blocks, each at its place. Its input are whole numbers, so that it trains on no images;
docs/any.md says what of it loops.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Causal attention of several heads."""

    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.register_buffer("mask", torch.ones(context, context).tril().bool()[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (n, length, width) to the same."""
        count, length, width = x.shape
        query, key, value = (
            part.view(count, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.c_attn(x).split(width, dim=2)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(~self.mask[:, :, :length, :length], -torch.inf)
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(count, length, width)
        return self.c_proj(mixed)


class Mlp(nn.Module):
    """Two layers, the first four times as wide."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (n, length, width) to the same."""
        return self.dropout(self.c_proj(functional.gelu(self.c_fc(x), approximate="tanh")))


class Block(nn.Module):
    """Attention and two layers, each behind a norm and added to what came in."""

    def __init__(self, width: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, context)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (n, length, width) to the same."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Decoder(nn.Module):
    """Embeddings, a list of blocks, a norm, and the embeddings once more as output layer."""

    def __init__(self, symbols: int, layers: int, width: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        self.wte = nn.Embedding(symbols, width)
        self.wpe = nn.Embedding(context, width)
        self.h = nn.ModuleList(Block(width, heads, context, dropout) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, symbols, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Shapes: (n, length) whole numbers to (n, length, symbols)."""
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


def make(
    num_classes: int = 256, layers: int = 6, width: int = 64, heads: int = 4, context: int = 64, dropout: float = 0.1
) -> nn.Module:
    """`num_classes` symbols."""
    return Decoder(num_classes, layers, width, heads, context, dropout)
