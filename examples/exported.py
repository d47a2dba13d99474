"""Folds as ONNX files: bytes, differences and times of real loops beside the same network written out, in onnxruntime.

    python examples/exported.py              # ten minutes; writes examples/benchmarks/exported-PROCESSOR.json
    python examples/exported.py swrn-28-2-4  # prints one of them

Untrained, and made alike by design, as in known_networks.py: which blocks come to loop is chosen, gains, norms and biases are a step's own. Norms
are estimated on random inputs, so that outputs are of the size that trained networks give. Both files run in one process on one thread, in turns.
Where time goes is what onnxruntime's profiler says of each operator, Loop and If without what they run.
`make docs` writes the table in docs/export.md.
"""

import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
import torchvision.models as models
from known_networks import lively
from measure import FILES, machine

import foldnet
from foldnet.exporting.given import given
from foldnet.exporting.onnx_file import write_onnx
from foldnet.exporting.running import weight_bytes
from foldnet.exporting.runtimes import onnxruntime_of
from foldnet.program.data import loops_of

BATCHES, ROUNDS = (1, 32), 11
LONGEST, MOST = (
    8.0,
    201,
)  # seconds and rounds, of a network in a batch size: the shorter it runs, the more chance there is in it
IMAGES, CELLS, MAPS, LARGE = (3, 32, 32), (2, 24, 24), (3, 64, 64), (3, 128, 128)
TEMPLATES = 4  # of networks that are not soft: resnet50's first shortcut has the shape of two convolutions


def resnet50(width: int = 64) -> torch.nn.Module:
    """torchvision's, with so many channels inside its first bottlenecks."""
    return models.resnet50(weights=None, width_per_group=width, num_classes=10)


def vision_transformer() -> torch.nn.Module:
    """torchvision's, of six layers."""
    return models.VisionTransformer(32, 4, num_layers=6, num_heads=4, hidden_dim=128, mlp_dim=256, num_classes=10)


def networks() -> dict[str, tuple[Callable[[], torch.nn.Module], Sequence[int], str]]:
    """Each by its name: how it is made, the shape of an input (one number: of bytes), and which blocks use the same owners, by
    letters, of which the last goes on."""
    return {
        "swrn-28-2-4": (partial(foldnet.build, "swrn-28-2-4"), IMAGES, "A"),
        "swrn-40-1-8": (partial(foldnet.build, "swrn-40-1-8"), IMAGES, "A"),
        "swrn-40-1-8, one body in two loops": (partial(foldnet.build, "swrn-40-1-8"), IMAGES, "AABAA"),
        "swrn-46-1-8": (partial(foldnet.build, "swrn-46-1-8"), IMAGES, "AABAAB"),
        "resnet50": (resnet50, MAPS, "BA"),
        "resnet50, 128 x 128 pixels": (resnet50, LARGE, "BA"),
        "resnet50, half as wide": (partial(resnet50, 32), MAPS, "BA"),
        "vision transformer": (vision_transformer, IMAGES, "A"),
        "scnn-20-32-20": (partial(foldnet.build, "scnn-20-32-20"), CELLS, "A"),
        "sgpt-8-128-4": (partial(foldnet.build, "sgpt-8-128-4"), (64,), "A"),
    }


@torch.no_grad()
def planted(soft: torch.nn.Module, pattern: str) -> torch.nn.Module:
    """A soft network whose layers are alike by the letters of their blocks, with gains of their own."""
    numbers = {name: int(re.search(r"[._](\d+)\.", name)[1]) for group in soft.plan.groups for name in group.layers}
    first = min(numbers.values())
    for group in soft.plan.groups:
        rows, blocks = soft.sources[group.name].coefficients, [numbers[name] for name in group.layers]
        places = max(blocks.count(block) for block in blocks)  # layers of a block that share one bank
        letters = [pattern[min(block - first, len(pattern) - 1)] for block in blocks]
        seen = [blocks[:row].count(block) for row, block in enumerate(blocks)]
        owners = [(ord(letter) - ord("A")) * places + place for letter, place in zip(letters, seen, strict=True)]
        gains = torch.linspace(0.6, 1.4, len(rows))[:, None]
        rows.copy_(gains * torch.eye(rows.shape[1])[owners])
    return soft


def inputs_of(shape: Sequence[int], count: int) -> torch.Tensor:
    """Random inputs of that shape."""
    return torch.randint(256, (count, *shape)) if len(shape) == 1 else torch.randn(count, *shape)


@torch.no_grad()
def apart(run: Any, looped: Any, x: torch.Tensor, trips: Mapping[str, int]) -> tuple[float, float, int]:
    """(largest difference, largest output, predictions that differ) of a file to the network."""
    looped.set_trips(trips)
    found, wanted = run(x, trips), looped(x)
    looped.set_trips({})
    same = (
        (found > 0) == (wanted > 0)
        if wanted.dim() == 3 and wanted.shape[-1] == x.shape[-1]
        else found.argmax(-1) == wanted.argmax(-1)
    )
    return float((found - wanted).abs().max()), float(wanted.abs().max()), int((~same).sum())


