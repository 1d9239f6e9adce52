"""A small Hugging Face Hub on loopback, for the unmodified `huggingface_hub` client.

It speaks what the client asks for when it creates repos, uploads (plain LFS), commits, lists and
downloads (plain and Xet); a commit is an immutable snapshot and a branch moves in one step.
`HubServer` is a context manager. Point the client at it with `HfApi(endpoint=hub.url,
token="hf_write")`, or give another process `hub.environment(...)`.
"""

import base64
import hashlib
import json
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from huggingface_hub import ModelCard
from huggingface_hub.utils.sha import git_hash

# The user and the rights that come with each token.
TOKENS = {"hf_write": ("alice", "write"), "hf_read": ("alice", "read"), "hf_bob": ("bob", "write")}


class Refusal(Exception):
    """An answer of 4xx; the client tells the kinds of trouble apart by `code`."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.headers = status, {"X-Error-Message": message, "X-Error-Code": code}


class File(NamedTuple):
    """A committed file, by its content's sha256 and git id."""

    sha256: str
    size: int
    oid: str
    lfs: bool


class Commit(NamedTuple):
    sha: str
    message: str
    files: Mapping[str, File]


@dataclass
class Repo:
    kind: str
    name: str
    private: bool = False
    gated: bool = False
    sdk: str | None = None
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.name.split("/")[0]

    @property
    def path(self) -> str:
        return self.name if self.kind == "model" else f"{self.kind}s/{self.name}"

    def at(self, revision: str) -> Commit:
        """The commit of a branch's name or of a commit's own."""
        commit = self.commits.get(self.branches.get(revision, revision))
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit


class Request(NamedTuple):
    method: str
    path: str
    body: bytes
    token: str | None
    args: dict[str, str] = {}  # the groups of the route's pattern  # noqa: RUF012

    @property
    def user(self) -> str | None:
        return TOKENS[self.token][0] if self.token in TOKENS else None

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


Route = Callable[["HubServer", Request], Reply]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []
_NAME = r"(?P<name>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>models|spaces)/{_NAME}"
_PLAIN = rf"/(?:(?P<kind>spaces)/)?{_NAME}"


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    """Have a method of HubServer answer what the pattern matches."""
    full = pattern.replace("{API}", _API).replace("{PLAIN}", _PLAIN)
    full = full.replace("{REV}", r"(?P<revision>[^/]+)")

    def add(function: Route) -> Route:
        ROUTES.append((method, re.compile(full), function))
        return function

    return add


