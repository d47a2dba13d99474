"""Ending an evaluation where the observer wants the end, in every process alike."""

from foldnet.training.observer import Observer, Passing, Stopped
from foldnet.training.world import NOTHING, STOP, Agreement


class Interruptible(Passing):
    """Passes on what happens in an evaluation, and raises Stopped where the end is wanted."""

    def __init__(self, observer: Observer, agreement: Agreement) -> None:
        super().__init__(observer)
        self.agreement = agreement

    def advance(self, steps: int = 1) -> None:
        """Passed on. Raises Stopped."""
        super().advance(steps)
        if self.agreement.after_step(STOP if self.wants_stop() else NOTHING) == STOP:
            raise Stopped
