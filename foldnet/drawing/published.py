"""Test errors that papers published, in per cent: what a figure may show as hollow marks beside one's own.

The sources: Tables 1 and 2 of Savarese & Maire 2019, https://arxiv.org/abs/1902.09701, which quote wide residual
networks from Zagoruyko & Komodakis 2016, DenseNet from Huang et al. 2017 and ResNeXt from Xie et al. 2017. Networks of
theirs with dropout are left out where the same network stands without.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One network: its name, its parameters, and its test error on each data set in per cent."""

    arch: str
    parameters: float
    errors: dict[str, float]


def _row(arch: str, millions: float, ten: float, hundred: float) -> Published:
    """One row of a table."""
    return Published(arch, 1e6 * millions, {"cifar10": ten, "cifar100": hundred})


PUBLISHED = (
    _row("wrn-28-10", 36.5, 4.0, 19.25),
    _row("swrn-28-10-6", 36.5, 3.74, 18.78),
    _row("swrn-28-10-2", 17.1, 3.75, 18.66),
    _row("swrn-28-10-1", 12.3, 4.01, 19.73),
    _row("swrn-28-14-2", 33.5, 3.69, 18.37),
    _row("swrn-28-18-2", 55.4, 3.43, 17.75),
    _row("densenet-100-24", 27.2, 3.74, 19.25),
    _row("densenetbc-190-40", 25.6, 3.46, 17.18),
    _row("resnext-29-16x64", 68.1, 3.58, 17.31),
)
