"""Processes of their own that begin with what a training imports: loading that takes seconds, longer than what most of them do."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

PRELOADED = [
    "foldnet.verbs.train",
    "foldnet_cli.main",
    "torch._dynamo",
    "torch._inductor",
    "torchvision.transforms.v2",
    "sklearn.model_selection",
]


def forked(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process that runs a function of a module, started."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    process = server.Process(target=target, args=arguments)
    process.start()
    return process
