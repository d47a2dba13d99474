"""What docs/longer.md reads from folds that were run longer, as examples/longer.py keeps them."""

from collections.abc import Sequence
from typing import Any

from readings import in_words, measured, result

Entry = dict[str, Any]


def longer(*names: str) -> dict[str, list[Entry]]:
    """The folds of such files by what they are, each list by seed; of files that are not there none."""
    entries = [entry for name in names if measured(name) for entry in result(name)["results"].values()]
    found: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: (entry["coefficients"] != "fixed", entry["arch"], entry["seed"])):
        found.setdefault(kind(entry), []).append(entry)
    return found


def machines_longer(name: str) -> str:
    """The machines that the folds of a file were measured on, in words."""
    parts = (part for one in result(name)["results"].values() for part in one["measured"])
    return "; ".join(dict.fromkeys(in_words(part["machine"]) for part in parts))


def has(name: str, **wanted: Any) -> bool:
    """Whether a fold like this was run longer, by what its entry says."""
    return any(_is(one, wanted) for one in result(name)["results"].values())


def entry(name: str, **wanted: Any) -> Entry:
    """The first such fold in a file."""
    found: Entry = next(one for one in result(name)["results"].values() if _is(one, wanted))
    return found


def _is(one: Entry, wanted: dict[str, Any]) -> bool:
    """Whether an entry says all of this."""
    return all(one.get(name) == value for name, value in wanted.items())


def kind(entry: Entry) -> str:
    """What a network is, and what it lacks of the preset, in words."""
    text = entry["dataset"] == "addition"  # whose networks have heads in their names, layer norms and no parts
    templates = next((part for part in entry["arch"].split("-")[4 if text else 3 :] if part.isdigit()), None)
    soft = f"{'found, ' if entry['recurrence'] else ''}of {templates} templates"
    words = f"{'blocks' if text else 'steps'} that share nothing" if templates is None else soft
    words = "a loop by hand" if entry["coefficients"] == "fixed" else words
    words += f", fine-tuned for {entry['finetuned']} epochs" if entry.get("finetuned") else ""
    held = f", weights held at a spectral norm of {limit:g}" if (limit := entry.get("spectral_norm", 0)) else ""
    of_steps = {
        f"without norm{held}": entry["norm"] != "rms",
        "without mixed starts": not entry["mixed_starts"],
        "without parts past the last step": entry["progressive_reach"] == 1,
        "without parts": not entry["progressive"],
    }
    lacking = dict.fromkeys(of_steps, False) if text else of_steps
    free = bool(templates) and entry["coefficients"] != "fixed" and not entry["recurrence"]
    lacking["not asked to become alike"] = free
    if entry["dataset"] == "mazes" and len(set(entry["trained_on"])) == 1:
        lacking["on {0}x{0} alone".format(*entry["trained_on"])] = True
    if lacking["without parts"]:
        lacking |= dict.fromkeys(("without mixed starts", "without parts past the last step"), False)
    return ", ".join([words, *(word for word, is_so in lacking.items() if is_so)])


def whole(entry: Entry, size: int, times: Sequence[float]) -> str:
    """How many of a hundred problems of a size are wholly right: with the trips found, and with so many times those in proportion
    to the size."""
    trained, found = trained_on(entry), entry["found"]
    wanted = [found, *(round(factor * found * size / trained) for factor in times)]
    right = {row["trips"]: 100 * row["right"] / row["of"] for row in entry["rows"] if row["size"] == size}
    return " / ".join(f"{right[trips]:.0f}" for trips in dict.fromkeys(wanted) if trips in right) or "-"


def scores(entry: Entry, size: int, times: Sequence[float]) -> str:
    """The scores on problems of a size, in the same order; and how many of a hundred are wholly right with the most trips."""
    trained, found = trained_on(entry), entry["found"]
    wanted = dict.fromkeys([found, *(round(factor * found * size / trained) for factor in times)])
    rows = [row for trips in wanted for row in entry["rows"] if (row["size"], row["trips"]) == (size, trips)]
    return " / ".join(f"{row['score']:.2f}" for row in rows) + f" ({100 * rows[-1]['right'] / rows[-1]['of']:.0f})"


