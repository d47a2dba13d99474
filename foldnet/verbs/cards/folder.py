"""The folder of a card: a fold's own files under the names that the Hugging Face Hub expects, with README.md and a
picture beside them. What opens folds opens it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from foldnet.drawing.dot import write_graph
from foldnet.drawing.graph import program_graph
from foldnet.errors import FoldnetError, MissingTool, OutputError
from foldnet.folding.folds import MODEL, open_fold
from foldnet.proof.certificate_file import CERTIFICATE, write_certificate
from foldnet.store.artifact import FOLD
from foldnet.store.files import write_whole
from foldnet.store.seals import SEAL, sha256_of
from foldnet.verbs.cards.facts import Facts
from foldnet.verbs.cards.readme import PICTURE, readme_of

OWN = ("schema", "kind", SEAL)  # of a config.json, which are written anew
README = "README.md"


def write_card(folder: Path, facts: Facts) -> tuple[dict[str, str], str]:
    """Fill `folder`, which exists: the SHA-256 of every file by name, and why there is no picture, "" where there is
    one."""
    fold = facts.fold
    names = dict(zip(fold.stated, (MODEL, *fold.stated[1:]), strict=True))
    for name, named in names.items():
        shutil.copyfile(fold.folder / name, folder / named)
    stated = {named: sha256_of(folder / named) for named in names.values()}
    FOLD.write_config(folder, _config(fold.folder) | {"files": stated})
    digests = {"config.json": sha256_of(folder / "config.json"), **stated}
    if facts.certificate is not None:
        # The same fold, whose files have other names here.
        write_certificate(folder, replace(facts.certificate, files=digests.copy()), facts.name)
        digests[CERTIFICATE] = sha256_of(folder / CERTIFICATE)
    without = _draw(folder / PICTURE, facts)
    if not without:
        digests[PICTURE] = sha256_of(folder / PICTURE)
    write_whole(folder / README, readme_of(facts, digests, picture=not without))
    return digests | {README: sha256_of(folder / README)}, without


def _config(fold: Path) -> dict[str, Any]:
    """What a fold's config.json says besides its files; where its user's files lie is nobody else's business."""
    config = {name: value for name, value in FOLD.config(fold).items() if name not in OWN}
    settings = config.get("settings")
    if isinstance(settings, dict) and isinstance(settings.get("clusters"), str):
        config["settings"] = settings | {"clusters": Path(settings["clusters"]).name}
    return config


def _draw(file: Path, facts: Facts) -> str:
    """Draw the folded network; why it was not."""
    graph = program_graph(facts.fold.program, gains=facts.fold.gains())
    try:
        write_graph(graph, file, facts.fold.arch)
    except MissingTool as missing:
        return str(missing).replace(f"'{file}'", "it")
    return ""


def check_card(folder: Path) -> None:
    """Raise OutputError unless a folder is empty, or a card that holds nothing of its owner's besides README.md."""
    refusal = f"'{folder}' is not a card, and `force=True` replaces no other; give `out` another name"
    if not folder.is_dir():
        raise OutputError(refusal)
    if any(folder.iterdir()):
        try:
            if MODEL not in dict(open_fold(folder).files):
                raise OutputError(refusal)
        except FoldnetError:
            raise OutputError(refusal) from None
        notes = set(FOLD.contents_of(folder).notes) - {README}
        FOLD.check_replaceable(folder, open_fold, force=1 if notes else 2)
