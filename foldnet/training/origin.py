"""What the network of a training is taken from that is there already: a plan's groups, a fold's hard sharing, a run's
weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from foldnet.errors import SettingError, in_order
from foldnet.store.artifact import RUN

if TYPE_CHECKING:
    from foldnet.sharing.chosen import ChosenGroup
    from foldnet.training.runs import Run

NETWORK = ("arch", "templates", "group_by", "arch_option")  # settings that say which network it is


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a network comes from: the `keyword` of `foldnet.train` that names it and its `value`, and `what` that is,
    such as "a fold". It has the `settings` of what is not given otherwise, the `ties` and `groups` of a blueprint,
    `weights` by name where a network does not begin with new ones, and the `facts` that config.json keeps of these.
    """

    keyword: str
    value: str
    what: str
    settings: Mapping[str, Any]
    ties: tuple[tuple[str, tuple[int, ...]], ...] = ()
    groups: tuple[ChosenGroup, ...] = ()
    weights: Mapping[str, Tensor] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def settings_with(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the training, `chosen` ones before its own; on other data its own say which network it is, and
        nothing else. Raises SettingError for another network than its own."""
        own = dict(self.settings)
        if "arch" not in chosen and "arch" not in own:  # a plan of a network in memory
            raise SettingError(f"`{self.keyword}` names no architecture; give `arch` beside it")
        for name in NETWORK:
            unsaid = chosen.get(name) if name == "arch" else None
            if name in chosen and chosen[name] != own.get(name, unsaid):
                raise SettingError(
                    f"`{name}={chosen[name]!r}` contradicts `{self.keyword}`, which names {self.what} of "
                    f"{own.get('arch', 'another network')}; leave `{name}` out"
                )
        if "dataset" in chosen and chosen["dataset"] != own.get("dataset"):
            own = {name: value for name, value in own.items() if name in NETWORK}  # the rest suits its own data
        if not self.ties:
            return own | dict(chosen)
        if chosen.get("recurrence"):
            raise SettingError(
                f"`recurrence={chosen['recurrence']:g}` has no meaning with `{self.keyword}`: what shares hard has no "
                "coefficients to become alike; leave it out"
            )
        return own | dict(chosen) | {"recurrence": 0.0, "recurrence_form": "mean", "recurrence_after": 0}

    def fill(self, model: nn.Module, arch: str) -> None:
        """Give a network of the training its first weights. Raises SettingError where they do not fit it."""
        if self.weights is not None:
            check_fit(model.state_dict(), self.weights, f"`{self.keyword}={self.value!r}`", arch)
            model.load_state_dict(self.weights)

    def check_resumed(self, run: Run) -> None:
        """Raise SettingError where a run that goes on began otherwise."""
        built, kept = run.blueprint, {name: RUN.config(run.folder).get(name) for name in self.facts}
        if (self.ties, self.groups) != (built.ties, built.groups):
            how = "shares otherwise"
        elif self.facts != kept:
            how = "did not begin with its weights"
        else:
            return
        raise SettingError(
            f"`{self.keyword}` contradicts run '{run.folder}', which {how}; leave it out, or start another run"
        )


def check_fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], said: str, arch: str) -> None:
    """Raise SettingError for the first tensor that does not fit, in the network's order and then that of what was
    found, which is `said` to be somewhere."""
    for name, tensor in wanted.items():
        if name not in found:
            raise SettingError(
                f"{said} does not fit {arch}: tensor '{name}' of shape {_shape(tensor)} is missing there"
            )
        if _shape(found[name]) != _shape(tensor):
            raise SettingError(
                f"{said} does not fit {arch}: tensor '{name}' has shape {_shape(found[name])} there and "
                f"{_shape(tensor)} in the network"
            )
    for name in in_order(found.keys() - wanted.keys()):
        raise SettingError(
            f"{said} does not fit {arch}: it holds a tensor '{name}' of shape {_shape(found[name])}, which the network "
            "has not"
        )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """A tensor's shape, to be written."""
    return tuple(tensor.shape)
