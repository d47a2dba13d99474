"""What `foldnet train` takes a network from: the plan, fold or run that it is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foldnet.bounds import shown
from foldnet.errors import SettingError
from foldnet.sharing.chosen import ChosenGroup
from foldnet.show.report import Report
from foldnet.store.codec import from_plain, parse_json, read_text, reading, to_plain
from foldnet.training.origin import Origin
from foldnet.training.runs import open_run
from foldnet.training.settings import flat

CHECKPOINT = "last"
ELSEWHERE = ("data_dir", "device")  # settings that say where a run was trained


def origin_of(**given: Any) -> Origin:
    """The origin that one of the keywords `like`, `plan` and `from_run` names. Raises SettingError where several do,
    and for a file that is no plan, RunError for what is no fold or run."""
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) > 1:
        raise SettingError(f"{' and '.join(f'`{name}`' for name in named)} contradict each other; give one of them")
    ((keyword, value),) = named.items()
    return {"like": _of_fold, "plan": _of_plan, "from_run": _of_run}[keyword](value)


def _of_fold(named: Path | str) -> Origin:
    """The hard sharing of a fold, with the settings of the run that it lies in. Raises RunError."""
    from foldnet.folding.opening import ties_of_fold

    settings, ties, groups = ties_of_fold(named)
    return Origin("like", str(named), "a fold", settings, ties=ties, groups=groups)


def _of_run(named: Path | str) -> Origin:
    """The weights of a run, and its settings. Raises RunError."""
    run = open_run(Path(named))
    network, progress = run.load(CHECKPOINT)
    settings = {name: value for name, value in flat(run.settings).items() if name not in ELSEWHERE}
    facts = {"run": run.folder.resolve().name, "checkpoint": CHECKPOINT, "epoch": progress.epoch}
    facts |= {"sha256": run.digest(CHECKPOINT)}
    built, weights = run.blueprint, network.state_dict()
    return Origin("from_run", str(named), "a run", settings, built.ties, built.groups, weights, {"from": facts})


def _of_plan(plan: Path | str | Report) -> Origin:
    """The groups of a plan, and the network that it is of. Raises SettingError where there is none in the file."""
    if isinstance(plan, Report):
        named, content = "the plan", to_plain(plan)
    else:
        named = f"plan '{plan}'"
        with reading(f"`plan={str(plan)!r}`", "JSON"):
            content = parse_json(read_text(Path(plan), links=True))
    groups = _groups_in(content, named)
    most = max(group.templates for group in groups)
    arch, options, templates = (content.get(name) for name in ("arch", "arch_option", "templates"))
    for name, value, kind in (("arch", arch, str), ("arch_option", options, Mapping), ("templates", templates, int)):
        if not isinstance(value, kind | None):
            raise SettingError(f"{named} has no legal '{name}', {shown(repr(value))}; write it with `foldnet plan`")
    if templates is not None and templates < most:
        raise SettingError(
            f"{named} says templates {templates}, and a group of it has {most}; change the templates of its groups"
        )
    network = {name: value for name, value in (("arch", arch), ("arch_option", options)) if value}
    return Origin("plan", str(plan), "a plan", network | {"templates": most}, groups=groups)


def _groups_in(content: Any, named: str) -> tuple[ChosenGroup, ...]:
    """The groups in a plan, of which only names, layers and templates are chosen. Raises SettingError."""
    try:
        chosen = [{name: group[name] for name in ("name", "layers", "templates")} for group in content["groups"]]
        groups = from_plain(tuple[ChosenGroup, ...], chosen)
    except (TypeError, KeyError, ValueError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise SettingError(
            f"{named} has no groups with 'name', 'layers' and 'templates' ({missing}); write it with `foldnet plan` "
            "and --json"
        ) from None
    if not groups:
        raise SettingError(f"{named} has no group, so nothing would share; leave `plan` out")
    for group in groups:
        group.check()
    return groups
