"""Ways to spoil files and folders: what accidents, strangers and attackers do to them."""

import copy
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 100, 10**6, 10**9, 2**63, 10**30, -(10**18)),
    *(0.5, -0.0, 1e-320, 1e308, -1e308),
    *("", "x", "last", "best", "stage1", "digits", "folder", "cuda:7", "..", "../../outside", "/dev/zero", "a\0b"),
    *("\x1b[31mred\x1b[0m", "\u202egnp.exe", "\n\nError: all is lost", "9" * 5000, "é" * 300),
    *([], {}, [[]], [None], [1, "a", {}], {"a": [1]}, {"kind": "fold"}, [0] * 1000),
)
DEEP = "[" * 3000 + "]" * 3000
ODD_TEXTS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 5000,
    DEEP,
    '{"a":' * 200 + "1" + "}" * 200,
    r'"\ud800"',
    "",
)


def spoil(folder: Path, rng: random.Random, outside: Path) -> str:
    """Change something in `folder`; what was done, in words."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if not files:
        return "nothing"
    file = rng.choice(files)
    json_files = [path for path in files if path.suffix == ".json"]
    kind = rng.choice(("bytes", "bytes", "json", "json", "json", "json", "place", "tensors"))
    if kind == "json" and json_files:
        file = rng.choice(json_files)
        done = _spoil_json(file, rng)
    elif kind == "place":
        done = rng.choice(PLACES)(file, rng, outside)
    elif kind == "tensors" and file.suffix == ".safetensors":
        done = _spoil_tensors(file, rng)
    else:
        done = rng.choice(BYTES)(file, rng)
    return f"{file.relative_to(folder)}: {done}"


def _flip(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 8))):
        if content:
            content[_place(len(content), rng)] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    return "flipped bits"


def _place(size: int, rng: random.Random) -> int:
    """Where: half of the time near the beginning, where headers are."""
    return rng.randrange(min(size, 200) if rng.random() < 0.5 else size)


def _cut(file: Path, rng: random.Random) -> str:
    size = rng.randrange(file.stat().st_size + 1)
    os.truncate(file, size)
    return f"cut to {size} bytes"


def _lengthen(file: Path, rng: random.Random) -> str:
    size = rng.choice((1, 100, 20 << 20, 1 << 40))
    os.truncate(file, file.stat().st_size + size)
    return f"{size} zeros more"


def _empty(file: Path, rng: random.Random) -> str:
    file.write_bytes(b"")
    return "emptied"


def _garble(file: Path, rng: random.Random) -> str:
    file.write_bytes(
        rng.choice((b"\xff\xfe\x00", b"null", b"[]", b"{}", b"0", b'"run"', DEEP.encode(), rng.randbytes(300)))
    )
    return "replaced by garbage"


def _double(file: Path, rng: random.Random) -> str:
    file.write_bytes(file.read_bytes() * 2)
    return "written twice"


def _drop_lines(file: Path, rng: random.Random) -> str:
    lines = file.read_bytes().splitlines(keepends=True)
    rng.shuffle(lines)
    file.write_bytes(b"".join(lines[: rng.randrange(len(lines) + 1)]))
    return "lines lost and shuffled"


def _remove(file: Path, rng: random.Random, outside: Path) -> str:
    file.unlink()
    return "removed"


def _link(file: Path, rng: random.Random, outside: Path) -> str:
    target = rng.choice(
        (outside / "secret.json", outside / "secret.safetensors", Path("/dev/zero"), file, outside / "no")
    )
    file.unlink()
    file.symlink_to(target)
    return f"a link to {target}"


def _link_to_itself_elsewhere(file: Path, rng: random.Random, outside: Path) -> str:
    moved = outside / f"moved{rng.randrange(10**9)}{file.suffix}"
    shutil.move(file, moved)
    file.symlink_to(moved)
    return "moved outside, a link left"


def _link_folder(file: Path, rng: random.Random, outside: Path) -> str:
    folder = file.parent
    moved = outside / f"folder{rng.randrange(10**9)}"
    shutil.move(folder, moved)
    folder.symlink_to(moved)
    return "its folder moved outside, a link left"


def _pipe(file: Path, rng: random.Random, outside: Path) -> str:
    file.unlink()
    os.mkfifo(file)
    return "a named pipe"


def _folder(file: Path, rng: random.Random, outside: Path) -> str:
    file.unlink()
    file.mkdir()
    (file / "x").write_text("x")
    return "a folder"


def _swap(file: Path, rng: random.Random, outside: Path) -> str:
    others = [path for path in sorted(file.parent.parent.rglob("*")) if path.is_file() and not path.is_symlink()]
    other = rng.choice(others)
    first, second = file.read_bytes(), other.read_bytes()
    file.write_bytes(second)
    other.write_bytes(first)
    return f"swapped with {other.name}"


def _lock(file: Path, rng: random.Random, outside: Path) -> str:
    name = rng.choice(("lock.json", ".lock", "last", "certificate.json", "report.json.tmp", "lsm.csv", "graph.json"))
    place = file.parent / name
    if place.exists():
        return "nothing"
    if rng.random() < 0.5:
        place.symlink_to(outside / "secret.json")
        return f"{name} is a link outside"
    os.mkfifo(place)
    return f"{name} is a pipe"


BYTES: tuple[Callable[[Path, random.Random], str], ...] = (
    _flip,
    _flip,
    _cut,
    _lengthen,
    _empty,
    _garble,
    _double,
    _drop_lines,
)
PLACES: tuple[Callable[[Path, random.Random, Path], str], ...] = (
    *(_remove, _link, _link_to_itself_elsewhere, _link_folder, _pipe, _folder, _swap, _lock),
)


def _spoil_json(file: Path, rng: random.Random) -> str:
    """Replace, remove or add values of a JSON file."""
    try:
        value = json.loads(file.read_text())
    except ValueError:
        return "nothing"
    said = [_change(value, rng) for _ in range(rng.choice((1, 1, 1, 2, 5)))]
    text = json.dumps(value)
    if rng.random() < 0.15:
        odd = rng.choice(ODD_TEXTS)
        text = text.replace('"HERE"', odd) if '"HERE"' in text else text.replace(": ", f": {odd} ", rng.randrange(3))
        said.append(f"with {odd[:20]}")
    file.write_text(text)
    return "; ".join(said)


def _change(value: Any, rng: random.Random) -> str:
    """Change one place of a JSON value."""
    way = []
    while isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = rng.choice(keys)
        way.append(str(key))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
            value = inner
            continue
        what = rng.random()
        if what < 0.1:
            del value[key]
            return f"{'.'.join(way)} removed"
        if what < 0.15 and isinstance(value, dict):
            value["odd"] = value.pop(key)
            return f"{'.'.join(way)} renamed"
        if what < 0.25 and isinstance(value, list):
            value.extend([inner] * rng.choice((1, 1000)))
            return f"{'.'.join(way)} repeated"
        new = copy.deepcopy(rng.choice(ODD_VALUES))  # what is changed next may lie in it, and later cases use it too
        if what < 0.5 and isinstance(inner, int | float) and not isinstance(inner, bool):
            new = rng.choice((inner + 1, inner - 1, inner * 1000, -inner, float(inner), str(inner)))
        value[key] = new
        return f"{'.'.join(way)} = {str(new)[:30]!r}"
    return "nothing"


def _spoil_tensors(file: Path, rng: random.Random) -> str:
    """Other types, shapes, names and values, with digests that fit."""
    import torch

    from foldnet.store.tensors import load_tensors, save_tensors

    found = load_tensors(file)
    tensors, metadata = dict(found.tensors), dict(found.metadata)
    name = rng.choice(sorted(tensors))
    tensor = tensors[name]
    what = rng.choice(
        ("dtype", "shape", "nan", "inf", "huge", "name", "lost", "more", "metadata", "transposed", "scalar")
    )
    if what == "dtype":
        tensors[name] = tensor.to(rng.choice((torch.float64, torch.int64, torch.bool, torch.float16, torch.uint8)))
    elif what == "shape":
        tensors[name] = tensor.flatten()
    elif what == "transposed":
        tensors[name] = tensor.transpose(0, -1).contiguous() if tensor.dim() > 1 else tensor.repeat(2)
    elif what == "scalar":
        tensors[name] = torch.zeros((), dtype=tensor.dtype)
    elif what in ("nan", "inf", "huge") and tensor.is_floating_point():
        tensors[name] = torch.full_like(tensor, {"nan": float("nan"), "inf": float("inf"), "huge": 3e38}[what])
    elif what == "name":
        tensors[rng.choice(("x", "\x1b[31m", "a/b/c", f"{name}x"))] = tensors.pop(name)
    elif what == "lost":
        del tensors[name]
    elif what == "more":
        tensors[f"{name}.more"] = tensor.clone()
    else:
        _change(metadata, rng)
    try:
        file.unlink()
        save_tensors(file, tensors, metadata)
    except ValueError:
        return "nothing"
    return f"tensor '{name}': {what}, digests made anew"


def seal_anew(folder: Path) -> None:
    """Make the digests of a folder fit what is in it, as whoever forges it would."""
    file = folder / "config.json"
    if not file.is_file() or file.stat().st_size > 64 << 20:
        return  # as long as a device that a link leads to, or as a hole of gigabytes
    try:
        config = json.loads(file.read_text())
        for name in config["files"]:
            if (folder / name).is_file() and (folder / name).stat().st_size < 64 << 20:
                config["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        content = {key: value for key, value in config.items() if key != "sha256"}
        config["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if not file.is_symlink():
            file.write_text(json.dumps(config))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, AttributeError):
        return
