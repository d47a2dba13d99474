"""The folded network as a networkx graph of layers: owners once, and the flow that passes through them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import networkx as nx

from foldnet.drawing.passes import Edge, walk_passes
from foldnet.program.data import Block, Program, Stage, Use, count_loops, letters
from foldnet.program.text import owner_text, stage_text

# Layers that stand on a shortcut, beside the flow, under the names that residual networks give them.
SIDE_POSITIONS = {"shortcut", "downsample", "projection"}


@dataclass(frozen=True, slots=True)
class Visit:
    """One layer of the unrolled network, and the node of the graph that stands for it."""

    node: str
    kind: str  # input | private | owner | output
    name: str  # a private layer's name inside its stage, an owner's letters
    section: int  # 0 before the stages, then 1, 2, ... for each of them, and one more after them
    stage: str = ""
    block: str = ""
    layer: str = ""
    position: str = ""


def program_graph(
    program: Program, *, gains: Mapping[str, float] | None = None, residual: bool = False
) -> nx.MultiDiGraph:
    """The network of `program`, with a node for each private layer and for each owner.

    Nodes carry `kind` (input, private, owner, output), `stage`, `name`, `label`, `layers` (those that use the
    node), `uses` (how many those are) and, where `gains` (by layer) are given, `gains` in the order of
    `layers`.

    Edges of the flow have the key "flow" and carry `kind`, `order` (the steps that take them, counted from 1
    over the whole network; step n leads to the n-th layer), `passes` (those that take them, counted anew in each
    stage), `pass` (the first of them) and `color` (its index), `stage`, `back` (it jumps back) and `dashed` (it
    jumps back in a stage where no block loops).

    With `residual`, edges with the key "residual" lead from what enters a block to the block's last layer,
    through the layer on its shortcut if it has one; without, layers on shortcuts are left out.
    """
    graph = nx.MultiDiGraph(stages={stage.name: stage_text(stage) for stage in program.stages})
    visits = list(_visits(program))
    shortcuts = list(_shortcuts(program, visits)) if residual else []
    for node, same in _by_node([*visits, *(side for *_, side in shortcuts if side)]).items():
        graph.add_node(node, **_node_attributes(same, gains or {}))
    _add_flow(graph, program, visits)
    for source, target, step, side in shortcuts:
        _add_residual(graph, [source.node, *([side.node] if side else []), target.node], step, target.stage)
    return graph


def _visits(program: Program) -> Iterator[Visit]:
    """Every layer in the order in which the flow runs through it, from the input to the output."""
    taken = {*program.before, *program.after}
    yield Visit(_free("input", taken), "input", "input", 0)
    for layer in program.before:
        yield Visit(layer, "private", layer, 0, layer=layer)
    for section, stage in enumerate(program.stages, start=1):
        for block in stage.blocks:
            for use in _main_uses(block):
                yield _visit(section, stage, block, use)
    last = len(program.stages) + 1
    for layer in program.after:
        yield Visit(layer, "private", layer, last, layer=layer)
    yield Visit(_free("output", taken), "output", "output", last)


def _visit(section: int, stage: Stage, block: Block, use: Use) -> Visit:
    """A layer of a stage: itself, or the owner that it uses."""
    if use.group is None or use.owner is None:
        node, kind, name = use.layer, "private", use.layer.removeprefix(f"{stage.name}.")
    else:
        node, kind, name = f"{use.group}.{letters(use.owner)}", "owner", owner_text(stage, use)
    return Visit(node, kind, name, section, stage.name, block.name, use.layer, use.position)


def _shortcuts(program: Program, visits: list[Visit]) -> Iterator[tuple[Visit, Visit, int, Visit | None]]:
    """For each block: what enters it, its last layer, the step that leads there, and the layer on its shortcut."""
    blocks = {block.name: (n, stage, block) for n, stage in enumerate(program.stages, 1) for block in stage.blocks}
    step = 0
    for name, group in groupby(visits, key=lambda visit: visit.block):
        inside = list(group)
        if name:
            section, stage, block = blocks[name]
            main = _main_uses(block)
            side = [_visit(section, stage, block, use) for use in block.uses if use not in main]
            yield visits[step - 1], inside[-1], step + len(inside) - 1, side[0] if side else None
        step += len(inside)


def _main_uses(block: Block) -> list[Use]:
    """The layers that the flow runs through one after the other."""
    main = [use for use in block.uses if not SIDE_POSITIONS & set(use.position.split("."))]
    return main or list(block.uses)


def _by_node(visits: Iterable[Visit]) -> dict[str, list[Visit]]:
    """The visits to each node, nodes in the order of the first."""
    nodes: dict[str, list[Visit]] = {}
    for visit in visits:
        nodes.setdefault(visit.node, []).append(visit)
    return nodes


def _node_attributes(visits: list[Visit], gains: Mapping[str, float]) -> dict[str, Any]:
    """What a node carries; lists and scalars only, so that it can be written as JSON."""
    first = visits[0]
    layers = [visit.layer for visit in visits if visit.layer]
    attributes = {
        "kind": first.kind,
        "stage": first.stage,
        "name": first.name,
        "label": first.name if first.kind != "owner" else _users(visits),
        "layers": layers,
        "uses": len(layers),
    }
    if any(layer in gains for layer in layers):
        attributes["gains"] = [float(gains.get(layer, 1.0)) for layer in layers]
    return attributes


def _users(visits: list[Visit]) -> str:
    """The layers that use an owner, in few words, a line a position: conv1 of blocks 1-3, 5; or its only layer."""
    inside = f"{visits[0].stage}."  # blocks of another stage keep their whole names
    if len(visits) == 1:
        return visits[0].layer.removeprefix(inside)
    lines = []
    for position in dict.fromkeys(visit.position for visit in visits):
        blocks = [visit.block.removeprefix(inside) for visit in visits if visit.position == position]
        of = f"{'block' if len(blocks) == 1 else 'blocks'} {_ranges(blocks)}"
        lines.append(f"{position} of {of}" if position else of)
    return "\n".join(lines)


def _ranges(names: list[str]) -> str:
    """1, 2, 3, 5 -> "1-3, 5"; names that are no numbers stay as they are."""
    runs: list[list[str]] = []
    for name in names:
        if runs and name.isdecimal() and runs[-1][-1].isdecimal() and int(name) == int(runs[-1][-1]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(", ".join(run) if len(run) < 3 else f"{run[0]}-{run[-1]}" for run in runs)


def _add_flow(graph: nx.MultiDiGraph, program: Program, visits: list[Visit]) -> None:
    """The edges of the flow. A section's walk ends at the node after it, which its last pass leads to."""
    loops = [False, *(count_loops(stage.items) > 0 for stage in program.stages), False]
    step = 0
    for section, group in groupby(visits, key=lambda visit: visit.section):
        inside = list(group)
        walk = visits[step : step + len(inside) + 1]
        for edge in walk_passes([visit.node for visit in walk]):
            _add_flow_edge(graph, edge, inside[0].stage, step, loops[section])
        step += len(inside)


