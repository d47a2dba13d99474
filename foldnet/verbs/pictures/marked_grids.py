"""Grids, their true paths, and what a network marks on them."""

from dataclasses import asdict
from pathlib import Path

import torch

from foldnet.data.curriculum import lengths_of
from foldnet.drawing.figures import write_figure
from foldnet.drawing.grids import GridPicture, grids_figure
from foldnet.folding.opening import open_network
from foldnet.training.by_length import other_grids
from foldnet.training.loading import loader_of
from foldnet.training.machine import choose_machine
from foldnet.training.other_grids import GridsLike, OtherGrids


@torch.no_grad()
def write(
    folder: Path, file: Path, *, examples: int, grids: GridsLike | None, run: Path | str | None, device: str
) -> None:
    """Draw `examples` grids that a run or fold was not trained on; `run` names the run of a fold that does not lie
    inside it.

    Raises SettingError for a run of another kind, RunError, OutputError.
    """
    model, origin, form = open_network(folder, named=run)
    wanted = asdict(grids or GridsLike()) | {"count": examples}
    dataset, said = other_grids(origin, OtherGrids(**wanted))
    machine = choose_machine(device, "fp32")
    model.to(machine.device)
    ((x, y),) = loader_of(dataset, dataset.test, examples, machine).in_order()
    outputs = model(x).float()
    task = dataset.task
    scores = [task.score(counts, 1) for counts in task.counts_of_each(outputs, y).tolist()]
    pictures = [
        GridPicture(
            maps[1].bool().numpy(),
            wanted.numpy(),
            maps[0].nonzero().numpy(),
            marked.numpy(),
            f"{length} step{'s' if length > 1 else ''}, {task.measure} {score:.2f}",
        )
        for maps, wanted, marked, length, score in zip(
            x.cpu(), y.cpu(), task.predict(outputs).cpu(), lengths_of(dataset.test), scores, strict=True
        )
    ]
    write_figure(grids_figure(pictures, f"{origin.settings.arch}, {form}: {said}"), file)
