"""Where runs lie when nothing else is said."""

import os
from pathlib import Path

HOME = Path("runs")
VARIABLE = "FOLDNET_HOME"  # of the environment; the one that foldnet reads


def runs_home() -> Path:
    """The folder that FOLDNET_HOME names, else runs/ in the working directory."""
    return Path(os.environ.get(VARIABLE) or HOME)
