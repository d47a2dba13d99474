"""The Hugging Face Hub: what lies there is fetched, and folders are pushed, where whoever calls names it, never else.

Its own package, huggingface_hub, talks to it, keeps what was fetched, and knows who is logged in. What comes from there
is files alone, of which the names are known: none of them is code, and none is run.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from foldnet.errors import FoldnetError, MissingTool, RunError, SettingError, UnknownName

SCHEME = re.compile(r"hf:/{1,2}(?=[^/]|$)")  # a Path has taken one of the slashes away
NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(@(?P<revision>[\w.-]+(/[\w.-]+)*))?")
LOGIN = "log in with `hf auth login`"


@dataclass(frozen=True, slots=True)
class HubName:
    """A place on the Hub, "owner/name", and the branch, tag or commit that is meant, None for the main branch."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.repo}" + (f"@{self.revision}" if self.revision else "")


def hub_name(named: Path | str) -> HubName | None:
    """The place that "hf://owner/name" or "hf://owner/name@revision" names; None for what is a path. Raises
    SettingError for a name that no place has."""
    found = SCHEME.match(str(named))
    if found is None:
        return None
    return repo_named(str(named)[found.end() :], str(named))


def repo_named(text: str, said: str) -> HubName:
    """The place that "owner/name" names. Raises SettingError for anything else, quoting what was `said`."""
    found = NAME.fullmatch(text)
    if found is None or ".." in text:
        raise SettingError(f"'{said}' names no place on the Hub; write hf://owner/name or hf://owner/name@revision")
    return HubName(found["repo"], found["revision"])


@contextmanager
def fetched(name: HubName, files: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """(a folder of its own, the commit): those of `files` that lie at a place on the Hub, as plain files, until the
    block ends. What is said of the folder's files in the block names the place.

    Raises MissingTool without huggingface_hub, UnknownName for a place or revision that is not there, RunError where
    the Hub cannot be reached and what is wanted is not kept from before.
    """
    with TemporaryDirectory(prefix="foldnet-") as place:
        with _said_of(name):
            kept = Path(_hub().snapshot_download(name.repo, revision=name.revision, allow_patterns=list(files)))
        folder = Path(place) / name.repo.split("/")[1]
        folder.mkdir()
        for file in files:
            if (kept / file).is_file():  # a link into the store of huggingface_hub, where foldnet follows none
                shutil.copyfile(kept / file, folder / file)
        try:
            yield folder, kept.name
        except FoldnetError as error:
            raise type(error)(str(error).replace(str(folder), str(name))) from None


def push(folder: Path, name: HubName, message: str, *, private: bool = False) -> str:
    """Push a folder's files as one commit, to a place that is made where it is not there, and then is seen by its owner
    alone if `private`. Returns the commit's address. Raises SettingError where that is not allowed."""
    with _said_of(name, pushing=True):
        hub = _hub()
        hub.create_repo(name.repo, private=private, exist_ok=True)
        made = hub.upload_folder(repo_id=name.repo, folder_path=folder, revision=name.revision, commit_message=message)
    return str(made.commit_url)


def _hub() -> Any:
    """Who talks to the Hub."""
    from huggingface_hub import HfApi

    return HfApi()


@contextmanager
def _said_of(name: HubName, *, pushing: bool = False) -> Iterator[None]:
    """Whatever huggingface_hub raises in this block as one sentence."""
    try:
        import huggingface_hub.errors as known
    except ImportError:
        raise MissingTool(
            f"'{name}' needs the package huggingface_hub; install it with `pip install 'foldnet[hub]'`"
        ) from None
    try:
        with _quietly():
            yield
    except known.GatedRepoError:
        raise SettingError(
            f"'{name}' is given to those alone whom its owner lets in; ask on its page, and {LOGIN}"
        ) from None
    except known.RevisionNotFoundError:
        raise UnknownName(f"'hf://{name.repo}' has no revision '{name.revision}'; check its name on the Hub") from None
    except known.HFValidationError as error:
        raise SettingError(f"'{name}' names no place on the Hub ({_reason(error)}); write hf://owner/name") from None
    except (known.LocalTokenNotFoundError, known.HfHubHTTPError, known.EntryNotFoundError, OSError) as error:
        raise _refused(name, error, pushing) from None
    except Exception as error:
        # Which errors a lost connection gives depends on the HTTP library below, which has changed twice.
        if type(error).__module__.partition(".")[0].startswith(("httpx", "httpcore", "requests", "huggingface_hub")):
            raise _unreached(name, error) from None
        raise


@contextmanager
def _quietly() -> Iterator[None]:
    """Let huggingface_hub show nothing in this block, and tell the Hub no more of this machine than it must."""
    bars: Any = import_module("huggingface_hub.utils")
    constants: Any = import_module("huggingface_hub.constants")
    shown, told = not bars.are_progress_bars_disabled(), constants.HF_HUB_DISABLE_TELEMETRY
    bars.disable_progress_bars()
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = told
        if shown:
            bars.enable_progress_bars()


def _refused(name: HubName, error: Exception, pushing: bool) -> FoldnetError:
    """What is said of an answer that is an error, or of none."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if pushing and (status in (401, 403) or type(error).__name__ == "LocalTokenNotFoundError"):
        return SettingError(f"pushing to '{name}' is not allowed to whoever is logged in; {LOGIN} as somebody who may")
    if status in (401, 403, 404):
        return UnknownName(
            f"there is no '{name}' on the Hub for whoever is logged in; check its name, or {LOGIN} if it is private"
        )
    return _unreached(name, error)


def _unreached(name: HubName, error: Exception) -> RunError:
    """What is said where the Hub does not answer."""
    return RunError(
        f"the Hub cannot be reached for '{name}' ({_reason(error)}); check the connection, or name a folder here"
    )


def _reason(error: Exception) -> str:
    """The first line of what someone else's error says, short enough for a sentence."""
    said = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    return said if len(said) <= 100 else f"{said[:99]}…"
