"""The folded network as a networkx graph of layers: owners once, and the flow that passes through them. The graphs of
single stages know the colours of their owners and passes too."""

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, pairwise
from typing import Any

import networkx as nx

from foldnet.drawing.colors import ALONE_BOX, OWNER_COLORS, PLAIN, PRIVATE_BOX, distinct
from foldnet.program.data import Program, Stage, letters
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
    layer: str = ""
    stage: str = ""
    block: str = ""
    position: str = ""
    beside: bool = False  # whether the layer stands on its block's shortcut


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
    flow = [visit for visit in visits if not visit.beside]
    shortcuts = list(_shortcuts(visits)) if residual else []
    nodes: dict[str, list[Visit]] = {}
    for visit in [*flow, *(side for *_, side in shortcuts if side)]:
        nodes.setdefault(visit.node, []).append(visit)
    for node, same in nodes.items():
        graph.add_node(node, **_node_attributes(same, gains or {}))
    _add_flow(graph, program, flow)
    for before, last, step, side in shortcuts:
        for source, target in pairwise([before.node, *([side.node] if side else []), last.node]):
            _add_edge(graph, source, target, "residual", [step], stage=last.stage)
    return graph


def _visits(program: Program) -> Iterator[Visit]:
    """Every layer in the order of the unrolled network, from the input to the output."""
    taken, end = {*program.before, *program.after}, len(program.stages) + 1
    yield Visit(_free("input", taken), "input", "input", 0)
    yield from (Visit(layer, "private", layer, 0, layer) for layer in program.before)
    for section, stage in enumerate(program.stages, start=1):
        for block in stage.blocks:
            on_side = [bool(SIDE_POSITIONS & set(use.position.split("."))) for use in block.uses]
            for use, beside in zip(block.uses, on_side, strict=True):
                node, kind, name = use.layer, "private", use.layer.removeprefix(f"{stage.name}.")
                if use.group is not None and use.owner is not None:
                    node, kind, name = f"{use.group}.{letters(use.owner)}", "owner", owner_text(stage, use)
                where = stage.name, block.name, use.position
                yield Visit(node, kind, name, section, use.layer, *where, beside and not all(on_side))
    yield from (Visit(layer, "private", layer, end, layer) for layer in program.after)
    yield Visit(_free("output", taken), "output", "output", end)


def _shortcuts(visits: Sequence[Visit]) -> Iterator[tuple[Visit, Visit, int, Visit | None]]:
    """For each block: what enters it, its last layer, the step that leads there, and the layer on its shortcut."""
    step, before = 0, visits[0]
    for block, group in groupby(visits, key=lambda visit: visit.block):
        inside = list(group)
        flow = [visit for visit in inside if not visit.beside]
        step += len(flow)
        if block:
            yield before, flow[-1], step - 1, next((visit for visit in inside if visit.beside), None)
        before = flow[-1]


def _node_attributes(visits: list[Visit], gains: Mapping[str, float]) -> dict[str, Any]:
    """What a node carries; lists and scalars only, so that it can be written as JSON."""
    first = visits[0]
    layers = [visit.layer for visit in visits if visit.layer]
    label = _users(visits) if first.kind == "owner" else first.name
    attributes: dict[str, Any] = {"kind": first.kind, "stage": first.stage, "name": first.name, "label": label}
    attributes |= {"layers": layers, "uses": len(layers)}
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
        of = f"{'block' if len(blocks) == 1 else 'blocks'} {ranges(blocks, dash='-')}"
        lines.append(f"{position} of {of}" if position else of)
    return "\n".join(lines)


def label_lines(data: Mapping[str, Any]) -> list[str]:
    """The lines of a node's label as pictures write them: 1–3 for 1-3."""
    return [re.sub(r"(?<=\d)-(?=\d)", "–", line) for line in data["label"].split("\n")]


def _add_flow(graph: nx.MultiDiGraph, program: Program, visits: Sequence[Visit]) -> None:
    """The edges of the flow. A section's walk ends at the node after it, which its last pass leads to."""
    loops = [False, *(bool(stage.loops) for stage in program.stages), False]
    before = 0
    for section, group in groupby(visits, key=lambda visit: visit.section):
        inside = list(group)
        for edge in walk_passes([visit.node for visit in visits[before : before + len(inside) + 1]]):
            first = edge.passes[0]
            about = {"passes": list(edge.passes), "pass": first, "color": first - 1, "stage": inside[0].stage}
            about |= {"back": edge.back, "dashed": edge.back and not loops[section]}
            _add_edge(graph, edge.source, edge.target, "flow", [before + step for step in edge.order], **about)
        before += len(inside)


def _add_edge(
    graph: nx.MultiDiGraph, source: Hashable, target: Hashable, kind: str, order: list[int], **about: Any
) -> None:
    """Add an edge; one that an earlier stage or block has taken keeps what it is, and is taken at further steps."""
    if graph.has_edge(source, target, kind):
        graph.edges[source, target, kind]["order"] += order
    else:
        graph.add_edge(source, target, kind, kind=kind, order=order, **about)


