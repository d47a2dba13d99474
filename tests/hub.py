"""A stand-in of the Hugging Face Hub's HTTP API on the loopback: repositories in memory, as much of it as the client asks for."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import huggingface_hub

from foldnet.store import hub

TOKEN = "hf_of_the_owner"


@dataclass
class Hub:
    """Repositories by name, each a list of commits (sha, files by name); `asked` are the requests that came, `agents` who sent them."""

    url: str = ""
    repos: dict[str, list[tuple[str, dict[str, bytes]]]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        """Add files as a commit; gives its sha."""
        commits = self.repos.setdefault(repo, [])
        sha = hashlib.sha1(f"{repo}{len(commits)}".encode()).hexdigest()
        commits.append((sha, (commits[-1][1] if commits else {}) | files))
        return sha

    def files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """(sha, files) of a revision: main, or a sha or its beginning."""
        commits = self.repos[repo]
        if revision == "main":
            return commits[-1] if commits else ("0" * 40, {})
        return next((commit for commit in commits if commit[0].startswith(revision)), None)


class Answers(BaseHTTPRequestHandler):
    """What the Hub answers."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        """Silent."""

    def answer(self, content, *, status=200, **headers):
        """Send JSON, or bytes."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, what):
        self.answer({"error": f"{what} not found"}, status=404, X_Error_Code=f"{what}NotFound", X_Error_Message="no")

    def do_GET(self):
        """Information, a listing, or a file."""
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.agents.add(self.headers["User-Agent"])
        kind, _, rest = path.partition("api/models/")
        owner, name, *more = (rest if not kind else path).split("/")
        repo = f"{owner}/{name}"
        if repo not in self.hub.repos:
            return self.missing("Repo")
        if repo in self.hub.private and self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer({"error": "no"}, status=401, X_Error_Code="RepoNotFound", X_Error_Message="no")
        found = self.hub.files(repo, more[1] if len(more) > 1 else "main")
        if found is None:
            return self.missing("Revision")
        sha, files = found
        if kind:
            return self.file(sha, files, "/".join(more[2:]))
        if more[:1] == ["tree"]:
            listed = [
                {"type": "file", "path": one, "size": len(content), "oid": oid(content)}
                for one, content in files.items()
            ]
            return self.answer(listed)
        return self.answer({"id": repo, "sha": sha, "siblings": [{"rfilename": one} for one in files], "tags": []})

    def do_HEAD(self):
        self.do_GET()

    def file(self, sha, files, name):
        """One file of a commit."""
        if name not in files:
            return self.missing("Entry")
        return self.answer(files[name], ETag=f'"{oid(files[name])}"', X_Repo_Commit=sha)

    def do_POST(self):
        """Make a repository, or a commit."""
        path, body = urlsplit(self.path).path.strip("/"), self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.hub.asked.append(f"POST {path}")
        if path == "api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer({"error": "who are you"}, status=401)
        if path == "api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'owner'}/{asked['name']}"
            if repo in self.hub.repos:
                return self.answer({"error": "it exists", "url": f"{self.hub.url}/{repo}"}, status=409)
            self.hub.repos[repo] = []
            if asked.get("private") or asked.get("visibility") == "private":
                self.hub.private.add(repo)
            return self.answer({"url": f"{self.hub.url}/{repo}", "name": repo})
        _, _, owner, name, what, _ = path.split("/")
        repo = f"{owner}/{name}"
        if what == "preupload":
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        entries = [json.loads(line) for line in body.splitlines()]
        sha = self.hub.commit(
            repo,
            {
                one["value"]["path"]: base64.b64decode(one["value"]["content"])
                for one in entries
                if one["key"] == "file"
            },
        )
        return self.answer({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{repo}/commit/{sha}"})


def oid(content: bytes) -> str:
    """As git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving():
    """A Hub that answers until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Answers,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def logged_in(monkeypatch, tmp_path):
    """Such a Hub, which foldnet takes for the one there is, as its owner; what is fetched is kept under `tmp_path`."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "kept"))
    with serving() as found:
        monkeypatch.setattr(hub, "_hub", lambda: huggingface_hub.HfApi(endpoint=found.url, token=TOKEN))
        yield found
