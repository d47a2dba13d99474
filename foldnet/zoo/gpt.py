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
DIGITS = (ord("0"), ord("9"))
PLACES = 32  # of a number's digits have embeddings of their own
LONGEST = 64.0  # what the wave lengths of these rise to, in places by 2 pi
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


class DigitPlaces(nn.Module):
    """Embeddings of the places that digits have in their numbers, 1, 2, ..., and of 0 for all other bytes: Abacus
    (McLeish et al., https://arxiv.org/abs/2405.17399). Nothing says where in the text a number stands.

    In training a number that is drawn for each text is added to its places, so that longer numbers than any in it find
    places that were trained; what is beyond the last place shares that one. Two things are not as in the paper. Signs
    move with the digits, as in Cho et al., https://arxiv.org/abs/2405.20671: what follows "=" is then one place on, as
    after any digit. And at first the embeddings are not drawn but the sines of Vaswani et al.,
    https://arxiv.org/abs/1706.03762, of which one place on is a rotation: a block of width 64, looped twice, adds 3
    digits without error after 1,400 steps; with drawn ones it had learnt nothing of 4 digits, looped four times.

    Shapes: x (n, length) int64, bytes -> (n, length, width).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(PLACES + 1, width)

    def forward(self, x: Tensor) -> Tensor:
        places = digit_places(x)
        if self.training:
            room = (PLACES + 1 - places.amax(1, keepdim=True)).clamp_min(1)
            places = places + (torch.rand(len(x), 1, device=x.device) * room).long()
        found: Tensor = self.embeddings(places.clamp_max(PLACES))
        return found

    def start(self) -> None:
        """Give the embeddings the numbers that they have before they are trained, at the scale of the others."""
        weight = self.embeddings.weight
        waves = torch.arange(weight.shape[1], device=weight.device) // 2 / (weight.shape[1] / 2)
        angles = torch.arange(PLACES + 1, device=weight.device)[:, None] * LONGEST**-waves
        weight[:, 0::2], weight[:, 1::2] = angles[:, 0::2].sin(), angles[:, 1::2].cos()
        weight.mul_(STD * math.sqrt(2))


def digit_places(x: Tensor) -> Tensor:
    """The place that each byte has in its number, 1, 2, ..., or 0 where it is no digit: (n, length) int64 -> the
    same."""
    digit = (x >= DIGITS[0]) & (x <= DIGITS[1])
    number = (~digit).long().cumsum(1)  # the same for the digits of one
    together = (number[:, :, None] == number[:, None, :]) & digit[:, None, :]
    return together.tril().sum(2) * digit


class Gpt(nn.Module):
    """gpt-LAYERS-WIDTH-HEADS: embeddings of bytes and of their places, `layers` blocks, a layer norm, and as output
    layer the embeddings of bytes once more. With `abacus` places are those of digits in their numbers.

    Shapes: x (n, length) int64, bytes -> logits (n, length, 256) of the byte that follows each; one depends on what
    stands before alone. Raises ShapeMismatch for a length of more than `context` where there is no `abacus`.
    """

    only_calls_layers = True
    starts_at_scale = True  # of the weights below, also where templates take their place
    sequences = ("blocks",)

    def __init__(
        self, layers: int, width: int, heads: int, context: int, dropout: float, *, abacus: bool = False
    ) -> None:
        super().__init__()
        self.context = context
        self.bytes = nn.Embedding(SYMBOLS, width)
        self.places = DigitPlaces(width) if abacus else nn.Embedding(context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(GptBlock(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self._initialise(layers)

    def forward(self, x: Tensor) -> Tensor:
        state = self.norm(self.blocks(self.dropout(self.bytes(x) + self._placed(x))))
        return F.linear(state, self.bytes.weight)

    def _placed(self, x: Tensor) -> Tensor:
        """The embeddings of the places of x (n, length): (length, width), or (n, length, width) with `abacus`."""
        if isinstance(self.places, DigitPlaces):
            return self.places(x)  # type: ignore[no-any-return]
        length = x.shape[1]
        if length > self.context:
            raise ShapeMismatch(f"{length} bytes are more than the {self.context} that the network sees; give fewer")
        placed: Tensor = self.places(torch.arange(length, device=x.device))
        return placed

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
        if isinstance(self.places, DigitPlaces) and not self.bytes.weight.is_meta:
            self.places.start()
