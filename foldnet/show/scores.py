"""How scores, shares and sizes are written, wherever they are read."""


def counted(value: float, images: int, measure: str = "accuracy", right: int | None = None) -> str:
    """A score with the count behind it: of an accuracy what is right, of another measure what is `right` as a whole."""
    if measure == "accuracy":
        return f"{scored(value, measure)} ({round(value * images)} of {images})"
    whole = f"{right} of {images} wholly right" if right is not None else f"of {images}"
    return f"{scored(value, measure)} ({whole})"


def scored(value: float | None, measure: str) -> str:
    """A score: an accuracy in per cent, another measure by its name; "-" where it was not measured."""
    if value is None:
        return "-"
    return percent(value) if measure == "accuracy" else f"{measure} {value:.4f}"


def percent(share: float, digits: int = 2) -> str:
    """A share (0..1) as per cent."""
    return f"{100 * share:.{digits}f} %"


def share_of_draws(value: float) -> str:
    """A share of thousands of draws: 0.0362 -> "3.6 %", and never 0."""
    return percent(value, 1) if value >= 0.0005 else "< 0.1 %"


def megabytes(count: int) -> str:
    """Bytes in MB."""
    return f"{count / 1e6:.1f} MB"


def times(shape: tuple[int, ...]) -> str:
    """A shape: (16, 16, 3, 3) -> "16x16x3x3"."""
    return "x".join(map(str, shape))


def gibibytes(count: int | None) -> str:
    """Bytes in GiB."""
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"
