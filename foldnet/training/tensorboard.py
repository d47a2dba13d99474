"""An observer that writes each epoch's numbers for TensorBoard as well (extra `tensorboard`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foldnet.errors import MissingTool
from foldnet.store.artifact import BOARD
from foldnet.store.files import refuse_link
from foldnet.training.observer import Observer, Passing

FOLDER = BOARD


class Board(Passing):
    """Passes on what it is told, and writes the metrics of epochs."""

    def __init__(self, observer: Observer) -> None:
        """Raises MissingTool where TensorBoard is not installed."""
        super().__init__(observer)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingTool(
                "`tensorboard=True` needs the package tensorboard; install it with `pip install 'foldnet[tensorboard]'`"
            ) from None
        self.kind = SummaryWriter
        self.writer: Any = None

    def open(self, run: Path, epoch: int) -> None:
        """Write into a run's folder; what was written of epochs after `epoch` counts no more. Raises OutputError for a
        link."""
        refuse_link(run / FOLDER)
        self.writer = self.kind(str(run / FOLDER), purge_step=epoch + 1)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Write every number of the epoch, those of groups under the group's name."""
        for name, value in metrics.items():
            numbers = value if isinstance(value, dict) else {"": value}
            for part, number in numbers.items():
                if isinstance(number, int | float) and name != "epoch":
                    self.writer.add_scalar(f"{name}/{part}".rstrip("/"), number, metrics["epoch"])
        self.writer.flush()
        super().epoch(metrics)
