"""From a name to a network."""

from torch import nn

from foldnet.typed import checked
from foldnet.zoo.blueprint import blueprint


@checked
def build(name: str, *, classes: int = 10, channels: int | None = None, dropout: float = 0.0) -> nn.Module:
    """A freshly initialised network: build("wrn-28-10") is plain, build("swrn-28-10-4") is soft.

    Shapes: the network maps x (n, channels, h, w) to logits (n, classes), one that answers for cells to (n, h, w),
    whatever `classes` and `dropout` are. `channels` is 3 where it is not given, 2 for cells. Under torch.device("meta")
    nothing is allocated. Raises UnknownName for an illegal name.
    """
    return blueprint(name, classes=classes, channels=channels, dropout=dropout).build()
