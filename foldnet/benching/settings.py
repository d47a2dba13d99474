"""What the benches measure, and how: settings as data, from which their commands are made too. Knows no torch."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from foldnet.bounds import BOUNDS, as_code
from foldnet.errors import SettingError
from foldnet.options import Option, check_fields, plain


@dataclass(frozen=True, slots=True)
class InferenceBench:
    """Time the soft, dense, tied and looped forms of a fold, and the plain network of its shape, in turns.

    Latency, throughput, peak memory, bytes on disk and FLOPs, and their ratios to dense.
    """

    fold: Path | str | None = None
    run: Annotated[Path | str | None, Option()] = None
    batch_sizes: Annotated[tuple[int, ...], Option("Images a batch, each measured: 1,128.")] = (1, 128)
    repeats: Annotated[int, Option("Rounds; in each every form is timed once.")] = 10
    threads: Annotated[int | None, Option("CPU threads.  [default: torch's]")] = None
    device: Annotated[str, Option()] = "auto"
    precision: Annotated[str, Option()] = "fp32"
    exported: Annotated[Path | None, Option("Time a file that export wrote of the fold, too: where it runs.")] = None

    def __post_init__(self) -> None:
        bound, sizes = BOUNDS["batch_sizes"], tuple(self.batch_sizes)
        if not sizes or not all(map(bound.holds, sizes)) or len(set(sizes)) < len(sizes):
            raise SettingError(f"{as_code('batch_sizes', sizes)} is not legal; give different numbers, each {bound}")
        check_fields(self)


@dataclass(frozen=True, slots=True)
class TrainBench:
    """Time training steps of a soft network, its plain twin and the reference, in turns.

    The reference computes what the soft network computes, mixing one layer's weight at a time in fp32, as the paper's
    authors do.
    """

    ARCH: ClassVar = "swrn-28-4-4"
    arch: Annotated[str, Option("The soft network, such as swrn-DEPTH-WIDTH[-TEMPLATES].")] = ARCH
    templates: Annotated[int | None, Option("Make any network soft: at most so many templates a group.")] = None
    arch_option: Annotated[Mapping[str, Any] | None, Option(flag=None)] = None
    size: Annotated[int | None, Option("Side of the images, of text bytes at once.", bound=BOUNDS["side"])] = None
    batch_size: Annotated[int, Option("Images a step, at least 2.")] = 128
    steps: Annotated[int, Option("Rounds; in each every network makes one step.", bound=BOUNDS["rounds"])] = 20
    threads: Annotated[int | None, Option("CPU threads.  [default: torch's]")] = None
    device: Annotated[str, Option()] = "auto"
    precision: Annotated[str, Option()] = "auto"
    compile: Annotated[str, Option()] = "auto"
    profile: Annotated[bool, Option("Say where a step's time goes, by operator.")] = False

    def __post_init__(self) -> None:
        check_fields(self)


def command_of(settings: InferenceBench | TrainBench) -> str:
    """The command that measures this again, as a shell takes it."""
    what = ["train"] if isinstance(settings, TrainBench) else ["inference", str(settings.fold)]
    for name, value in plain(settings).items():
        if isinstance(value, Mapping):
            what += [part for key, one in value.items() for part in ("--arch-option", f"{key}={json.dumps(one)}")]
        elif value is not None and value is not False:
            what.append(f"--{name.replace('_', '-')}")
            if value is not True:
                what.append(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
    return shlex.join(["foldnet", "bench", *what])