class HubServer:
    """The Hub: its repos, its storage, its log, and the faults that it was told to make."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.content: dict[str, bytes] = {}  # by sha256
        self.xet_hashes: dict[str, str] = {}  # by sha256, of what is downloaded through Xet
        self.requests: list[Request] = []
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.connections: set[socket.socket] = set()
        self.faults: dict[tuple[str, str], int | str] = {}  # by method and pattern
        self._stores = tempfile.TemporaryDirectory(prefix="hub-")
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.socket.listen(64)  # by default five may wait
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> "HubServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop: nothing is answered any more, not even on connections that are open."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._stores.cleanup()

    # What a test arranges and looks at.

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """What a client's process needs in its environment; `home` takes its cache and settings."""
        off = dict.fromkeys(("TELEMETRY", "PROGRESS_BARS", "XET"), "1")
        given = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_TOKEN": token or ""}
        return given | {f"HF_HUB_DISABLE_{name}": value for name, value in off.items()}

    def use(self, monkeypatch: Any, cache: Path) -> None:
        """Be the usual Hub of this process, for somebody without a token."""
        files = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        given = {"ENDPOINT": self.url, "HUGGINGFACE_CO_URL_TEMPLATE": files}
        for name, value in {**given, "HF_HUB_CACHE": str(cache)}.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv("HF_TOKEN", "")

    def put(
        self, name: str, files: dict[str, bytes], type: str = "model", branch: str = "main",
        private: bool = False, gated: bool = False,
    ) -> str:  # fmt: skip
        """Place files in a repo, made if needed, beside those it has; returns the new commit."""
        with self.lock:
            repo = self.repos.setdefault((type, name), Repo(type, name, private, gated))
            old = repo.at(branch).files if branch in repo.branches else {}
            new = {path: self._keep(body, _is_large(path, body)) for path, body in files.items()}
            return self._commit(repo, branch, {**old, **new}, "put")

    def move_to_xet(self, sha256s: list[str]) -> None:
        """Have these contents downloaded by way of Xet from now on."""
        store = Path(tempfile.mkdtemp(dir=self._stores.name))
        hashes = _write_xet(store, [self.content[sha256] for sha256 in sha256s])
        self.xet_hashes |= dict(zip(sha256s, hashes, strict=True))

    def head(self, name: str, type: str = "model", branch: str = "main") -> str | None:
        """The branch's commit; None when there is no such repo or branch."""
        repo = self.repos.get((type, name))
        return repo.branches.get(branch) if repo else None

    def files(self, name: str, revision: str = "main", type: str = "model") -> dict[str, bytes]:
        """All files at a branch or commit, by path."""
        files = self.repos[type, name].at(revision).files
        return {path: self.content[file.sha256] for path, file in files.items()}

    def fail(self, method: str, pattern: str, how: int | str) -> None:
        """Until `faults` is cleared, answer requests with the pattern in their path with a fault.

        `how` is a status, or "drop" (no answer), "hang" (silent for a minute), "half" (half of the
        body) or "loop" (sent to itself again).
        """
        self.faults[method, pattern] = how

    def count(self, method: str, pattern: str) -> int:
        """How many requests so far had this method and the pattern in their path."""
        return sum(r.method == method and bool(re.search(pattern, r.path)) for r in self.requests)

    # Storage, commits, rights.

    def _keep(self, body: bytes, lfs: bool) -> File:
        sha256 = hashlib.sha256(body).hexdigest()
        self.content[sha256] = body
        return File(sha256, len(body), git_hash(body), lfs)

    def _commit(self, repo: Repo, branch: str, files: dict[str, File], message: str) -> str:
        sha = git_hash(f"{repo.path} {branch} {message} {len(repo.commits)} {files}".encode())
        repo.commits[sha] = Commit(sha, message, files)
        repo.branches[branch] = sha
        return sha

    def _repo(self, request: Request, write: bool = False, open_gate: bool = True) -> Repo:
        """The repo that is asked for, if whoever asks may see it, write to it, pass its gate."""
        kind = (request.args.get("kind") or "models").removesuffix("s")
        repo = self.repos.get((kind, request.args["name"]))
        if request.token is not None and request.user is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        if repo is None or (repo.private and request.user != repo.owner):
            if request.user is None:
                raise Refusal(401, "Invalid username or password.", "RepoNotFound")
            raise Refusal(404, "Repository not found", "RepoNotFound")
        if repo.gated and not open_gate and request.user != repo.owner:
            status = 403 if request.user else 401
            raise Refusal(status, f"Access to model {repo.name} is restricted.", "GatedRepo")
        if write:
            _check_rights(request, repo.owner)
        return repo

    def _at(self, request: Request, write: bool = False, open_gate: bool = True) -> Commit:
        return self._repo(request, write, open_gate).at(request.args["revision"])

    # Xet: a client reads from a store on disk that its own library keeps. Each token has its own
    # store, for only one process at a time can open one.

    @route("GET", "{API}/xet-read-token/{REV}")
    def xet_read(self, request: Request) -> Reply:
        files = self._at(request, open_gate=False).files.values()
        store = Path(tempfile.mkdtemp(dir=self._stores.name))
        _write_xet(store, [self.content[f.sha256] for f in files if f.sha256 in self.xet_hashes])
        url, expiry = f"local://{store}", int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": "xet"}
        headers["X-Xet-Token-Expiration"] = str(expiry)
        return _json({"casUrl": url, "accessToken": "xet", "exp": expiry}, headers=headers)

    # Repos.

    @route("POST", "/api/repos/create")
    def create(self, request: Request) -> Reply:
        wanted = request.json()
        name = f"{wanted.get('organization') or request.user}/{wanted['name']}"
        _check_rights(request, name.split("/")[0])
        private = wanted.get("visibility") == "private"
        repo = Repo(wanted.get("type") or "model", name, private, sdk=wanted.get("sdk"))
        self.repos[repo.kind, name] = repo
        attributes = self._keep(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", False)
        self._commit(repo, "main", {".gitattributes": attributes}, "initial commit")
        return _json({"url": f"{self.url}/{repo.path}", "name": name})

    @route("POST", "{API}/branch/{REV}")
    def branch(self, request: Request) -> Reply:
        repo, start = self._repo(request, write=True), request.json().get("startingPoint")
        repo.branches[request.args["revision"]] = repo.at(start or "main").sha
        return _json({})

    @route("GET", "{API}(?:/revision/{REV})?")
    def info(self, request: Request) -> Reply:
        repo = self._repo(request)
        commit = repo.at(request.args.get("revision", "main"))
        readme = commit.files.get("README.md")
        card = ModelCard(self.content[readme.sha256].decode()).data.to_dict() if readme else {}
        siblings: list[dict[str, Any]] = []
        for path, file in sorted(commit.files.items()):
            lfs = {"lfs": {"sha256": file.sha256, "size": file.size, "pointerSize": 134}}
            told = {"rfilename": path, "size": file.size, "blobId": file.oid}
            siblings.append(told | lfs if file.lfs else told)
        return _json({"id": repo.name, "sha": commit.sha, "private": repo.private, "tags": [],
                      "library_name": card.get("library_name"), "siblings": siblings})  # fmt: skip

    # A push: the card is checked, then each file's way, then its content, then all is committed.

    @route("POST", "/api/validate-yaml")
    def validate_yaml(self, request: Request) -> Reply:
        return _json({"errors": [], "warnings": []})

    @route("POST", "{API}/preupload/{REV}")
    def preupload(self, request: Request) -> Reply:
        files = self._at(request, write=True).files
        told: list[dict[str, Any]] = []
        for wanted in request.json()["files"]:
            path, old = wanted["path"], files.get(wanted["path"])
            large = wanted["size"] > 10 << 20 or _is_large(path, base64.b64decode(wanted["sample"]))
            known = (old.sha256 if old.lfs else old.oid) if old else None
            mode = "lfs" if large else "regular"
            told.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": known})
        return _json({"files": told})

    @route("POST", r"{PLAIN}\.git/info/lfs/objects/batch")
    def lfs_batch(self, request: Request) -> Reply:
        self._repo(request, write=True)
        wanted = request.json()["objects"]
        for one in wanted:
            if one["oid"] not in self.content:
                one["actions"] = {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}
        return _json({"transfer": "basic", "objects": wanted})

    @route("PUT", r"/lfs/(?P<sha256>\w+)")
    def lfs_put(self, request: Request) -> Reply:
        self.content[request.args["sha256"]] = request.body
        return Reply(200, {}, b"")

    @route("POST", "{API}/commit/{REV}")
    def commit(self, request: Request) -> Reply:
        repo, branch = self._repo(request, write=True), request.args["revision"]
        head = repo.at(branch)
        files, message = dict(head.files), ""
        for line in request.body.splitlines():
            key, value = json.loads(line).values()
            path = value.get("path", "")
            if key == "header":
                message = value["summary"]
                if value.get("parentCommit", head.sha) != head.sha:
                    raise Refusal(412, "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                files[path] = self._keep(base64.b64decode(value["content"]), False)
            elif key == "lfsFile":
                files[path] = self._keep(self.content[value["oid"]], True)
            else:  # deletedFile
                del files[path]
        sha = self._commit(repo, branch, files, message)
        url = f"{self.url}/{repo.path}/commit/{sha}"
        return _json({"success": True, "commitOid": sha, "commitUrl": url})

    # Downloads. What is large lies on another host, so that a client that sends its token there is
    # found out.

    @route("GET", "{PLAIN}/resolve/{REV}/(?P<path>.+)")
    def resolve(self, request: Request) -> Reply:
        repo, commit = self._repo(request), self._at(request, open_gate=False)
        file = commit.files.get(request.args["path"])
        if file is None:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{file.oid}"'}
        if not file.lfs:
            return Reply(200, headers, self.content[file.sha256])
        headers |= {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": f"{file.size}"}
        headers["Location"] = f"http://localhost:{self.port}/cdn/{file.sha256}"
        if file.sha256 in self.xet_hashes:
            token = f"{self.url}/api/{repo.kind}s/{repo.name}/xet-read-token/{commit.sha}"
            headers["X-Xet-Hash"] = self.xet_hashes[file.sha256]
            headers["Link"] = f'<{token}>; rel="xet-auth"'
        return Reply(302, headers, b"")

    @route("GET", r"/cdn/(?P<sha256>\w+)")
    def cdn(self, request: Request) -> Reply:
        if request.token is not None:
            raise Refusal(403, "Storage takes no tokens.")
        return Reply(200, {}, self.content[request.args["sha256"]])

    # From a request to its answer.

    def answer(self, request: Request) -> Reply:
        """The reply to a request, faults aside."""
        for method, pattern, function in ROUTES:
            if method == request.method and (found := pattern.fullmatch(request.path)):
                args = {k: unquote(v) for k, v in found.groupdict().items() if v is not None}
                try:
                    with self.lock:
                        return function(self, request._replace(args=args))
                except Refusal as refusal:
                    return _json({"error": str(refusal)}, refusal.status, refusal.headers)
        return _json({"error": f"There is no {request.method} {request.path} here."}, 404)


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            hub.connections.add(self.connection)
            with suppress(OSError):  # the client died, or the server was closed
                super().handle()
            hub.connections.discard(self.connection)

        def serve(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            url = urlsplit(self.path)
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            method = "GET" if self.command == "HEAD" else self.command
            request = Request(method, url.path, body, token)
            faults = (how for (wanted, pattern), how in [*hub.faults.items()]
                      if wanted == self.command and re.search(pattern, url.path))  # fmt: skip
            fault = next(faults, None)
            if len(body) < length or hub.closing.is_set():  # the client died, or we did
                reply, fault = None, "drop"
            elif fault in (None, "half"):
                reply = hub.answer(request)
            elif fault == "loop":
                reply = Reply(302, {"Location": self.path}, b"")
            else:
                reply = _json({"error": "made to fail"}, fault) if isinstance(fault, int) else None
            hub.requests.append(request._replace(method=self.command))
            if fault == "hang":
                hub.closing.wait(60)
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": len(reply.body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            if self.command != "HEAD":
                cut = len(reply.body) // 2 if fault == "half" else len(reply.body)
                self.wfile.write(reply.body[:cut])
            self.close_connection = self.close_connection or fault == "half"

        do_GET = do_HEAD = do_POST = do_PUT = serve  # noqa: N815

        def log_message(self, format: str, *_: object) -> None:
            pass

    return Handler


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    told = {"Content-Type": "application/json", **(headers or {})}
    return Reply(status, told, json.dumps(value).encode())


def _check_rights(request: Request, owner: str) -> None:
    if request.token not in TOKENS:
        raise Refusal(401, "Invalid username or password.")
    user, rights = TOKENS[request.token]
    if rights != "write":
        raise Refusal(403, "Forbidden: you must use a write token to upload to a repository.")
    if user != owner:
        raise Refusal(403, f'You don\'t have the rights under the namespace "{owner}".')


def _is_large(path: str, sample: bytes) -> bool:
    """Whether the Hub keeps a file out of git: weights, and all that is no text."""
    return path.endswith(".safetensors") or b"\0" in sample[:512]


def _write_xet(store: Path, bodies: list[bytes]) -> list[str]:
    """Put contents into a store; returns their hashes in Xet."""
    from hf_xet import XetSession  # pyright: ignore

    commit = XetSession().new_upload_commit(
        endpoint=f"local://{store}", token="xet", token_expiry_unix_secs=int(time.time()) + 3600
    )
    with commit:
        sent = [commit.start_upload_bytes(b, sha256=hashlib.sha256(b).hexdigest()) for b in bodies]
    return [one.result().xet_info.hash for one in sent]
