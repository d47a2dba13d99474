"""Where the numbers of a page come from: files with their digests, and the commands that say the same."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from foldnet.show.html import Markup, element
from foldnet.show.page import copied
from foldnet.store.seals import sha256_of
from foldnet.zoo.code import file_named

SHOWN = 12  # letters of a digest


@dataclass(frozen=True, slots=True)
class Source:
    """What some numbers come from: the name of a file and its SHA-256, and the command that prints or draws them, if
    one does."""

    file: str
    sha256: str
    command: str = ""

    def to_html(self) -> Markup:
        """In small print below the numbers."""
        digest = element("code", self.sha256[:SHOWN], title=self.sha256)
        said = ("Source: ", element("code", self.file), " (SHA-256 ", digest, "…)")
        told = (", also told by ", copied(self.command)) if self.command else None
        return element("p", said, told, class_="source")


def source_of(folder: Path, name: str, command: str = "") -> Source:
    """Of a file in a folder. Raises RunError where it cannot be read."""
    return Source(f"{said(folder)}/{name}", sha256_of(folder / name), command)


def said(folder: Path) -> str:
    """A folder as a page names it: pages are given away, and where it lies on this machine is nobody's business, so
    that outside of the working directory it is the name alone."""
    if not folder.is_absolute():
        return str(folder) if ".." not in folder.parts else folder.resolve().name
    inside = os.path.relpath(folder)
    return folder.name if inside.startswith("..") else inside


def command(*words: str) -> str:
    """A command as a shell takes it; a user's file that may run here must be named to it too."""
    code = file_named()
    naming = [] if code is None or words[0] == "train" else ["--code", said(code)]
    return shlex.join(["foldnet", *words, *naming])
