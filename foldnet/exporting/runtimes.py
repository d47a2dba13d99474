"""ONNX models of foldnet's in the runtimes that run them, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foldnet.errors import RunError
from foldnet.exporting.needs import needed

Run = Callable[[Tensor, Mapping[str, int]], Tensor]  # inputs, and the trips of loops that are not as found -> outputs


def onnxruntime_of(content: bytes, file: Path, *, threads: int = 0, optimised: Path | None = None) -> Run:
    """An ONNX model in onnxruntime, with so many threads (0: as it likes); with `optimised` the model that onnxruntime
    makes of it is written there. Raises MissingTool, RunError where it does not take it."""
    (onnxruntime,) = needed("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnxruntime's own, which have no common class
        raise _not_run("onnxruntime", file, error) from error
    name = session.get_inputs()[0].name

    def run(x: Tensor, trips: Mapping[str, int]) -> Tensor:
        feeds = {loop: torch.tensor(count).numpy() for loop, count in trips.items()}
        try:
            return torch.from_numpy(session.run(None, {name: x.numpy()} | feeds)[0])
        except Exception as error:
            raise _not_run("onnxruntime", file, error) from error

    return run


def openvino_of(content: bytes, file: Path, *, threads: int = 0) -> Run:
    """An ONNX model in OpenVINO, with so many threads (0: as it likes). Raises ImportError where it is not installed,
    and where it is run RunError if it is not taken.

    In single precision: by itself it computes in bfloat16 where a processor has AMX, and outputs of 8 were wrong by
    0.08. Trips are inputs that have a default, and such an input is a constant to OpenVINO 2026.4, so that loops are
    turned in a model whose inputs have none.
    """
    openvino: Any = import_module("openvino")
    core, options = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    options |= {"INFERENCE_NUM_THREADS": str(threads)} if threads else {}

    @cache
    def compiled(turned: bool) -> tuple[Any, dict[str, int]]:
        """The model, with trips as found; or with trips as given, and what those are that are not given."""
        model, trips = _without_defaults(content) if turned else (content, {})
        return core.compile_model(core.read_model(model), "CPU", options), trips

    def run(x: Tensor, trips: Mapping[str, int]) -> Tensor:
        try:
            model, found = compiled(bool(trips))
            feeds = {loop: torch.tensor(count).numpy() for loop, count in (found | dict(trips)).items()}
            return torch.from_numpy(model({model.inputs[0].any_name: x.numpy()} | feeds)[0].copy())
        except Exception as error:
            raise _not_run("OpenVINO", file, error) from error

    return run


def _without_defaults(content: bytes) -> tuple[bytes, dict[str, int]]:
    """The same model, all inputs of which must be given; and the trips of its loops where they are not, by their
    names."""
    from onnx import load_from_string, numpy_helper

    model = load_from_string(content)
    inputs = {one.name for one in model.graph.input}
    found = {one.name: int(numpy_helper.to_array(one)) for one in model.graph.initializer if one.name in inputs}
    kept = [one for one in model.graph.initializer if one.name not in inputs]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model.SerializeToString(), found


def _not_run(runtime: str, file: Path, error: Exception) -> RunError:
    """What is said of a model that a runtime does not load or run."""
    said = next(iter(str(error).splitlines()), type(error).__name__)[:200]
    return RunError(f"{runtime} does not take '{file}' ({said}); export the fold again")
