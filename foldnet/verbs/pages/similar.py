"""The parts of a page about likeness: the layer similarity matrices, their dendrograms, and how they came to be."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from foldnet.analysis.chance import GroupLsm, beyond_chance, shown_level
from foldnet.drawing.dendrogram import dendrogram_svg
from foldnet.show.html import Markup, element, joined, part_of_page
from foldnet.show.page import Section, figure, shade_of
from foldnet.verbs.pages.run import RunPage

ROOM = 8  # layers up to which a cell has room for its number
MOST_FRAMES = 121  # of a film; of longer trainings every second epoch, or third
MOST_SHADES = 25_000  # letters of a film: of 28 layers in one group 66 epochs
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ABOUT = (
    "How alike two layers are, from 0 (black) to 1 (white): the absolute cosine of their {}. A red frame marks a pair "
    "more alike than any is in 95 % of untrained networks; a dot marks a pair that the threshold below ties. Point at "
    "a cell, or move between cells with the arrow keys, to read it."
)


def similar(page: RunPage) -> Section:
    """The matrices with their chance level, and the dendrograms."""
    report = page.similar
    if report is None:
        return Section("similar", "Which layers came alike", element("p", page.unshared))
    walks = {} if page.ways is None else page.ways.walks
    groups = []
    for group in report.groups:
        pieces = [figure(matrix(group), caption(group))]
        if group.name in walks:
            names, level = short_names(group.layers), group.chance.network_q95
            pieces.append(
                figure(
                    dendrogram_svg(group.name, names, walks[group.name], level),
                    "Which merge at which similarity, on a scale that is finer near 1; the dashed line is the level of "
                    "chance, the solid one the threshold chosen below.",
                )
            )
        groups.append(element("div", element("h3", group.name), element("div", pieces, class_="row"), class_="group"))
    said = element("p", element("output", "Nothing is pointed at.", id="pointed"), class_="pointed script")
    tables = joined(*map(part_of_page, report.parts()))
    content = (element("p", ABOUT.format(report.metric)), said, groups, tables, page.sources["similar"].to_html())
    return Section("similar", "Which layers came alike", content)


def short_names(layers: Sequence[str]) -> list[str]:
    """Layers without the parts of their names that all of them begin with: stage1.1.conv1, stage1.2.conv2 -> 1.conv1,
    2.conv2."""
    parts = [layer.split(".") for layer in layers]
    columns = zip(*(its[:-1] for its in parts), strict=False)
    alike = len(list(takewhile(lambda its: len(set(its)) == 1, columns)))
    return [".".join(its[alike:]) for its in parts]


def caption(group: GroupLsm) -> str:
    """The largest similarity, beside what chance shows."""
    if group.max_off_diagonal is None:
        return "A single layer, which is like no other."
    said = f"Largest of different layers {group.max_off_diagonal:.3f}"
    if group.chance.network_q95 is None or group.chance.max is None:
        return f"{said}."
    return (
        f"{said}; by chance {group.chance.max:.2f} is expected, and 95 % of untrained networks stay below "
        f"{shown_level(group.chance.network_q95)} everywhere."
    )


def matrix(group: GroupLsm) -> Markup:
    """The matrix as a table whose cells can be pointed at and reached by keys."""
    names, beyond = short_names(group.layers), beyond_chance(group.matrix, group.chance)
    head = element("tr", element("td"), (_column(name) for name in names))
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            (_cell(float(group.matrix[i, j]), bool(beyond[i, j]), len(names) <= ROOM) for j in range(len(names))),
        )
        for i, name in enumerate(names)
    ]
    label = f"Similarity of the layers of {group.name}"
    return element(
        "table",
        element("thead", head),
        element("tbody", rows),
        class_="matrix" if len(names) <= ROOM else "matrix dense",
        aria_label=label,
        data_group=group.name,
    )


def _column(name: str) -> Markup:
    """A column's head, written upwards."""
    return element("th", element("span", name), scope="col")


def _cell(value: float, beyond: bool, room: bool) -> Markup:
    """One similarity: where there is no room for two digits, all four are for whoever hears or points at it. Its role
    comes from the script, without which no key moves between cells."""
    kind = f"s{shade_of(value)}{' beyond' if beyond else ''}"
    if not room:
        return element("td", element("span", f"{value:.4f}"), class_=kind)
    number = f"{value:.2f}".replace("0.", ".", 1) if value < 0.995 else "1"
    return element("td", number, class_=kind, data_value=f"{value:.4f}")


def history(page: RunPage) -> Section | None:
    """The film: a matrix a group, whose shades a script sets from epoch to epoch."""
    if page.history is None:
        return None
    films = [
        figure(
            element(
                "table",  # whose cells are made by the script that shades them
                class_="film",
                role="img",
                aria_label=f"Similarities of {name} at the epoch shown",
                data_film=name,
            ),
            name,
        )
        for name in page.history
    ]
    last = len(epochs_of(page)) - 1
    slider = element(
        "input", type="range", id="epoch", min=0, max=last, value=last, step=1, aria_describedby="epoch-said"
    )
    controls = element(
        "div",
        element("label", "Epoch", for_="epoch"),
        slider,
        element("button", "Play", type="button", id="play"),
        element("output", "", id="epoch-said", for_="epoch"),
        class_="controls script",
    )
    about = "The same matrices, by coefficients, at the end of every epoch; epoch 0 is before training."
    content = (element("p", about), controls, element("div", films, class_="films"), page.sources["history"].to_html())
    return Section("history", "How they came alike", content)


def epochs_of(page: RunPage) -> list[int]:
    """The epochs that the film shows: all, or as many as it has room for, the last among them."""
    if page.history is None:
        return []
    sides = [matrices.shape[1] for matrices in page.history.values()]
    room = MOST_SHADES // max(sum(side * (side - 1) // 2 for side in sides), 1)
    return thinned(len(next(iter(page.history.values()))), max(min(MOST_FRAMES, room), 2))


def thinned(count: int, most: int) -> list[int]:
    """At most so many of 0, 1, ... count - 1 that are equally far apart, but for the last, which is among them:
    (7, 4) -> 0, 2, 4, 6; (8, 4) -> 0, 3, 6, 7."""
    step = max(-(-(count - 1) // (most - 1)), 1)
    return sorted({*range(0, count, step), count - 1})


def film_data(page: RunPage) -> dict[str, Any]:
    """What the script plays: by group a text an epoch, a letter for the shade of each pair i < j, and the largest
    similarity."""
    epochs = epochs_of(page)
    films = {}
    for name, matrices in (page.history or {}).items():
        pairs = np.triu_indices(matrices.shape[1], 1)
        chosen = [matrices[epoch][pairs] for epoch in epochs]
        films[name] = {
            "layers": matrices.shape[1],
            "frames": ["".join(LETTERS[shade_of(float(value))] for value in values) for values in chosen],
            "most": [f"{values.max():.3f}" if len(values) else "-" for values in chosen],
        }
    return {"epochs": epochs, "films": films}
