"""Batches that change as training goes on: a curriculum."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from foldnet.data.batches import Batches
from foldnet.data.tasks import Lengthened, Task, length_at


def phase_of(epoch: int, epochs: int, phases: int, lengthened: Lengthened = ()) -> int:
    """Which phase, from 0, an epoch belongs to: the epochs are shared out evenly and in order; later ones are of the
    last."""
    return min(epoch * phases // length_at(epoch, epochs, lengthened), phases - 1)


def first_epochs(epochs: int, phases: int, lengthened: Lengthened = ()) -> tuple[int, ...]:
    """The epochs, from 0, with which phases begin; a training that was lengthened may go back to one."""
    found = [phase_of(epoch, epochs, phases, lengthened) for epoch in range(epochs)]
    return tuple(epoch for epoch in range(epochs) if epoch == 0 or found[epoch] != found[epoch - 1])


class Phased:
    """Batches of a phase for each part of a training of `epochs`. Outside one they are those of the last phase."""

    def __init__(self, phases: Sequence[Batches], epochs: int, lengthened: Lengthened = ()) -> None:
        self.phases, self.epochs, self.lengthened = tuple(phases), epochs, lengthened

    @property
    def images(self) -> int:
        """How many examples an epoch of the last phase has."""
        return self.phases[-1].images

    @property
    def task(self) -> Task:
        """How outputs are judged, in every phase."""
        return self.phases[-1].task

    def __len__(self) -> int:
        return len(self.phases[-1])

    def sizes(self) -> list[int]:
        """How many examples each batch of the last phase has."""
        return self.phases[-1].sizes()

    def of_epoch(self, number: int) -> Batches:
        """The batches of that epoch's phase."""
        return self.phases[phase_of(number, self.epochs, len(self.phases), self.lengthened)]

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Those of the last phase, shuffled by (seed, number)."""
        return self.phases[-1].epoch(number, start)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Those of the last phase."""
        return self.phases[-1].in_order()
