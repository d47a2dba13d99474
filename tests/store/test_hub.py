"""Places on the Hugging Face Hub: what names one, and what is said where one cannot be had."""

import sys
from pathlib import Path

import huggingface_hub
import pytest
from hub import logged_in

from foldnet.errors import MissingTool, RunError, SettingError, UnknownName
from foldnet.store import hub


@pytest.fixture
def there(monkeypatch, tmp_path):
    """A Hub on the loopback that knows who pushes."""
    with logged_in(monkeypatch, tmp_path) as found:
        yield found


def fetch(name, *files):
    with hub.fetched(hub.hub_name(name), files) as (folder, commit):
        return commit, {file.name: file.read_bytes() for file in folder.iterdir() if not file.is_symlink()}


@pytest.mark.parametrize(
    ("named", "repo", "revision"),
    [
        ("hf://me/x", "me/x", None),
        (Path("hf://me/x"), "me/x", None),
        ("hf://me/x.y-z_1@v1.0", "me/x.y-z_1", "v1.0"),
        ("hf://me/x@refs/pr/1", "me/x", "refs/pr/1"),
        ("hf/x", None, None),
        ("runs/a", None, None),
    ],
)
def test_what_names_a_place(named, repo, revision):
    found = hub.hub_name(named)
    assert (getattr(found, "repo", None), getattr(found, "revision", None)) == (repo, revision)
    assert found is None or hub.hub_name(str(found)) == found


@pytest.mark.parametrize(
    "named", ["hf://", "hf://me", "hf://me/x/y", "hf://me/x@", "hf://me/x@../y", "hf://../x", "hf://me/x y"]
)
def test_what_names_none(named):
    with pytest.raises(
        SettingError, match=r"^'.*' names no place on the Hub; write hf://owner/name or hf://owner/name@revision$"
    ):
        hub.hub_name(named)


def test_files_that_are_known_are_fetched_of_a_revision_and_no_others(there):
    first = there.commit("me/x", {"a.json": b"1", "evil.py": b"raise", "b/c.json": b"2"})
    there.commit("me/x", {"a.json": b"2"})
    assert fetch("hf://me/x", "a.json", "z.json")[1] == {"a.json": b"2"}
    assert fetch(f"hf://me/x@{first}", "a.json") == (first, {"a.json": b"1"})
    assert not any("evil" in asked or "b/c" in asked for asked in there.asked)
    assert there.agents
    assert not any("torch" in agent for agent in there.agents)  # what is installed here is nobody's business


def test_what_is_not_there_is_said(there):
    there.commit("me/x", {"a.json": b"1"})
    with pytest.raises(
        UnknownName,
        match=r"^there is no 'hf://me/none' on the Hub for whoever is logged in; check its name, or log in with `hf auth login` if it is private$",
    ):
        fetch("hf://me/none", "a.json")
    with pytest.raises(UnknownName, match=r"^'hf://me/x' has no revision 'v2'; check its name on the Hub$"):
        fetch("hf://me/x@v2", "a.json")


def test_what_is_said_of_fetched_files_names_the_place(there):
    there.commit("me/x", {"a.json": b"1"})
    with (
        pytest.raises(RunError, match=r"^'hf://me/x@main/a\.json' is bad$"),
        hub.fetched(hub.hub_name("hf://me/x@main"), ["a.json"]) as (folder, _),
    ):
        raise RunError(f"'{folder / 'a.json'}' is bad")


def test_who_may_not_push_and_a_network_that_is_away_are_said(there, monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "_hub", lambda: huggingface_hub.HfApi(endpoint=there.url, token=False))
    with pytest.raises(
        SettingError,
        match=r"^pushing to 'hf://me/x' is not allowed to whoever is logged in; log in with `hf auth login` as somebody who may$",
    ):
        hub.push(tmp_path, hub.hub_name("hf://me/x"), "m")
    monkeypatch.setattr(hub, "_hub", lambda: huggingface_hub.HfApi(endpoint="http://127.0.0.1:9", token=False))
    away = r"^the Hub cannot be reached for 'hf://me/y' \(.*Connection refused.*\); check the connection, or name a folder here$"
    with pytest.raises(RunError, match=away):
        fetch("hf://me/y", "a.json")
    with pytest.raises(RunError, match=away):
        hub.push(tmp_path, hub.hub_name("hf://me/y"), "m")


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)
    with pytest.raises(
        MissingTool,
        match=r"^'hf://me/x' needs the package huggingface_hub; install it with `pip install 'foldnet\[hub\]'`$",
    ):
        fetch("hf://me/x", "a.json")
