"""Text as a dataset: the bytes of a file, of a folder's files, or of Python's own documentation, in three parts that
follow each other: to train on, to choose by, to test on."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foldnet.data.augment import Augmentation, shifts
from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset, Split, unscaled
from foldnet.data.tasks import BYTES
from foldnet.data.windows import read_windows, windows_of
from foldnet.errors import DataError, SettingError
from foldnet.store.codec import NotPlain, open_plain

LARGEST = 2 << 30  # bytes of a file: a text lives in memory
ENDING = ".txt"  # of the files of a folder
TEST = 10  # the last of so many parts of a text is to test on
VALUES = 256  # of a byte


class TextLoader(Loader):
    """Batches of windows of a text, which lives on `device`. In an epoch of training each window begins up to its
    length later, by a number drawn from (seed, epoch, window): a byte stands at another place in every epoch.

    Shapes: x (b, length) int64, y (b, length) int64, the byte that follows each.
    """

    def _hold(self, dataset: Dataset, images: Any) -> None:
        self.text, self.length = images.text.to(self.device), images.length

    def _walk(
        self, order: Tensor, start: int, epoch: int, augmentation: Augmentation | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of an order (n,) on the CPU."""
        for rows in self._parts(order.to(self.device))[start:]:
            ids = self.ids[rows]
            starts = ids * self.length
            if augmentation is not None:
                moved = starts + shifts(ids, self.seed, epoch, self.length)
                starts = moved.clamp_max(len(self.text) - 1 - self.length)
            yield read_windows(self.text, starts, self.length)


def load_text(place: Path | None, context: int, validation: float) -> tuple[Dataset, Split]:
    """The text at a place, cut into windows of `context` bytes: its last tenth to test on, and of what stands before
    the last `validation` bytes, or a share of them below 1, to choose by.

    Nothing is drawn, so that what is trained on never touches what follows it. The hash is over the bytes that are
    trained and chosen on. Raises DataError where the place is not a plain file or a folder of such, or its text has too
    few bytes, SettingError for a number of bytes that cannot be set aside.
    """
    text = torch.frombuffer(bytearray(read_documentation() if place is None else read_place(place)), dtype=torch.uint8)
    where = "the documentation inside Python" if place is None else f"'{place}'"
    test = len(text) // TEST
    held = _held(validation, len(text) - test)
    train = len(text) - test - held
    parts = {"train on": train, "choose by": held, "test on": test}
    for what, count in parts.items():
        if count <= context and not (what == "choose by" and not validation):
            raise DataError(
                f"{where} has {len(text):,} bytes, {count:,} of them to {what}, and `context={context}` needs more; "
                f"give a longer text or a shorter context"
            )
    whole, chosen, last = torch.split(text, [train, held, test])
    split = Split(
        train=windows_of(whole, context, whole=True),
        validation=windows_of(chosen, context, whole=False) if held else None,
        test=windows_of(last, context, whole=False),
        hash=_hash(whole, chosen),
    )
    return _dataset(split), split


def _dataset(split: Split) -> Dataset:
    """Bytes as they are."""
    return unscaled(
        name="text",
        classes=tuple(f"{value:02x}" for value in range(VALUES)),
        train=split.train,
        test=split.test,
        task=BYTES,
        loader=TextLoader,
    )


def read_documentation() -> bytes:
    """The pages that Python's own help() shows, by their names: the same wherever one version of Python is installed.

    Raises DataError where they were left out of an installation.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "`dataset='text'` without `data_dir` reads the documentation inside Python, and this Python was installed "
            "without pydoc_data; give a text with `data_dir`"
        ) from None
    return "\n".join(topics[name] for name in sorted(topics)).encode()


def read_place(place: Path) -> bytes:
    """The bytes of a file, or of all .txt files of a folder, in the order of their names. Raises DataError."""
    with _said(place):
        files = sorted(file for file in place.iterdir() if file.suffix == ENDING) if place.is_dir() else None
    if files is None:
        return _read(place)
    if not files:
        raise DataError(f"'{place}' holds no {ENDING} file; give a file, or a folder of {ENDING} files")
    return b"\n".join(map(_read, files))


def _read(file: Path) -> bytes:
    """The bytes of one file."""
    with _said(file), open_plain(file, links=True) as opened:
        if os.fstat(opened.fileno()).st_size > LARGEST:
            raise NotPlain(f"has more than {LARGEST:,} bytes, the most that a text may have; give a smaller one")
        content = opened.read()
    if not content:
        raise DataError(f"'{file}' is empty; give a file of text")
    return content


@contextmanager
def _said(place: Path) -> Iterator[None]:
    """Turn what keeps a place from being read into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"'{place}' cannot be read ({error.strerror}); give a text with `data_dir`") from None
    except NotPlain as error:
        raise DataError(f"'{place}' {error}") from None


def _held(validation: float, total: int) -> int:
    """How many of the bytes before the test part are set aside."""
    count = round(validation * total) if validation < 1 else int(validation)
    if validation >= 1 and (count != validation or count >= total):
        raise SettingError(
            f"`validation={validation:.12g}` is neither a share below 1 nor a whole number of bytes below {total}"
        )
    return count


def _hash(*parts: Tensor) -> str:
    """SHA-256 over the bytes of some parts, and how many each has."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(f"{len(part)}\n".encode())
        sha.update(part.numpy().data)
    return sha.hexdigest()
