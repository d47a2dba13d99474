"""Blueprints in a config.json: what is kept of a network, and the network again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from foldnet.bounds import check_number, shown
from foldnet.store.codec import from_plain, to_plain
from foldnet.zoo.blueprint import Blueprint, blueprint


def shape_of(built: Blueprint) -> dict[str, Any]:
    """What a network was built for and by whom, as config.json has it."""
    ties = {"ties": {group: list(owners) for group, owners in built.ties}} if built.ties else {}
    made = dict(built.family.record(built.options, built.structure))
    made |= {"groups": to_plain(built.groups)} if built.groups else {}
    made |= {"task": built.asked} if built.asked else {}
    return {"classes": built.classes, "channels": built.channels, "size": built.size} | made | ties


def blueprint_in(network: Mapping[str, Any], arch: str, **named: Any) -> Blueprint:
    """The blueprint in a config.json; `named` are keywords of `blueprint`. Raises SettingError and UnknownName for what
    no network has, KeyError where it is missing, ValueError for what is of another kind."""
    for name, bound in (("classes", "classes"), ("channels", "channels"), ("size", "side")):
        check_number(bound, network[name], field=f"'{name}'")
    shape = {name: network[name] for name in ("classes", "channels", "size")}
    ties = from_plain(dict[str, tuple[int, ...]], network.get("ties", {}))
    built = replace(blueprint(arch, **shape, network=network, **named), ties=tuple(ties.items()))
    if "task" in network:
        if network["task"] not in built.family.also:
            raise ValueError(f"'task' is {shown(network['task'])!r}, which '{arch}' does not answer for")
        built = replace(built, asked=network["task"])
    if "groups" not in network:
        return built
    from foldnet.sharing.chosen import ChosenGroup

    return replace(built, groups=from_plain(tuple[ChosenGroup, ...], network["groups"]))
