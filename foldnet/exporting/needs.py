"""What exporting needs beside torch: packages of the extra `onnx`, each asked for where it is used."""

from importlib import import_module
from typing import Any

from foldnet.errors import MissingTool, either


def needed(*names: str) -> tuple[Any, ...]:
    """The packages of these names. Raises MissingTool, naming those that are not installed."""
    found, missing = [], []
    for name in names:
        try:
            found.append(import_module(name))
        except ImportError:
            missing.append(name)
    if missing:
        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        said = f"{either(missing, 'and')} {are} not installed"
        raise MissingTool(f"{said}; `pip install 'foldnet[onnx]'` brings {them}")
    return tuple(found)


def check_torch() -> None:
    """Raise MissingTool for a torch that cannot mark where the trips of a loop begin and end."""
    import torch

    if not hasattr(getattr(torch.onnx, "ops", None), "symbolic"):
        raise MissingTool(f"torch {torch.__version__} cannot write loops to ONNX; install torch 2.8 or newer")
