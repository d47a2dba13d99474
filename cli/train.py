"""foldnet train: its options are the fields of TrainSettings and of the sources. Several processes are launch.py's."""

import inspect
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from foldnet.data.sources import SOURCES
from foldnet.errors import RunError, SettingError, either
from foldnet.options import fields_of, written
from foldnet.store.codec import parse_json
from foldnet.training.settings import TrainSettings
from foldnet.zoo.families import FAMILIES
from foldnet_cli.guard import watching
from foldnet_cli.options import FORCE_TWICE, keyword, parameters_of, shared, switch, takes, values_of

EVERY = "Least time between checkpoints at the ends of epochs; epochs of over five minutes make some within."
RESUME = "Go on with --out, or with the newest run; with more --epochs than it has, by the schedule of the longer run."
LIKE = "Train the network of this fold from the start, with its hard sharing: a control."
PLAN = "What `foldnet plan --json` wrote, edited or not: its groups share, in its architecture."
FROM = "Begin with the weights of this run, and with its settings where others are not given."
OPTION = "Option of a timm/, torchvision/ or FILE.py: network, repeatable; VALUE is JSON, or a text as it stands."
ARCH_OPTION = keyword("arch_option", list[str], metavar="KEY=VALUE", help=OPTION, show_default=False)
OWN = (
    ARCH_OPTION,
    switch("recall", "Feed the input to every step of a cnn or scnn: its -recall form."),
    keyword("like", Path, metavar="FOLD", help=LIKE),
    keyword("plan", Path, metavar="FILE", help=PLAN),
    keyword("from_run", Path, None, "--from", metavar="RUN", help=FROM, show_default=False),
    keyword("gpus", int, help="Train on so many GPUs of this machine, one process each.  [default: one process]"),
    *shared("data_dir"),
    switch("download", "Fetch CIFAR into --data-dir if it is not there."),
    keyword("config", Path, help="TOML file with any of these settings; options win."),
    keyword("checkpoint_every", float, 30.0, metavar="SECONDS", help=EVERY),
    switch("tensorboard", "Write the epochs' numbers into the run folder for TensorBoard too."),
    keyword("out", Path, help="Run folder to make.  [default: a new one under --home]"),
    switch("resume", RESUME),
    FORCE_TWICE,
)


def parameters() -> Iterator[inspect.Parameter]:
    """An option for each setting that there is when the command line is made, and those of this command."""
    said = f"{either(SOURCES)}.  [default: digits]"
    yield keyword("dataset", str, help=said, autocompletion=lambda: list(SOURCES))
    own: dict[str, inspect.Parameter] = {}
    for source in SOURCES.values():
        own |= parameters_of(source, usual=usual_of_sources)
    yield from (*parameters_of(TrainSettings, usual=usual, leave=own).values(), *own.values(), *OWN)


def usual(name: str) -> str:
    """The default of a setting in words, with those of families and sources that differ: "200; resnext 300; digits 30;
    paths 250"."""
    default = fields_of(TrainSettings)[name].default
    differing: dict[str, list[str]] = {}
    for family in FAMILIES.values():
        if (chosen := family.preset.get(name, default)) != default:
            differing.setdefault(written(chosen), []).append(family.name)
    for source in SOURCES.values():
        chosen = source.arch if name == "arch" else source.preset.get(name, default)
        if chosen != default:
            differing.setdefault(written(chosen), []).append(source.name)
        elif name in source.soft_preset:
            differing.setdefault(written(source.soft_preset[name]), []).append(f"{source.name} with soft networks")
    return "; ".join([written(default), *(f"{either(names, 'and')} {value}" for value, names in differing.items())])


def usual_of_sources(name: str) -> str:
    """The default of a setting of sources in words, with those of sources that differ from the first that has it:
    "5000; prefix-sums 10000"."""
    kinds = [kind for kind in SOURCES.values() if name in fields_of(kind)]
    found = {kind.name: written(fields_of(kind)[name].default) or "none" for kind in kinds}
    usual = next(iter(found.values()))
    return "; ".join([usual, *(f"{source} {value}" for source, value in found.items() if value != usual)])


@takes(parameters)
def train(gpus: int | None, data_dir: Path | None, **given: Any) -> Any:
    """Train a network and keep everything about it in a run folder.

    Without options: SWRN 28-2-4 on the digits inside scikit-learn, half a minute on a laptop. CIFAR gets the paper's
    recipe, and so do shortest paths (`--dataset paths`), which are drawn as they are needed, phase by phase.
    """
    if gpus is not None:
        from foldnet_cli.launch import check_gpus, launch

        check_gpus(gpus, given["device"])
        given["device"] = "cuda"
        if gpus > 1:
            return launch(gpus)
    from foldnet.verbs.train import train as recipe

    for source in SOURCES.values():
        given |= values_of(source, given)
    given["arch_option"] = parse_arch_options(given["arch_option"] or []) or None
    given["data_dir"] = None if data_dir is None else str(data_dir)
    number = None
    if "RANK" in os.environ:  # torchrun may have started this process
        from foldnet_cli.launch import one_of_several, rank

        number = rank()
    if not number and given["resume"] and given["out"] is None:
        from foldnet_cli.outputs import taken

        with suppress(RunError):  # there is none to go on with
            given["out"] = taken(None)
    if number is None:
        with watching(saves=True) as observer:
            return recipe(observer=observer, **given)
    with watching(saves=True, quiet=number > 0) as observer, one_of_several() as world:
        report = recipe(observer=observer, world=world, **given)
    return report if world.writes else None  # only the first of several has something to show


def parse_arch_options(given: Iterable[str]) -> dict[str, Any]:
    """["layers=[1,1,1,1]", "act_layer=relu"] -> {"layers": [1, 1, 1, 1], "act_layer": "relu"}. Raises SettingError."""
    found: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingError(f"--arch-option '{text}' is not KEY=VALUE; write drop_path_rate=0.1")
        if key in found:
            raise SettingError(f"--arch-option {key} is given twice; leave one of them out")
        try:
            found[key] = parse_json(value)
        except ValueError:
            found[key] = value
    return found
