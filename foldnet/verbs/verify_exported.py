"""Whether an exported file computes what the fold does that it was made of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from foldnet.exporting.given import Given, given
from foldnet.exporting.pt2 import weights_in
from foldnet.exporting.reuse import reused_in_loops
from foldnet.exporting.running import Exported, opened, runners, weight_bytes
from foldnet.exporting.runtimes import Run
from foldnet.exporting.tensors_file import state_of
from foldnet.exporting.unrolled import unique_bytes, written_out
from foldnet.folding.folds import SEALED, Fold, open_fold
from foldnet.folding.looped import LoopedNetwork
from foldnet.proof.at_hand import AtHand, at_hand
from foldnet.proof.exported import BATCHES, ExportCertificate, Ran, run_against, size_promises, turned
from foldnet.store.artifact import refuse_linked
from foldnet.store.files import write_json
from foldnet.store.seals import check_files
from foldnet.training.observer import Observer, Silent

RANDOM_INPUTS, REAL_INPUTS, SEED = 64, 256, 0


def verify_exported(
    folder: Path,
    file: Path,
    *,
    run: Path | str | None,
    data: bool,
    images: int | None,
    data_dir: Path | None,
    written: bool,
    observer: Observer | None,
) -> ExportCertificate:
    """Run the file in every runtime that is installed and takes it, beside the fold's looped network, on the CPU in
    fp32: on the first test images and on random inputs, in batches of two sizes, and with each dial at 0, 1, what was
    found and twice that.

    Raises RunError for a file of another fold, one that was changed or is none of foldnet's, MissingTool.
    """
    start = time.perf_counter()
    if written:
        refuse_linked(folder)
    exported, fold = opened(file), open_fold(folder)
    check_files(fold.folder, fold.files, SEALED)
    exported.check_origin(folder, fold.files, fold.program)
    what = given(folder)
    there = at_hand(fold, run, data=data, data_dir=data_dir, device="cpu")
    ran = _run(exported, fold, what, there, images or REAL_INPUTS, observer or Silent())
    assert what.program is not None
    looped = reused_in_loops(what.program, exported.about.loops, exported.about.together)
    sizes: dict[str, int | None] = {"unique": _unique(what, exported.about.format), "file": len(exported.content)}
    if exported.about.format == "onnx":
        sizes["weights"], sizes["optimised"] = weight_bytes(exported.content, file)
    elif exported.about.format == "pt2":
        sizes["weights"] = weights_in(exported.content)
        sizes["graph"] = len(exported.content) - weights_in(exported.content)
    notes: tuple[str, ...] = ()
    if there.laboratory is None:
        asked = "no test images were asked for" if not data else "the run's test images are not at hand"
        notes = (f"{asked}: only random inputs are compared",)
    certificate = ExportCertificate(
        fold=str(folder),
        file=str(file),
        sha256=exported.sha256,
        format=exported.about.format,
        files=dict(fold.files),
        versions=dict(exported.about.versions),
        ran=ran,
        promises=tuple(promise for one in ran for promise in one.promises) + size_promises(sizes, looped=looped),
        bytes=sizes,
        looped=looped,
        notes=notes,
        seconds=time.perf_counter() - start,
    )
    if written:
        plain = certificate.to_json() | {"fold": folder.name, "file": file.name}
        write_json(folder / f"exported-{exported.sha256[:12]}.json", plain)
    return certificate


def _unique(what: Given, format: str) -> int:
    """Bytes of the network's tensors as such a file has them, each once."""
    if format == "safetensors":
        return sum(tensor.numel() * tensor.element_size() for tensor in state_of(what.network).values())
    return unique_bytes(written_out(what.network))


def _run(
    exported: Exported, fold: Fold, what: Given, there: AtHand, images: int, observer: Observer
) -> tuple[Ran, ...]:
    """The file in every runtime, on every kind of inputs."""
    network, program = what.network, what.program
    assert isinstance(network, LoopedNetwork)
    assert program is not None
    random = fold.blueprint.random_inputs(RANDOM_INPUTS, SEED)
    kinds = {"random": random} | ({"test": _images(there, images)} if there.laboratory is not None else {})
    some = {name: x[: BATCHES[0]] for name, x in kinds.items()}
    found = runners(exported, what)
    observer.begin("verify the exported file", len(found) * len(kinds))

    def all_of(runtime: str, run: Run) -> Iterator[Ran]:
        for name, x in kinds.items():
            ways: list[tuple[Tensor, int, dict[str, int]]] = [(x, BATCHES[0], {}), (some[name], BATCHES[1], {})]
            ways += [(some[name], BATCHES[0], trips) for trips in turned(exported, program)]
            for chosen, batch, trips in ways:
                yield run_against(run, network, chosen, batch, trips, fold.task, runtime=runtime, inputs=name)
            observer.advance()

    ran = tuple(one for runtime, run in found.items() for one in all_of(runtime, run))
    observer.end()
    return ran


def _images(there: AtHand, most: int) -> Tensor:
    """The first test images."""
    assert there.laboratory is not None
    parts, count = [], 0
    for x, _ in there.laboratory.test.in_order():
        parts.append(x.cpu().contiguous())
        count += len(x)
        if count >= most:
            break
    return torch.cat(parts)[:most]