def timed(runs: Mapping[str, Any], x: torch.Tensor) -> dict[str, float]:
    """Median seconds of the processor's time that each takes, in turns: with one thread that is how long it runs, whatever
    else the machine does."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(x, {})
    began = time.perf_counter()
    for number in range(MOST):
        if number >= ROUNDS and time.perf_counter() - began > LONGEST:
            break
        for name in [*runs] if number % 2 else [*reversed(runs)]:
            start = time.thread_time()
            runs[name](x, {})
            found[name].append(time.thread_time() - start)
    return {name: statistics.median(values) for name, values in found.items()}


def operators(file: Path, x: torch.Tensor) -> dict[str, float]:
    """Milliseconds of each kind of operator of a file: the least of each place, since other work may run in this time."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.intra_op_num_threads = True, 1
    options.profile_file_prefix = str(file.with_suffix(""))
    session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    for _ in range(ROUNDS):
        session.run(None, {session.get_inputs()[0].name: x.numpy()})
    places: dict[tuple[str, ...], list[float]] = {}
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kind, of = event["args"]["op_name"], event["args"]
            places.setdefault((kind, str(of["input_type_shape"]), str(of["output_type_shape"])), []).append(
                event["dur"]
            )
    found: dict[str, float] = {}
    for (kind, *_), times in places.items():
        found[kind] = found.get(kind, 0.0) + min(times) * len(times) / ROUNDS / 1000
    return {kind: one for kind, one in found.items() if kind not in ("Loop", "If")}


def measured(make: Callable[[], torch.nn.Module], shape: Sequence[int], pattern: str, folder: Path) -> dict[str, Any]:
    """What there is to say of one network."""
    torch.manual_seed(0)
    network = lively(make())
    soft = planted(network if hasattr(network, "sources") else foldnet.share(network, TEMPLATES).eval(), pattern)
    x = inputs_of(shape, 2)
    folded = foldnet.fold(soft, threshold=0.99, inputs=x)
    looped = folded.looped.eval()
    foldnet.recalibrate(looped, [inputs_of(shape, 32)])
    known, found, report = given(looped, x), {}, {}
    for name in ("loop", "unrolled"):
        file = folder / f"{name}.onnx"
        report[name] = write_onnx(known, file, loops=name == "loop")
        content = file.read_bytes()
        onnx.checker.check_model(onnx.load(file), full_check=True)
        onnx.shape_inference.infer_shapes(onnx.load(file), strict_mode=True)
        _, optimised = weight_bytes(content, file)
        unique = report[name].unique_bytes
        found[name] = {
            "bytes": len(content),
            "to_unique": len(content) / unique,
            "optimised_to_unique": optimised / unique,
        }
    runs = {name: onnxruntime_of((folder / f"{name}.onnx").read_bytes(), folder, threads=1) for name in found}
    dial = folder / "dial.onnx"
    turned = write_onnx(known, dial, dial=True)
    run = onnxruntime_of(dial.read_bytes(), dial, threads=1)
    trips = [{}] + [{name: n} for name in turned.dial for n in (0, 1, turned.loops[name], 2 * turned.loops[name])]
    batches = [(one, count) for one in trips for count in ((1, 7) if not one else (7,))]
    differences = {
        json.dumps(one | {"batch": count}): apart(run, looped, inputs_of(shape, count), one) for one, count in batches
    }
    times = {batch: timed(runs, inputs_of(shape, batch)) for batch in BATCHES}
    spent = {name: operators(folder / f"{name}.onnx", inputs_of(shape, BATCHES[-1])) for name in runs}
    steps = sum(trip - 1 for trip in loops_of(known.program).values())
    return found | {
        "program": folded.report.program,
        "loops": report["loop"].loops,
        "unrolled_because": report["loop"].unrolled,
        "unique_bytes": report["loop"].unique_bytes,
        "differences": {name: {"largest": a, "outputs": b, "differ": c} for name, (a, b, c) in differences.items()},
        "largest_as_found": max(a for name, (a, _, _) in differences.items() if "loop" not in name),
        "predictions_that_differ": sum(c for _, _, c in differences.values()),
        "seconds": times,
        "milliseconds_of_operators": spent,
        "time_ratio": {batch: one["loop"] / one["unrolled"] for batch, one in times.items()},
        "microseconds_of_a_trip": {
            batch: 1e6 * (one["loop"] - one["unrolled"]) / max(steps, 1) for batch, one in times.items()
        },
    }


def main() -> None:
    """Measure all, or print some."""
    names, known = sys.argv[1:], networks()
    torch.set_num_threads(1)
    found = {}
    for name in names or known:
        print(name, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measured(*known[name], Path(folder))
    if names:
        print(json.dumps(found, indent=1))
        return
    about = (
        machine()
        | {"threads": 1}
        | {name: version(name) for name in ("onnx", "onnxscript", "onnxruntime", "torchvision")}
    )
    content = {"command": "python examples/exported.py", "machine": about, "result": found}
    name = re.sub(r"\W+", "-", re.sub(r"\(\w+\)|processor", "", about["processor"].lower()).strip())
    (FILES / f"exported-{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(4)
    main()