def _add_flow_edge(graph: nx.MultiDiGraph, edge: Edge, stage: str, before: int, loops: bool) -> None:
    """Add an edge whose steps come after `before` others; one that an earlier stage has taken keeps its colour."""
    order = [before + step for step in edge.order]
    if graph.has_edge(edge.source, edge.target, "flow"):
        graph.edges[edge.source, edge.target, "flow"]["order"] += order
        return
    graph.add_edge(
        edge.source,
        edge.target,
        "flow",
        kind="flow",
        order=order,
        passes=list(edge.passes),
        **{"pass": edge.passes[0]},
        color=edge.passes[0] - 1,
        stage=stage,
        back=edge.back,
        dashed=edge.back and not loops,
    )


def _add_residual(graph: nx.MultiDiGraph, path: list[str], step: int, stage: str) -> None:
    """The way around a block; `step` is the step of the flow that it meets."""
    for source, target in pairwise(path):
        if graph.has_edge(source, target, "residual"):
            graph.edges[source, target, "residual"]["order"].append(step)
        else:
            graph.add_edge(source, target, "residual", kind="residual", order=[step], stage=stage)


def _free(name: str, taken: set[str]) -> str:
    """`name`, with as many primes as it takes to differ from a layer's."""
    while name in taken:
        name += "'"
    return name
