"""foldnet train: its options are the fields of TrainSettings and of the sources."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from foldnet.data.sources import SOURCES
from foldnet.options import fields_of
from foldnet.training.settings import TrainSettings, usual, written
from foldnet_cli.options import DataDir, ForceTwice, keyword, parameters_of, values_of, with_parameters
from foldnet_cli.page import tell

Recall = Annotated[
    bool, typer.Option("--recall", help="Feed the input to every step of a cnn or scnn: its -recall form.")
]
Gpus = Annotated[
    int | None,
    typer.Option(help="Train on so many GPUs of this machine, one process each.  [default: one process]"),
]
Download = Annotated[bool, typer.Option("--download", help="Fetch CIFAR into --data-dir if it is not there.")]
Config = Annotated[Path | None, typer.Option(help="TOML file with any of these settings; options win.")]
CheckpointEvery = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="Least time between checkpoints at the ends of epochs; epochs of over five minutes make some within.",
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Write the epochs' numbers into the run folder for TensorBoard too.")
]
Out = Annotated[Path | None, typer.Option(help="Run folder to make.  [default: a new one under --home]")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with --out, or with the newest run; with more --epochs than it has, by the schedule of the "
        "longer run.",
    ),
]


def train(
    *,
    recall: Recall = False,
    gpus: Gpus = None,
    data_dir: DataDir = None,
    download: Download = False,
    config: Config = None,
    checkpoint_every: CheckpointEvery = 30.0,
    tensorboard: TensorBoard = False,
    out: Out = None,
    resume: Resume = False,
    force: ForceTwice = 0,
    **settings: Any,
) -> Any:
    """Train a network and keep everything about it in a run folder.

    Without options: SWRN 28-2-4 on the digits inside scikit-learn, half a minute on a laptop. CIFAR gets the paper's
    recipe, and so do shortest paths (`--dataset paths`), which are drawn as they are needed, phase by phase.
    """
    from foldnet_cli.launch import check_gpus, launch

    if gpus is not None:
        check_gpus(gpus, settings["device"])
        settings["device"] = "cuda"
        if gpus > 1:
            return launch(gpus)
    for source in SOURCES.values():
        settings |= values_of(source, settings)
    settings["data_dir"] = None if data_dir is None else str(data_dir)
    return _train(
        out=out,
        resume=resume,
        force=force,
        download=download,
        config=config,
        checkpoint_every=checkpoint_every,
        tensorboard=tensorboard,
        recall=recall,
        **settings,
    )


def train_command() -> Any:
    """`train` with an option for each setting that there is when the command line is made."""
    *names, last = SOURCES
    info = typer.Option(help=f"{', '.join(names)} or {last}.  [default: digits]", autocompletion=lambda: list(SOURCES))
    dataset = keyword("dataset", None, Annotated[str | None, info])
    own: dict[str, inspect.Parameter] = {}
    for source in SOURCES.values():
        defaults = {name: written(field.default) for name, field in fields_of(source).items()}
        own |= parameters_of(source, usual=defaults.__getitem__)
    settings = parameters_of(TrainSettings, usual=usual, leave=own)
    return with_parameters(train, [dataset, *settings.values(), *own.values()])


def _train(**options: Any) -> Any:
    """Train in this process, be it alone or one of several. Only the first of them has something to show."""
    from foldnet.verbs.train import train as recipe
    from foldnet_cli.launch import in_world, one_of_several, rank
    from foldnet_cli.progress import watching

    first = not in_world() or rank() == 0
    if first and options["resume"] and options["out"] is None:
        options["out"] = _run_to_resume()
    if not in_world():
        with watching(saves=True) as observer:
            return recipe(observer=observer, **options)
    with watching(saves=True, quiet=not first) as observer, one_of_several() as world:
        report = recipe(observer=observer, world=world, **options)
    return report if world.writes else None


def _run_to_resume() -> Path | None:
    """The newest run, where there is one to go on with, which is said."""
    from foldnet.training.begin import folder_to_resume

    run = folder_to_resume(None)
    if run is not None:
        tell(f"takes {run}, the newest run")
    return run
