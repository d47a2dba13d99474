"""foldnet doctor."""

from typing import Any


def doctor() -> Any:
    """Say what this machine offers, and what foldnet chooses and why."""
    from foldnet.recipes.doctor import doctor as recipe

    return recipe()
