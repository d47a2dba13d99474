"""What a network in memory is called with, and what is said where it cannot be."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from foldnet.errors import FoldnetError, SettingError

Inputs = tuple[tuple[Any, ...], dict[str, Any]]  # of one call of a network
REASON = 100  # characters of what torch says


def batches_of(batches: Iterable[Any]) -> Iterable[Any]:
    """The batches of an iterable; a tensor, or a dictionary of keyword inputs, is one batch."""
    return [batches] if isinstance(batches, Tensor | Mapping) else batches


def inputs_of(batch: Any) -> Inputs:
    """What a network is called with for one batch, x or (x, y). Raises SettingError for a batch without a tensor."""
    x = batch[0] if isinstance(batch, tuple | list) and len(batch) else batch
    positional = () if isinstance(x, Mapping) else tuple(x) if isinstance(x, tuple | list) else (x,)
    keywords = dict(x) if isinstance(x, Mapping) else {}
    if not any(isinstance(value, Tensor) and value.dim() for value in (*positional, *keywords.values())):
        raise SettingError(
            f"a batch is a {type(batch).__name__} without a tensor; give x or (x, y), where x is a tensor, a tuple of "
            "positional inputs or a dictionary of keyword inputs"
        )
    return positional, keywords


def count_of(inputs: Any) -> int:
    """The number of images: the length of the first tensor among inputs, however they nest, that has one."""
    return next((len(value) for value in tree_leaves(inputs) if isinstance(value, Tensor) and value.dim()), 0)


def refuse_nan(inputs: Any) -> None:
    """Raise SettingError for inputs among whose numbers are some that are none. Infinity may be meant, as in a mask."""
    for value in tree_leaves(inputs):
        numbers = isinstance(value, Tensor) and value.is_floating_point() and not value.is_meta
        if numbers and bool(torch.isnan(value).any()):
            raise SettingError(f"{described(value)} holds NaN, from which nothing can be told; leave such inputs out")


@contextmanager
def run_on(positional: tuple[Any, ...], keywords: Mapping[str, Any]) -> Iterator[None]:
    """Calls of a network with a user's inputs. Raises SettingError, with what the network says, where it does not take
    them."""
    try:
        yield
    except (FoldnetError, torch.OutOfMemoryError):
        raise
    except (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError, AssertionError) as error:
        given = [described(value) for value in positional] + [f"{k}={described(v)}" for k, v in keywords.items()]
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        reason = textwrap.shorten(said, REASON, placeholder="...")
        raise SettingError(
            f"the network cannot be run on {' and '.join(given) or 'nothing'} ({reason}); give what its forward takes"
        ) from error


def described(value: Any) -> str:
    """An input in words."""
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)} on {value.device}"
    return f"a {type(value).__name__}"
