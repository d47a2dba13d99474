"""Families of networks: what is chosen of one, how it is written in a name, and how it is made. A new one is a line in
FAMILIES.

Knows no torch until a network is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from foldnet.zoo.family import Family as Family
from foldnet.zoo.family import Outside, OutsideOptions, UserFile

if TYPE_CHECKING:
    from torch import nn

NORMS = ("batch", "group", "rms", "none")
COEFFICIENTS = ("learnt", "fixed")
MOST = 999  # of a number that is no depth
DEEPEST = 1000  # layers: making more modules than that takes longer than a user waits


@dataclass(frozen=True, slots=True)
class WideOptions:
    """A wide residual network: layers, widening factor, and the dropout rate between the two convolutions of a
    block."""

    depth: int
    width: int
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class DenseOptions:
    """A densely connected network: layers, channels that each adds, and the dropout rate behind convolutions."""

    depth: int
    growth: int
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class AggregatedOptions:
    """A network of aggregated transformations: layers, paths through a block, and channels of each in the first
    stage."""

    depth: int
    cardinality: int
    width: int


@dataclass(frozen=True, slots=True)
class StepOptions:
    """A network of steps: how many, channels, whether every step sees the input again, the norm behind its convolution,
    and what of its change it adds."""

    depth: int
    width: int
    recall: bool = False
    norm: str = "batch"
    step_scale: float = 0.0


@dataclass(frozen=True, slots=True)
class DecoderOptions:
    """A transformer decoder: blocks, width, attention heads, bytes that it sees at once, the dropout rate, and whether
    places are those of digits in their numbers, so that it sees any number of bytes."""

    layers: int
    width: int
    heads: int
    size: int = 128
    dropout: float = 0.0
    abacus: bool = False


def _wide(options: WideOptions, channels: int, outputs: int) -> nn.Module:
    """A wide residual network."""
    from foldnet.zoo.wrn import WideResNet

    return WideResNet(options.depth, options.width, outputs, channels, options.dropout)


def _dense(options: DenseOptions, channels: int, outputs: int, *, bottleneck: bool) -> nn.Module:
    """A densely connected network."""
    from foldnet.zoo.densenet import DenseNet

    return DenseNet(options.depth, options.growth, outputs, channels, options.dropout, bottleneck=bottleneck)


def _aggregated(options: AggregatedOptions, channels: int, outputs: int) -> nn.Module:
    """A network of aggregated transformations."""
    from foldnet.zoo.resnext import ResNeXt

    return ResNeXt(options.depth, options.cardinality, options.width, outputs, channels)


def _steps(options: StepOptions, channels: int, outputs: int, *, dims: int) -> nn.Module:
    """A network that answers for cells or places, however many classes there are."""
    from foldnet.zoo.steps import StepNetwork

    chosen: dict[str, Any] = {"recall": options.recall, "norm": options.norm, "step_scale": options.step_scale}
    return StepNetwork(options.depth, options.width, channels, dims=dims, **chosen)


def _decoder(options: DecoderOptions, channels: int, outputs: int) -> nn.Module:
    """A transformer decoder, whose inputs and answers are bytes."""
    from foldnet.zoo.gpt import Gpt

    shape = options.layers, options.width, options.heads, options.size
    return Gpt(*shape, options.dropout, abacus=options.abacus)


def _theirs(options: OutsideOptions, channels: int, outputs: int) -> nn.Module:
    """A network that others wrote."""
    from foldnet.zoo.external import make_network

    return make_network(options, channels, outputs)


def _not_known(options: OutsideOptions) -> int:
    """How many layers of a group share is seen when the network is made."""
    return 0


def _whole_blocks(options: Any, soft: bool, *, least: int, step: int, soft_least: int) -> str | None:
    """Stages have whole blocks, each a `step` of depth, and enough of them where their layers share."""
    first = soft_least if soft else least
    if options.depth < first or (options.depth - least) % step:
        return f"has depth {options.depth}; legal depths are {first}, {first + step}, {first + 2 * step}, ..."
    return None


def _dense_illegal(options: DenseOptions, soft: bool) -> str | None:
    """Nothing shares where no two layers have one shape."""
    if soft:
        return (
            "has no two layers of one shape that could share, since each layer of a dense block sees more channels "
            "than the one before; take densenetbc, whose 3x3 convolutions behind bottlenecks share"
        )
    return _whole_blocks(options, soft, least=7, step=3, soft_least=7)


def _steps_illegal(options: StepOptions, soft: bool) -> str | None:
    """One step shares with none."""
    least = 2 if soft else 1
    return f"has depth {options.depth}; the least is {least}" if options.depth < least else None


def _decoder_illegal(options: DecoderOptions, soft: bool) -> str | None:
    """Heads share out the width, and one block shares with none."""
    if options.heads and options.width % options.heads:
        return f"has width {options.width}, which {options.heads} heads cannot share out evenly"
    return f"has layers {options.layers}; the least of a soft network is 2" if soft and options.layers < 2 else None


# Huang et al., https://arxiv.org/abs/1608.06993, section 4.2, and for resnext Xie et al.,
# https://arxiv.org/abs/1611.05431, appendix A: both for CIFAR.
DENSE_PRESET = {"epochs": 300, "batch_size": 64, "lr": 0.1, "schedule": "tenths", "weight_decay": 1e-4}

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
THEIRS: dict[str, Any] = {"options": OutsideOptions, "make": _theirs, "layers": _not_known, "trains_with": ("cutout",)}

LOSSES = ("progressive", "progressive_reach", "mixed_starts", "deep_supervision", "fixed_point")
STEPPING = (*LOSSES, "norm", "step_scale", "spectral_norm")

FAMILIES: dict[str, Family] = {
    "wrn": Family(
        "wrn",
        WideOptions,
        _wide,
        layers=lambda options: (options.depth - 4) // 3 - 2,  # convolutions of a stage: all but the first block's
        illegal=partial(_whole_blocks, least=10, step=6, soft_least=16),
        trains_with=("dropout", "cutout"),
        published=(
            *("swrn-28-2-4", "swrn-28-2-1", "swrn-28-4-2", "swrn-28-4-4", "swrn-28-10-1", "swrn-28-10-2"),
            *("swrn-28-10-4", "swrn-28-10", "swrn-28-10-6", "swrn-28-14-2", "swrn-28-18-2", "swrn-40-8-8"),
            *("swrn-40-1-8", "swrn-28-1-4", "wrn-16-8", "wrn-28-2", "wrn-28-4", "wrn-28-10", "wrn-40-4", "wrn-40-8"),
        ),
    ),
    "densenet": Family(
        "densenet",
        DenseOptions,
        partial(_dense, bottleneck=False),
        layers=lambda options: 0,
        illegal=_dense_illegal,
        trains_with=("dropout", "cutout"),
        preset=DENSE_PRESET,
        published=("densenet-40-12", "densenet-100-12", "densenet-100-24"),
        soft_as="densenetbc",
    ),
    "densenetbc": Family(
        "densenetbc",
        DenseOptions,
        partial(_dense, bottleneck=True),
        layers=lambda options: (options.depth - 4) // 6,  # the second convolutions of a block
        illegal=partial(_whole_blocks, least=10, step=6, soft_least=16),
        trains_with=("dropout", "cutout"),
        preset=DENSE_PRESET,
        published=("densenetbc-100-12", "densenetbc-250-24", "densenetbc-190-40", "sdensenetbc-100-12-4"),
    ),
    "resnext": Family(
        "resnext",
        AggregatedOptions,
        _aggregated,
        layers=lambda options: (options.depth - 2) // 9 - 1,  # of each of a block's convolutions, the first's left out
        illegal=partial(_whole_blocks, least=11, step=9, soft_least=29),
        trains_with=("cutout",),
        preset={"epochs": 300, "batch_size": 128, "lr": 0.1, "schedule": "tenths", "weight_decay": 5e-4},
        published=("resnext-29-8x64", "resnext-29-16x64", "sresnext-29-8x64-1"),
        times="width",
    ),
    "timm": Outside("timm", **THEIRS),
    "torchvision": Outside("torchvision", **THEIRS),
    "file": UserFile("file", **THEIRS),
    "cnn": Family(
        "cnn",
        StepOptions,
        partial(_steps, dims=2),
        layers=lambda options: int(options.depth),
        illegal=_steps_illegal,
        task="cells",
        of="cells of grids",
        channels=2,
        trains_with=STEPPING,
        published=("cnn-20-32", "scnn-20-32-20", "scnn-20-32-1"),
    ),
    "cnn1d": Family(
        "cnn1d",
        StepOptions,
        partial(_steps, dims=1),
        layers=lambda options: int(options.depth),
        illegal=_steps_illegal,
        task="bits",
        of="bits of strings",
        channels=1,
        dims=1,
        trains_with=STEPPING,
        published=("cnn1d-20-32", "scnn1d-20-32-20", "scnn1d-20-32-1"),
    ),
    "gpt": Family(
        "gpt",
        DecoderOptions,
        _decoder,
        layers=lambda options: int(options.layers),
        illegal=_decoder_illegal,
        task="bytes",
        also=("sums",),
        of="bytes of text",
        channels=1,
        size=128,
        symbols=256,
        trains_with=("dropout",),
        preset=DECODER_PRESET,
        published=("gpt-8-128-4", "sgpt-8-128-4-4", "sgpt-8-128-4-2", "sgpt-2-64-4-1-abacus"),
    ),
}


def legal_names() -> str:
    """What names look like, by what their networks answer for."""
    forms: dict[str, list[str]] = {}
    for family in FAMILIES.values():
        forms.setdefault(family.of, []).append(family.form)
    return "; ".join(f"{', '.join(some)} for {of}" for of, some in forms.items())


def published() -> tuple[str, ...]:
    """Names from papers' tables and figures, offered where a name is not legal."""
    return tuple(name for family in FAMILIES.values() for name in family.published)


def family_of(arch: str) -> tuple[Family | None, bool]:
    """The family that a name begins with, None where it is not known, and whether it is a soft one's."""
    for family in FAMILIES.values():
        if (soft := family.begins(arch)) is not None:
            return family, soft
    return None, False


def is_soft(arch: str) -> bool:
    """Whether a name is that of a network whose layers share templates."""
    family, soft = family_of(arch)
    return soft and family is not None