def right_at(entry: Entry, size: int, factor: float) -> str:
    """How many problems of a size are wholly right with so many times the trips found in proportion to it; at 0 with those found."""
    return str(_row_at(entry, size, factor)["right"])


def f1_at(entry: Entry, size: int, factor: float) -> str:
    """The score on them."""
    return f"{_row_at(entry, size, factor)['score']:.2f}"


def _row_at(entry: Entry, size: int, factor: float) -> Entry:
    """What was measured on problems of a size with so many trips."""
    trips = round(factor * entry["found"] * size / trained_on(entry)) or entry["found"]
    found: Entry = next(row for row in entry["rows"] if (row["size"], row["trips"]) == (size, trips))
    return found


def trained_on(entry: Entry) -> int:
    """The largest size that a network was trained on: the smallest scored, where an entry does not say it."""
    return int(entry["trained_on"][-1] if "trained_on" in entry else sizes_of(entry)[0])


def sizes_of(entry: Entry) -> list[int]:
    """The sizes that an entry was scored on."""
    return list(dict.fromkeys(row["size"] for row in entry["rows"]))


def epoch_of(entry: Entry, curve: str, least: float) -> str:
    """The first epoch after which a curve was so high, in words."""
    return next((str(epoch) for epoch, value in enumerate(entry[curve], 1) if value >= least), "none")


def solved(name: str, first: int, last: int) -> str:
    """How many grids are wholly right of those whose path has so many steps: 35 of 35."""
    return "{right} of {grids}".format(**_by_length(name, first, last))


def marked(name: str, first: int, last: int) -> float:
    """The share of the cells of such paths that is marked."""
    found = _by_length(name, first, last)
    return found["hits"] / (found["hits"] + found["misses"])


def _by_length(name: str, first: int, last: int) -> dict[str, int]:
    """The counts of paths of so many steps."""
    lines = [line for line in result(name)["by_length"] if first <= line["shortest"] <= last]
    return {key: sum(line[key] for line in lines) for key in ("right", "grids", "hits", "misses")}


def loops_of_folds(folds: list[Any]) -> list[tuple[int, Entry]]:
    """The verdicts of all loops, each with the number of test images."""
    return [(fold["accuracy"]["images"], loop) for fold in folds for loop in fold["dial"]]


def iterations(folds: list[Any]) -> list[Entry]:
    """The loops that are said to be iterations."""
    return [loop for _, loop in loops_of_folds(folds) if loop["verdict"].startswith("iteration")]


def held(folds: list[Any], trips: int = 6, lost: int = 2) -> list[tuple[int, Entry]]:
    """The loops that lose at most so many images in so many damped trips."""
    return [
        (images, loop)
        for images, loop in loops_of_folds(folds)
        if round((loop["score"] - dict(loop["finer"])[trips]) * images) <= lost
    ]


def most_lost_once(folds: list[Any]) -> int:
    """How many images the loops that hold lose at most where they run once."""
    return max(round(loop["once_loss"] * images) for images, loop in held(folds))


def most_gained(folds: list[Any]) -> int:
    """How many images any loop gains at most from more trips, damped or not."""
    return max(
        round((score - loop["score"]) * images)
        for images, loop in loops_of_folds(folds)
        for _, score in (*loop["longer"], *loop["finer"])
    )


def costs(folds: list[Any], which: str, trips: int) -> str:
    """By how much the score of text gets worse in so many trips, `longer` or `finer`, from the least to the most: 0.3 to 0.4."""
    found = [dict(loop[which])[trips] - loop["score"] for _, loop in loops_of_folds(folds)]
    return f"{min(found):.2f} to {max(found):.2f}"
