"""From a name to a network."""

from torch import nn

from foldnet.sharing.plan import plan_sharing
from foldnet.sharing.share import share
from foldnet.zoo.names import parse_name
from foldnet.zoo.wrn import WideResNet


def build(name: str, *, classes: int = 10, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """A freshly initialised network: build("wrn-28-10") is plain, build("swrn-28-10-4") is soft.

    Shapes: the network maps x (n, channels, h, w) to logits (n, classes). Under torch.device("meta") nothing is allocated.
    Raises UnknownName for an illegal name.
    """
    architecture = parse_name(name)
    network = WideResNet(architecture.depth, architecture.width, classes, channels, dropout)
    if architecture.templates is None:
        return network
    return share(network, plan_sharing(network, architecture.templates))
