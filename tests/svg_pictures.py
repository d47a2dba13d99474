"""What a reader sees of an SVG, by another renderer than those that drew it; nothing may lie outside the picture."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import resvg_py
from numpy.typing import NDArray
from PIL import Image, ImageFilter

NUMBER = r"-?[\d.]+(?:e[-+]?\d+)?"
MARGIN = 0.5  # of the picture's sides, on each of them: where nothing may be drawn
WIDTH = 900


def view_box(svg: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of what viewers show."""
    left, top, width, height = map(float, ET.fromstring(svg).attrib["viewBox"].split())
    return left, top, width, height


def shades(svg: str, width: int = WIDTH) -> NDArray[np.float64]:
    """What a viewer shows, (height, width), 0 black to 1 white, with matplotlib's own font in every place."""
    fonts = str(Path(matplotlib.get_data_path()) / "fonts/ttf")
    svg = re.sub(r'font-family="[^"]*"', 'font-family="DejaVu Sans"', svg)
    drawn = resvg_py.svg_to_bytes(svg_string=svg, width=width, background="#ffffff", dpi=96, font_dirs=[fonts])
    return picture_shades(bytes(drawn))


def picture_shades(picture: bytes) -> NDArray[np.float64]:
    """A PNG's shades, (height, width)."""
    return np.asarray(Image.open(BytesIO(picture)).convert("L"), dtype=np.float64) / 255


def assert_whole(svg: str) -> None:
    """Everything lies inside the viewBox, in the size in which it was laid out, and no gap depends on spaces that viewers drop."""
    root = ET.fromstring(svg)
    left, top, width, height = view_box(svg)
    # Graphviz rounds to whole points.
    assert [float(root.attrib[side].removesuffix("pt")) for side in ("width", "height")] == pytest.approx(
        [width, height], abs=0.5
    )
    found = [place for element in root for place in _places(element, np.eye(3))]
    assert len(found) > 10
    for tag, x, y in found:
        assert left <= x <= left + width, (tag, x, y)
        assert top <= y <= top + height, (tag, x, y)
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        words = "".join(text.itertext())
        # Viewers drop spaces at the beginning of a text, some of them non-breaking ones too.
        assert words == words.lstrip() or not words.strip(), words
    _assert_margin_is_empty(svg)


def assert_alike(svg: str, png: bytes, least: float = 0.9) -> None:
    """Both show the same: their shades correlate once thin lines are blurred, which renderers shift by a pixel."""
    one, other = shades(svg), picture_shades(png)
    assert one.shape[0] / one.shape[1] == pytest.approx(other.shape[0] / other.shape[1], rel=0.01)
    assert np.corrcoef(_blurred(one).ravel(), _blurred(other).ravel())[0, 1] >= least


def _blurred(page: NDArray[np.float64]) -> NDArray[np.float64]:
    """A picture as it looks from afar, always of one size."""
    image = Image.fromarray(np.uint8(255 * page)).resize((WIDTH, WIDTH), Image.Resampling.BOX)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(3)), dtype=np.float64)


def _assert_margin_is_empty(svg: str) -> None:
    """Drawn on a larger page, the picture leaves the added margin white: letters and lines have widths too."""
    left, top, width, height = view_box(svg)
    wide, high = width * (1 + 2 * MARGIN), height * (1 + 2 * MARGIN)
    box = f'viewBox="{left - MARGIN * width} {top - MARGIN * height} {wide} {high}"'
    larger = re.sub(r'viewBox="[^"]*"', box, svg, count=1)
    larger = re.sub(r'(<svg[^>]*?)width="[^"]*" height="[^"]*"', rf'\1width="{wide}" height="{high}"', larger, count=1)
    page = shades(larger)
    rows, columns = page.shape
    share = MARGIN / (1 + 2 * MARGIN)
    y, x = int(rows * share) - 1, int(columns * share) - 1
    assert page[y : rows - y, x : columns - x].min() < 0.5  # something is drawn
    page[y : rows - y, x : columns - x] = 1
    assert page.min() > 0.99


def _places(element: ET.Element, above: NDArray[np.float64]) -> Iterator[tuple[str, float, float]]:
    """(tag, x, y) of every text, corner and centre, but for what is only defined or is cut off at a panel's border."""
    tag = element.tag.rpartition("}")[2]
    if tag in ("defs", "metadata", "title", "style") or "clip-path" in element.attrib:
        return
    matrix = above @ _transform(element.attrib.get("transform", ""))
    scale = np.linalg.norm(matrix[:2, :2], axis=0)
    if tag != "image":
        np.testing.assert_allclose(scale, 1, err_msg=f"{tag} is scaled")
    for x, y in _own_places(tag, element.attrib):
        at = matrix @ (x, y, 1)
        yield tag, float(at[0]), float(at[1])
    for child in element:
        yield from _places(child, matrix)


def _own_places(tag: str, attributes: dict[str, str]) -> list[tuple[float, float]]:
    """Where an element stands, in its own coordinates."""
    if tag in ("text", "use", "image"):
        return [(float(attributes.get("x", 0)), float(attributes.get("y", 0)))]
    if tag == "ellipse":
        x, y, rx, ry = (float(attributes[name]) for name in ("cx", "cy", "rx", "ry"))
        return [(x - rx, y - ry), (x + rx, y + ry)]
    numbers = [float(number) for number in re.findall(NUMBER, attributes.get("d", attributes.get("points", "")))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _transform(text: str) -> NDArray[np.float64]:
    """The matrix of a transform attribute."""
    matrix = np.eye(3)
    for name, inside in re.findall(r"(\w+)\s*\(([^)]*)\)", text):
        numbers = [float(number) for number in re.findall(NUMBER, inside)]
        step = np.eye(3)
        if name == "translate":
            step[:2, 2] = (*numbers, 0)[:2]
        elif name == "scale":
            step[0, 0], step[1, 1] = (numbers * 2)[:2]
        elif name == "rotate":
            angle = np.radians(numbers[0])
            step[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            middle = np.array((*numbers[1:], 0, 0)[:2])
            step[:2, 2] = middle - step[:2, :2] @ middle
        else:
            raise AssertionError(f"a transform that this reader does not know: {text}")
        matrix = matrix @ step
    return matrix
