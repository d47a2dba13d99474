"""Who mixes what, the paper's Figure 1: layers, templates, and coefficients as weighted edges."""

from pathlib import Path

from foldnet.drawing.dot import write_dot
from foldnet.drawing.sharing import SharedGroup, sharing_dot
from foldnet.errors import NothingToFold
from foldnet.sharing.share import SharedNetwork
from foldnet.training.recurrence import banks_of
from foldnet.training.runs import open_run


def write(folder: Path, file: Path, *, checkpoint: str) -> None:
    """Draw a soft run. Raises RunError, NothingToFold for a plain run, OutputError, MissingTool."""
    run = open_run(folder)
    model, _ = run.load(checkpoint)
    if not isinstance(model, SharedNetwork):
        raise NothingToFold(
            f"run '{run.folder}' is plain, so nothing is shared; train a soft network such as swrn-28-2-4"
        )
    groups = [
        SharedGroup(group.name, group.layers, bank.coefficients.detach().double().numpy())
        for group, bank in zip(model.plan.groups, banks_of(model).values(), strict=True)
    ]
    write_dot(sharing_dot(groups, run.settings.arch), file)
