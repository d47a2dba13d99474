"""From a name to a network."""

from torch import nn

from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.share import share
from foldnet.typed import checked
from foldnet.zoo.names import Architecture, parse_name
from foldnet.zoo.shortest_paths import PathNetwork
from foldnet.zoo.wrn import WideResNet


@checked
def build(name: str, *, classes: int = 10, channels: int | None = None, dropout: float = 0.0) -> nn.Module:
    """A freshly initialised network: build("wrn-28-10") is plain, build("swrn-28-10-4") is soft.

    Shapes: the network maps x (n, channels, h, w) to logits (n, classes), one that answers for cells to (n, h, w), whatever
    `classes` and `dropout` are. `channels` is 3 where it is not given, 2 for cells. Under torch.device("meta") nothing is
    allocated. Raises UnknownName for an illegal name.
    """
    architecture = parse_name(name)
    network = _plain(architecture, classes, channels, dropout)
    if architecture.templates is None:
        return network
    return share(network, plan_sharing(network, architecture.templates))


def _plain(architecture: Architecture, classes: int, channels: int | None, dropout: float) -> nn.Module:
    """The network that shares nothing."""
    depth, width = architecture.depth, architecture.width
    if architecture.answers_for == "cells":
        return PathNetwork(depth, width, channels or 2, recall=architecture.recall)
    return WideResNet(depth, width, classes, channels or 3, dropout)
