"""Whether a network that others wrote answers for its data, found before anything is trained."""

from __future__ import annotations

from typing import Any

import torch

from foldnet.bounds import as_code
from foldnet.errors import FoldnetError, SettingError
from foldnet.zoo.blueprint import Blueprint
from foldnet.zoo.code import reason_of


def check_answers(built: Blueprint) -> None:
    """Raise SettingError for a network of others that does not run on the images of its data, or does not answer for
    their classes: before anything is trained."""

    def answer(device: str) -> Any:
        with torch.device(device), torch.no_grad():
            return built.build_plain().eval()(torch.zeros(2, *built.shape))

    name, image = as_code("arch", built.arch), "x".join(map(str, built.shape))
    with torch.random.fork_rng([]):
        try:
            try:
                found = answer("meta")
            except (RuntimeError, NotImplementedError, AssertionError):  # what needs numbers fails there
                found = answer("cpu")
        except FoldnetError:
            raise
        except Exception as error:
            reason = reason_of(error)
            raise SettingError(
                f"{name} does not run on images of {image} ({reason}); choose a size that it takes, or tell it theirs "
                "with `arch_option`"
            ) from error
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (2, built.classes):
        given = f"shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
        raise SettingError(
            f"{name} gives {given} for 2 images and the data have {built.classes} classes; it must "
            f"give logits of shape (2, {built.classes})"
        )
