"""An ONNX file of a network: a real Loop for each loop of its program, or all trips written out."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from foldnet.errors import BrokenPromise, SettingError
from foldnet.exporting.given import Given
from foldnet.exporting.needs import check_torch, needed
from foldnet.exporting.report import ExportReport
from foldnet.exporting.reuse import reused_in_loops
from foldnet.exporting.traced import BATCH, LENGTH, REASON, traced
from foldnet.exporting.unrolled import marked_blocks, unique_bytes, written_out
from foldnet.program.data import Program, loops_of, turnable
from foldnet.store.files import write_whole

if TYPE_CHECKING:
    from onnx import ModelProto

    from foldnet.exporting.onnx_graph import Graph

MOST = 2**31 - 2**20  # bytes of tensors: what holds a model, protobuf, takes no more than 2 GiB in all


def write_onnx(given: Given, file: Path, *, loops: bool = True, dial: bool = False) -> ExportReport:
    """Write the network into one file, whole or not at all, its constants inside.

    With `loops` each loop is a Loop where its trips are written alike, else all is written out; either way what layers
    share is one tensor. With `dial` the trips of every loop that can be turned are inputs, by its name, which may be
    left out. Raises SettingError for what has no loop to turn, for more than 2 GiB and for what torch cannot export,
    MissingTool.
    """
    needed("onnx", "onnxscript")
    check_torch()
    program = given.program
    if dial:
        _check_dial(given, loops)
    network = written_out(given.network, marked=True)
    unique = unique_bytes(network)
    if unique > MOST:
        raise SettingError(
            f"the network has {unique:,} bytes of tensors, and an ONNX file holds less than 2 GiB; write it with "
            "`format='safetensors'`"
        )
    from foldnet.exporting import onnx_loops, onnx_model, onnx_simple, onnx_trips

    graph, opset = onnx_model.drawn(traced(network, given.inputs, given.length))
    _name(graph)
    onnx_simple.simplify(graph)
    stages = program.stages if program is not None else ()
    joined: dict[str, int] = {}
    refused: dict[str, str] = {}
    if loops:
        joined, refused = onnx_loops.roll(graph, stages, marked_blocks(stages), dial=dial)
    else:
        onnx_trips.drop_marks(graph)
    graph.without_unused()
    facts = {
        "format": "onnx",
        "loops": joined,
        "together": graph.together,
        "unrolled": refused,
        "dial": sorted(graph.dials),
        "unique_bytes": unique,
    }
    model = onnx_model.model_of(graph, opset, given.about(**facts))
    _check(model)
    onnx_model.seal(model)
    content = model.SerializeToString()
    write_whole(file, content)
    return ExportReport(
        file=str(file),
        format="onnx",
        form=given.form,
        source=given.source,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        unique_bytes=unique,
        loops=joined,
        unrolled=refused if loops else dict.fromkeys(loops_of(program) if program else (), "asked for"),
        dial=tuple(graph.dials),
        notes=given.notes + (tuple(_slower(program, graph, joined)) if program is not None else ()),
        scaling=given.scaling,
    )


def _slower(program: Program, graph: Graph, joined: Mapping[str, int]) -> Iterator[str]:
    """What makes a file with these loops slower than one without."""
    from foldnet.exporting.onnx_norms import FEW, has_thin

    if joined and not reused_in_loops(program, joined, graph.together):
        yield (
            "some weights of loops are used outside of them too, and so stand outside, where onnxruntime takes up to "
            "three times as long for a convolution; `loops='unrolled'` may be faster"
        )
    if has_thin(graph):
        yield (
            f"loops hold convolutions of one pixel that take fewer than {FEW} channels, beside which the norms of each "
            "trip weigh: in large batches onnxruntime takes about 1.2 times as long as with `loops='unrolled'`"
        )


def _check_dial(given: Given, loops: bool) -> None:
    """Raise SettingError where there is no loop whose trips could be an input."""
    if not loops:
        raise SettingError(
            "`dial=True` makes the trips of loops an input, and `loops='unrolled'` writes none; leave one out"
        )
    program = given.program
    if program is None or not loops_of(program):
        raise SettingError("`dial=True` makes the trips of loops an input, and the network has no loop; leave it out")
    if not turnable(program):
        fixed = next(stage.fixed for stage in program.stages if stage.loops)
        raise SettingError(
            f"`dial=True` has no loop to turn: they run as often as they were found ({fixed}); leave it out"
        )


def _name(graph: Graph) -> None:
    """Inputs are called input, input2, ..., outputs output, output2, ..., sizes that are not fixed batch and length."""
    names: dict[str, str] = {}
    for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
        names |= {info.name: kind if number == 1 else f"{kind}{number}" for number, info in enumerate(values, 1)}
    dims = (dim.dim_param for dim in graph.inputs[0].type.tensor_type.shape.dim)
    graph.rename(names, {known: name for known, name in zip(dims, (BATCH, LENGTH), strict=False) if known})


def _check(model: ModelProto) -> None:
    """Raise BrokenPromise for a model that onnx does not accept."""
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = textwrap.shorten(str(error), REASON, placeholder="...")
        raise BrokenPromise(
            f"onnx does not accept the file ({reason}), so none was written; try `loops='unrolled'`"
        ) from error