def _free(name: str, taken: set[str]) -> str:
    """`name`, with as many primes as it takes to differ from a layer's."""
    while name in taken:
        name += "'"
    return name


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of a walk, with every step that takes it and every pass that has such a step, both counted from 1."""

    source: Hashable
    target: Hashable
    order: tuple[int, ...]
    passes: tuple[int, ...]
    back: bool = False  # whether it jumps back to a node that the walk had entered no later than the source


def walk_passes(nodes: Sequence[Hashable]) -> tuple[Edge, ...]:
    """The edges between each of `nodes` and the next, in order of first use.

    A step is a jump back when its target had first appeared no later than its source: 1, 2, 3, 4, 3, 4, 1, 2,
    3, 4 jumps back twice, by 4 -> 3 and 4 -> 1. A jump belongs to the pass that it ends. Where the last node is
    the one that the walk leaves to, the edge to it has the last pass.
    """
    first = {node: index for index, node in reversed(list(enumerate(nodes)))}
    orders: dict[tuple[Hashable, Hashable], list[int]] = {}
    passes: dict[tuple[Hashable, Hashable], dict[int, None]] = {}
    current = 1
    for step, pair in enumerate(pairwise(nodes), start=1):
        orders.setdefault(pair, []).append(step)
        passes.setdefault(pair, {})[current] = None
        current += first[pair[1]] <= first[pair[0]]
    return tuple(
        Edge(source, target, tuple(order), tuple(passes[source, target]), first[target] <= first[source])
        for (source, target), order in orders.items()
    )


def ranges(names: Sequence[object], dash: str = "–") -> str:
    """Whole numbers in rising order, in few words: 1, 2, 3, 5 -> "1–3, 5"; names that are no numbers stay as they
    are."""

    def run_of(place: tuple[int, str]) -> object:
        return int(place[1]) - place[0] if place[1].isdecimal() else place[1]

    parts = []
    for _, group in groupby(enumerate(map(str, names)), key=run_of):
        run = [name for _, name in group]
        parts.append(", ".join(run) if len(run) < 3 else f"{run[0]}{dash}{run[-1]}")
    return ", ".join(parts)


def pass_words(drawn: Collection[int], last: int) -> tuple[tuple[str, int | None], ...]:
    """What a legend says of the passes 1 to `last`: each of those `drawn` in its colour, by its number, and where the
    others are.

    An edge keeps the colour of its first pass, so a pass may have no edge of its own: the second to fifth trip through
    a loop of one weight all take the edge that the first has drawn.
    """
    words: list[tuple[str, int | None]] = []
    for own, group in groupby(range(1, last + 1), key=lambda number: number in drawn):
        numbers = list(group)
        if own:
            words += [(f"pass {number}", number) for number in numbers]
        else:
            alone = len(numbers) == 1
            said = f"pass {numbers[0]} takes" if alone else f"passes {ranges(numbers)} take"
            words.append((f"{said} arrows of earlier ones", None))
    return tuple(words)


def stage_graphs(stages: Sequence[Stage]) -> list[nx.MultiDiGraph]:
    """Each stage between an input and an output; nodes carry `style` (fill and line of their box), edges `shade`, the
    colour of their pass, which is plain where there is only one."""
    graphs = [program_graph(Program((), (stage,), ())) for stage in stages]
    colors = owner_colors(graphs)
    for graph in graphs:
        for node, data in graph.nodes(data=True):
            alone = ALONE_BOX if data["kind"] == "owner" else PRIVATE_BOX
            data["style"] = OWNER_COLORS[colors[node] % len(OWNER_COLORS)] if node in colors else alone
        for *_, data in graph.edges(data=True):
            data["shade"] = distinct(data["color"]) if several_passes(graph) else PLAIN
    return graphs


def owner_colors(graphs: Sequence[nx.MultiDiGraph]) -> dict[str, int]:
    """A number of a colour for each owner that several layers use, from 0 in each stage.

    An owner of several stages keeps its colour.
    """
    owners = [[node for node, kind in graph.nodes(data="kind") if kind == "owner"] for graph in graphs]
    uses: Counter[str] = Counter()
    for graph, names in zip(graphs, owners, strict=True):
        uses.update({name: graph.nodes[name]["uses"] for name in names})
    together = nx.Graph()
    for names in owners:
        shared = [name for name in names if uses[name] > 1]
        together.add_nodes_from(shared)
        together.add_edges_from(combinations(shared, 2))
    # Each one in the order of first use gets the first colour that no owner of its stages has.
    colors: dict[str, int] = nx.greedy_color(together, lambda *_: together)
    return colors


def layer_nodes(graph: nx.MultiDiGraph) -> dict[str, str]:
    """The node of each layer of the flow."""
    return {layer: node for node, layers in graph.nodes(data="layers") for layer in layers}


def several_passes(graph: nx.MultiDiGraph) -> bool:
    """Whether the flow jumps back, so that arrows have colours and numbers."""
    return any(data["passes"][-1] > 1 for *_, data in graph.edges(data=True))
