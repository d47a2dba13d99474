"""foldnet card: a fold as the Hugging Face Hub expects a model, pushed there where asked for, or fetched from there."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from foldnet.bounds import checked
from foldnet.errors import SettingError
from foldnet.folding.folds import open_fold
from foldnet.folding.opening import fold_folder, unverified
from foldnet.proof.certificate_file import CERTIFICATE
from foldnet.show.report import Report, Table, Text, counted
from foldnet.store.artifact import CARD_FILES
from foldnet.store.files import new_folder, refuse_unnamed
from foldnet.store.hub import HubName, fetched, hub_name, repo_named
from foldnet.store.hub import push as push_folder
from foldnet.store.seals import check_files, sha256_of
from foldnet.verbs.cards.facts import Facts, certificate_of, facts_of
from foldnet.verbs.cards.folder import check_card, write_card
from foldnet.zoo.family import runs_code

FETCHED = (*CARD_FILES, "graph.png")


@dataclass(frozen=True, slots=True)
class CardReport(Report):
    """A card: the `folder` that holds it, None where it was only pushed, what it is `of`, and the SHA-256 of its files
    by name.

    `pushed` is the address of the commit that holds it, `commit` the one that was fetched. `notes` say what is not in
    it and what nobody has verified.
    """

    folder: str | None
    of: str
    files: dict[str, str]
    bytes: int
    pushed: str | None = None
    commit: str | None = None
    notes: tuple[str, ...] = ()

    def parts(self) -> Iterator[Table | Text]:
        """Its files, where it is, and the notes."""
        yield Table("", ("file", "SHA-256"), tuple((name, f"{digest[:16]}…") for name, digest in self.files.items()))
        yield Text(f"card of {self.of}: {counted(len(self.files), 'file')}, {self.bytes:,} bytes")
        if self.folder is not None:
            yield Text(f"wrote {self.folder}")
        if self.pushed is not None:
            yield Text(f"pushed as {self.pushed}")
        yield from (Text(note, "note") for note in self.notes)


@runs_code
@checked
def card(
    path: Path | str | None = None,
    out: Path | str | None = None,
    *,
    run: Path | str | None = None,
    study: Path | str | None = None,
    license: str | None = None,
    push: str | None = None,
    private: bool = False,
    force: bool = False,
) -> CardReport:
    """Write a fold (default: the newest of the newest run) as a folder that the Hugging Face Hub takes as a model:
    README.md with front matter, picture, scores and program, model.safetensors, config.json, and the certificate.

    Nothing is measured for it: scores are those of the fold's report, and of the `study`, a study's folder or result
    file, that compares it over seeds and with controls; what is not known is said. `run` names the run of a fold that
    does not lie inside it; `license` is the owner's choice, such as "apache-2.0", and left out where there is none.
    `push` is "owner/name": the folder becomes a commit there, by the login of huggingface_hub, `private` where the
    place is made for it; without it no network is asked.

    "hf://owner/name" or "hf://owner/name@revision" as `path` fetches a card into `out` instead, and checks it by its
    hashes. `foldnet.load` opens either. With `force` a card that is at `out` is replaced, and nothing else.

    Raises RunError for a fold that is damaged or was changed, OutputError for a place that will not do, SettingError,
    UnknownName, and MissingTool where huggingface_hub is needed and not installed.
    """
    source = None if path is None else hub_name(path)
    to = None if push is None else repo_named(push.removeprefix("hf://"), push)
    _check(source, out, to, {"run": run, "study": study, "license": license, "push": push}, private)
    if source is not None:
        assert out is not None
        return _fetch(source, Path(out), force)
    folder = fold_folder(path)
    facts = facts_of(folder, run, study, license=license, place=None if to is None else str(to))
    if out is not None:
        refuse_unnamed(Path(out))
        with new_folder(Path(out), check=check_card if force else None) as place:
            made = _made(place, facts)
        return _pushed(Path(out), facts, made, str(out), to, private)
    with TemporaryDirectory(prefix="foldnet-") as place:
        made = _made(Path(place), facts)
        return _pushed(Path(place), facts, made, None, to, private)


def _check(
    source: HubName | None, out: Path | str | None, to: HubName | None, given: dict[str, object], private: bool
) -> None:
    """Raise SettingError for settings that contradict each other, or say nowhere to go."""
    if out is None and to is None:
        raise SettingError(
            "`out` is missing; give the folder to make"
            + ("" if source is not None else ", or `push` with a place on the Hub such as owner/name")
        )
    if source is not None:
        for name, value in given.items():
            if value is not None:
                raise SettingError(f"`{name}` has no meaning for '{source}', which is fetched; leave it out")
    if private and to is None:
        raise SettingError("`private=True` has no meaning without `push`; leave it out")


def _made(place: Path, facts: Facts) -> tuple[dict[str, str], int, str]:
    """A card in `place`: its digests, bytes, and why there is no picture."""
    digests, without = write_card(place, facts)
    return digests, sum((place / name).stat().st_size for name in digests), without


def _pushed(
    place: Path,
    facts: Facts,
    made: tuple[dict[str, str], int, str],
    folder: str | None,
    to: HubName | None,
    private: bool,
) -> CardReport:
    """The report of a card that lies in `place`, once it is pushed where it is to be."""
    digests, size, without = made
    address = None if to is None else push_folder(place, to, f"Add {facts.name}", private=private)
    return CardReport(folder, str(facts.fold.folder), digests, size, address, notes=tuple(_notes(facts, without)))


def _notes(facts: Facts, without: str) -> Iterator[str]:
    """What the card lacks."""
    if facts.license is None:
        yield "no licence is named: choose one with `license`, or in README.md"
    if facts.run is None:
        yield "the run is not at hand: data, seed and training are said not to be known; name it with `run`"
    if facts.certificate is None:
        yield f"nobody has verified these files: `foldnet.verify({str(facts.fold.folder)!r})` makes a certificate"
    if not facts.report.stated():
        yield f"test {facts.fold.task.measure} was not measured"
    if without:
        yield f"there is no picture: {without}"


def _fetch(source: HubName, out: Path, force: bool) -> CardReport:
    """Fetch a card from the Hub into a folder, once its files are as its config.json says."""
    refuse_unnamed(out)
    with fetched(source, FETCHED) as (found, commit):
        fold = open_fold(found)
        check_files(found, fold.files, fold.stated)
        foreign = (found / CERTIFICATE).is_file() and certificate_of(found) is None
        with new_folder(out, check=check_card if force else None) as place:
            shutil.copytree(found, place, dirs_exist_ok=True)
        digests = {file.name: sha256_of(file) for file in sorted(out.iterdir())}
    size = sum((out / name).stat().st_size for name in digests)
    more = (f"'{CERTIFICATE}' in it is of other files, and says nothing of these",) if foreign else ()
    return CardReport(str(out), str(source), digests, size, commit=commit, notes=(unverified(source, commit), *more))
