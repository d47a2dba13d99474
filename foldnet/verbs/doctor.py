"""foldnet doctor: what this machine offers, and what foldnet chooses and why."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, ClassVar

import torch

from foldnet.hardware import Gpu, Processor, gpus, memory_bytes, processor
from foldnet.show.report import Report, Table, Text, counted, gibibytes
from foldnet.store.codec import to_plain
from foldnet.store.files import runs_home
from foldnet.training.learner import COMPILERS, choose_compilation
from foldnet.training.machine import choose_machine

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Choice:
    """What foldnet takes where nobody says otherwise, and why."""

    what: str
    choice: str
    why: str


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part of foldnet: the packages that it needs, with their versions (None: not installed)."""

    computed: ClassVar = ("present",)
    name: str
    packages: dict[str, str | None]

    @property
    def present(self) -> bool:
        """Whether everything is there."""
        return None not in self.packages.values()


@dataclass(frozen=True, slots=True)
class Health(Report):
    """What `foldnet doctor` says. Bytes are None where the system does not tell; `notes` are what should be mended."""

    versions: dict[str, str]
    cuda: str | None
    gpus: tuple[Gpu, ...]
    processor: Processor
    threads: int
    memory_bytes: int | None
    memory_free_bytes: int | None
    runs: str
    disk_free_bytes: int
    disk_writable: bool
    graphviz: str | None
    compiler: str | None
    extras: tuple[Extra, ...]
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data, in what is offered and what is chosen."""
        offers = to_plain(self) | {"platform": platform.platform()}
        choices, notes = offers.pop("choices"), offers.pop("notes")
        return {
            "offers": offers | {"extras": {extra.pop("name"): extra for extra in offers["extras"]}},
            "chooses": {choice.pop("what").replace(" ", "_"): choice for choice in choices},
            "notes": notes,
        }

    def parts(self) -> Iterator[Table | Text]:
        """What is offered, what is chosen, what should be mended, and how to prove it."""
        yield Table("", ("offered", ""), tuple(self._offers()))
        chosen = tuple((choice.what, choice.choice, choice.why) for choice in self.choices)
        yield Table("", ("chosen", "", "why"), chosen)
        yield from (Text(f"note: {note}", "note") for note in self.notes)
        yield Text("prove it: foldnet doctor --check")

    def _offers(self) -> Iterator[tuple[str, str]]:
        """The rows of the first table."""
        cpu, missing = self.processor, "none"
        yield "versions", ", ".join(f"{name} {number}" for name, number in self.versions.items())
        yield "CUDA", f"torch built for {self.cuda}" if self.cuda else "torch built without"
        for gpu in self.gpus:
            about = f"{gibibytes(gpu.memory_bytes)}, capability {gpu.capability}{', bf16' if gpu.bf16 else ''}"
            yield "GPU", f"{gpu.name}, {about}"
        if not self.gpus:
            yield "GPU", missing
        yield "processor", f"{cpu.name}, {cpu.cores} of {cpu.logical} cores, {counted(self.threads, 'thread')}"
        yield "vectors", ", ".join(cpu.features) or missing
        yield "memory", f"{gibibytes(self.memory_bytes)}, {gibibytes(self.memory_free_bytes)} free"
        writable = "" if self.disk_writable else ", NOT writable"
        yield f"disk at {self.runs}/", f"{gibibytes(self.disk_free_bytes)} free{writable}"
        yield "Graphviz", self.graphviz or missing
        yield "C++ compiler", self.compiler or missing
        for extra in self.extras:
            absent = ", ".join(name for name, number in extra.packages.items() if number is None)
            mend = f"no ({absent} missing): pip install 'foldnet[{extra.name}]'"
            yield f"extra {extra.name}", mend if absent else "yes"


def doctor() -> Health:
    """Look at the machine; nothing is written, and nothing that is missing is an error."""
    home, cpu, found, threads = runs_home(), processor(), gpus(), torch.get_num_threads()
    versions, notes = _versions()
    dot, compiler = _graphviz(), next(filter(None, map(shutil.which, COMPILERS)), None)
    total, free = memory_bytes()
    disk_free, writable = _disk(home)
    if dot is None:
        notes.append("Graphviz's dot is missing and graph pictures need it; install Graphviz (apt install graphviz)")
    if not writable:
        notes.append(f"'{home}' cannot be written here; give `out` another place")
    choices = tuple(_choices(cpu, found, threads))
    if choices[0].choice == "cpu" and cpu.load is not None and cpu.load > cpu.cores and threads > 1:
        notes.append(
            f"other programs keep the processor busy (load {cpu.load:.1f} on {cpu.cores} cores), and threads then wait "
            "for each other; OMP_NUM_THREADS=1 may be faster"
        )
    return Health(
        versions=versions,
        cuda=torch.version.cuda,
        gpus=found,
        processor=cpu,
        threads=threads,
        memory_bytes=total,
        memory_free_bytes=free,
        runs=str(home),
        disk_free_bytes=disk_free,
        disk_writable=writable,
        graphviz=dot,
        compiler=compiler,
        extras=_extras(),
        choices=choices,
        notes=tuple(notes),
    )


def _choices(cpu: Processor, found: tuple[Gpu, ...], threads: int) -> Iterator[Choice]:
    """Device, precision, layout, compilation and threads."""
    machine = choose_machine()
    if machine.device.type == "cuda":
        has = "has bf16 in hardware" if machine.precision == "bf16" else "has no bf16 in hardware"
        yield Choice("device", "cuda", f"there is a GPU: {found[0].name}")
        yield Choice("precision", machine.precision, f"{found[0].name} {has}")
    else:
        built = torch.version.cuda
        missing = "this torch was built without CUDA" if built is None else f"torch (CUDA {built}) sees no GPU"
        slow = "without AMX or AVX512-BF16 bf16 is emulated, which is slower"
        yield Choice("device", "cpu", missing)
        fast = f"the processor multiplies bf16 in hardware ({cpu.bf16})"
        yield Choice("precision", machine.precision, fast if machine.precision == "bf16" else slow)
    yield Choice("memory format", "channels_last", "convolutions are fastest so, and templates are kept in that layout")
    compilation = choose_compilation("auto", machine)
    yield Choice("compile", f"on ({compilation.mode})" if compilation.on else "off", compilation.why)
    asked = [f"{name} is {os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    yield Choice("threads", str(threads), asked[0] if asked else f"torch's choice for {cpu.cores} cores")


def _versions() -> tuple[dict[str, str], list[str]]:
    """Versions of what training needs, and what to say where something cannot be imported."""
    versions = {"foldnet": version("foldnet"), "python": platform.python_version(), "torch": str(torch.__version__)}
    try:
        versions["torchvision"] = str(import_module("torchvision").__version__)
    except Exception as error:  # beside a torch of another build it fails in many ways
        reason = str(error).partition("\n")[0]
        said = f"torchvision cannot be imported ({reason}), and CIFAR and folder need it"
        return versions, [f"{said}; install the one built for this torch"]
    return versions, []


def _disk(folder: Path) -> tuple[int, bool]:
    """(free bytes, whether it can be written) where `folder` is or would be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free, place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _graphviz() -> str | None:
    """The version of dot, or its path where it does not say; None where it is missing."""
    path = shutil.which("dot")
    if path is None:
        return None
    try:
        said = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return path
    match = re.search(r"version (\S+)", said.stderr + said.stdout)
    return match[1] if match else path


def _extras() -> tuple[Extra, ...]:
    """The optional parts, as the installed foldnet declares them."""
    packages: dict[str, dict[str, str | None]] = {}
    for line in requires("foldnet") or []:
        if match := re.match(r"""([\w.-]+).*;\s*extra\s*==\s*["']([\w.-]+)["']""", line):
            found = packages.setdefault(match[2], {})
            found[match[1]] = None
            with suppress(PackageNotFoundError):
                found[match[1]] = version(match[1])
    return tuple(Extra(name, found) for name, found in packages.items())
