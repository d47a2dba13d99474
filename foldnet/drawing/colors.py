"""The colours of all pictures, in one place.

Lines that a reader must tell apart take their colours from DISTINCT: seven that stay apart for readers who see red and
green, or blue and yellow, alike (CIE 1976 differences of at least 25 under simulated deuteranopia, protanopia and
tritanopia), and dark enough to be read as letters on white (contrast of at least 3). Where there are more, they begin
again; the number beside a line says which it is.
"""

# Red, green and blue first, as in the paper's Figure 6.
DISTINCT = ("#a81208", "#20966c", "#1b2fd8", "#cc8400", "#6f0a7a", "#b070f0", "#000000")
PLAIN = "#5a5f66"  # a way that has no second pass, and small words
INK = "#3c4249"  # explanations
FAINT_LINE = "#c9ced6"  # frames and rules
GRID_LINE = "#e6e8eb"  # behind curves
MARK = "#d1495b"  # the frame of a cell above the chance level; readable on black and on white
RING = "#d4351c"  # around a point that is recommended

# Fill and line of the graph's boxes.
BOX_LINE = "#8a9099"
OWNER_BOX, PRIVATE_BOX, STAGE_BOX = ("#dbe9f8", "#4a78ad"), ("#ffffff", BOX_LINE), ("#f6f7f8", FAINT_LINE)
RESIDUAL_LINE = "#a5abb3"

# Fill and line of owners that several layers use, in a fold's figure, which names them too; fills are light enough for
# black letters.
OWNER_COLORS = (
    ("#9fc5e8", "#2e6da4"),
    ("#f6c28b", "#b8691b"),
    ("#a8d5a2", "#3b8740"),
    ("#d9b3e0", "#8b4f97"),
    ("#f3a6a0", "#b5453c"),
    ("#e8dc8a", "#8f7f16"),
    ("#8fd3cf", "#23807b"),
    ("#c9b79c", "#7a6241"),
    ("#b9c2f0", "#4a57b0"),
    ("#f2b8d6", "#a94479"),
)
ALONE_BOX = ("#e9ecef", BOX_LINE)  # an owner that one layer uses

# By number of loops; the last colour is also that of more. Light to dark, so that a print in grey says it too.
LOOP_COLORS = ("#ffffff", "#fbd58a", "#f2a154", "#d9694a", "#a63a5b", "#65256b")
UNIT_LINES = ("#8a9099", "#3f6fa8", "#4a8a5a", "#9b3fa0")

# Of a grid's cells: free, obstacle, hit, miss, false. Okabe and Ito's shades (https://jfly.uni-koeln.de/color/), light
# to dark in grey too.
CELL_COLORS = ("#ffffff", "#3c4249", "#56b4e9", "#e69f00", "#d55e00")
QUERY_LINE = "#1a1a1a"

POSITIVE, NEGATIVE = (178, 58, 22), (20, 84, 168)  # signs of coefficients: red and blue, which every reader tells apart


def distinct(index: int) -> str:
    """The colour of the line `index`, counted from 0."""
    return DISTINCT[index % len(DISTINCT)]
