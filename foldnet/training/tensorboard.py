"""The numbers of a training's epochs for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foldnet.errors import MissingTool
from foldnet.store.artifact import BOARD
from foldnet.store.files import refuse_link


def writer_kind() -> Any:
    """TensorBoard's writer, a class. Raises MissingTool where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingTool(
            "`tensorboard=True` needs the package tensorboard; install it with `pip install 'foldnet[tensorboard]'`"
        ) from None
    return SummaryWriter


class Board:
    """Writes the metrics of epochs into a run's folder."""

    def __init__(self, run: Path, epoch: int) -> None:
        """What was written of epochs after `epoch` counts no more. Raises OutputError for a link, MissingTool."""
        refuse_link(run / BOARD)
        self.writer = writer_kind()(str(run / BOARD), purge_step=epoch + 1)

    def epoch(self, metrics: Mapping[str, Any]) -> None:
        """Write every number of the epoch, those of groups under the group's name."""
        for name, value in metrics.items():
            for part, number in (value if isinstance(value, dict) else {"": value}).items():
                if isinstance(number, int | float) and name != "epoch":
                    self.writer.add_scalar(f"{name}/{part}".rstrip("/"), number, metrics["epoch"])
        self.writer.flush()
