"""The loopback Hub keeps what it is given, and the unmodified client takes it for the real one."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from tests.hub_server import HubServer

TEXT, WEIGHTS = b"a style's record\n", bytes(range(256)) * 40
FILES = {"wave.json": TEXT, "wave.safetensors": WEIGHTS, "docs/a.txt": b"a", "docs/old/b.txt": b"b"}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.put("alice/styles", FILES)
        yield server


@pytest.fixture
def fetch(hub: HubServer, tmp_path: Path) -> Callable[..., bytes]:
    """A file's content, as the client downloads it; an empty cache for each."""

    def download(path: str, repo: str = "alice/styles", **options: object) -> bytes:
        token = options.pop("token", False)
        cache = tmp_path / str(len(list(tmp_path.iterdir())))
        api = HfApi(hub.url, token=token)  # pyright: ignore
        return Path(api.hf_hub_download(repo, path, cache_dir=cache, **options)).read_bytes()  # pyright: ignore

    return download


def ask(hub: HubServer, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def test_files_come_back_by_branch_and_by_commit(
    hub: HubServer, fetch: Callable[..., bytes]
) -> None:
    first = hub.head("alice/styles")
    assert fetch("wave.safetensors") == WEIGHTS and fetch("docs/old/b.txt") == b"b"
    hub.put("alice/styles", {"wave.json": b"another record\n"})
    assert fetch("wave.json") == b"another record\n"
    assert fetch("wave.json", revision=first) == TEXT
    assert hub.files("alice/styles", str(first)) == FILES


def test_a_text_is_served_with_its_git_id(hub: HubServer) -> None:
    answer = ask(hub, "/alice/styles/resolve/main/wave.json", "HEAD")
    assert answer.status == 200 and answer.read() == b""
    assert answer.headers["X-Repo-Commit"] == hub.head("alice/styles")
    git_id = subprocess.run(["git", "hash-object", "--stdin"], input=TEXT, capture_output=True)
    assert answer.headers["ETag"].strip('"') == git_id.stdout.decode().strip()


def test_weights_lie_in_storage_that_takes_no_token(hub: HubServer) -> None:
    answer = ask(hub, "/alice/styles/resolve/main/wave.safetensors", "HEAD")
    assert answer.status == 302 and answer.headers["X-Linked-Size"] == str(len(WEIGHTS))
    place = answer.headers["Location"]
    assert place.split("/")[-1].startswith(answer.headers["X-Linked-ETag"].strip('"'))
    with urlopen(place) as stored:
        assert stored.read() == WEIGHTS
    path = place.removeprefix(f"http://localhost:{hub.port}")
    assert ask(hub, path, Authorization="Bearer hf_write").status == 403
    assert ask(hub, path.split("?")[0]).status == 403


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=2-5", 206, TEXT[2:6]),
        ("bytes=10-", 206, TEXT[10:]),
        ("bytes=-4", 206, TEXT[-4:]),
        ("bytes=5-999", 206, TEXT[5:]),
        ("bytes=999-", 416, b""),
        ("lines=1", 200, TEXT),
    ],
)
def test_a_part_of_a_file(hub: HubServer, wanted: str, status: int, part: bytes) -> None:
    answer = ask(hub, "/alice/styles/resolve/main/wave.json", Range=wanted)
    assert (answer.status, answer.read()) == (status, part)


def test_what_is_missing_is_named(hub: HubServer, fetch: Callable[..., bytes]) -> None:
    hub.put("alice/secret", {"a": b"a"}, private=True)
    hub.put("alice/gate", {"a": b"a"}, gated=True)
    with pytest.raises(RemoteEntryNotFoundError):
        fetch("sea.json")
    with pytest.raises(RevisionNotFoundError):
        fetch("wave.json", revision="v2")
    for token in (False, "hf_bob"):
        with pytest.raises(RepositoryNotFoundError):
            fetch("wave.json", "alice/nothing", token=token)
        with pytest.raises(RepositoryNotFoundError):
            fetch("a", "alice/secret", token=token)
        with pytest.raises(GatedRepoError):
            fetch("a", "alice/gate", token=token)
    with pytest.raises(HfHubHTTPError, match="401"):
        fetch("wave.json", token="hf_forged")
    assert fetch("a", "alice/secret", token="hf_read") == b"a"
    assert fetch("a", "alice/gate", token="hf_read") == b"a"


def test_a_tree_comes_in_pages() -> None:
    with HubServer(page_size=3) as hub:
        hub.put("alice/styles", {f"{n}/{n}.txt": b"%d" % n for n in range(5)})
        entries = list(HfApi(hub.url).list_repo_tree("alice/styles", recursive=True))
        assert [e.path for e in entries if isinstance(e, RepoFile)] == [
            f"{n}/{n}.txt" for n in range(5)
        ]
        assert sum(isinstance(e, RepoFolder) for e in entries) == 5
        assert hub.count("GET", "/tree/main") == 4


def test_a_folder_is_listed_alone(hub: HubServer) -> None:
    api = HfApi(hub.url)

    def paths(folder: str | None, recursive: bool = False) -> list[str]:
        listed = api.list_repo_tree("alice/styles", folder, recursive=recursive)
        return [entry.path for entry in listed]

    assert paths(None) == ["docs", "wave.json", "wave.safetensors"]
    assert paths("docs") == ["docs/a.txt", "docs/old"]
    assert paths("docs", recursive=True) == ["docs/a.txt", "docs/old", "docs/old/b.txt"]
    with pytest.raises(RemoteEntryNotFoundError):
        paths("sea")
    infos = api.get_paths_info("alice/styles", ["wave.json", "sea.json"])
    assert [info.path for info in infos] == ["wave.json"]


def test_a_commit_is_made_whole_or_not_at_all(hub: HubServer) -> None:
    head = hub.head("alice/styles")
    lines = [
        {"key": "header", "value": {"summary": "m"}},
        {"key": "file", "value": {"path": "a", "content": "bmV3", "encoding": "base64"}},
        {"key": "lfsFile", "value": {"path": "x.safetensors", "oid": "0" * 64, "size": 3}},
    ]
    body = "\n".join(json.dumps(line) for line in lines)
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)
    signed = {"Authorization": "Bearer hf_write"}
    connection.request("POST", "/api/models/alice/styles/commit/main", body, signed)
    assert connection.getresponse().status == 400
    assert hub.head("alice/styles") == head and hub.files("alice/styles") == FILES


def test_a_commit_names_its_parent(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    api, head = HfApi(hub.url, token="hf_write"), hub.head("alice/styles")
    operations = [
        CommitOperationAdd("sea.safetensors", WEIGHTS[::-1]),
        CommitOperationDelete("docs/"),
    ]
    made = api.create_commit(
        "alice/styles", operations, commit_message="sea", parent_commit=head
    ).oid
    assert hub.head("alice/styles") == made
    assert set(hub.files("alice/styles")) == {"wave.json", "wave.safetensors", "sea.safetensors"}
    late = [CommitOperationAdd("late.txt", b"late")]
    with pytest.raises(HfHubHTTPError, match="412"):
        api.create_commit("alice/styles", late, commit_message="late", parent_commit=head)
    assert hub.head("alice/styles") == made


def test_rights(hub: HubServer) -> None:
    operations = [CommitOperationAdd("new.txt", b"new")]
    for token, status in (("hf_read", "403"), ("hf_bob", "403"), (False, "401")):
        with pytest.raises(HfHubHTTPError, match=status):
            HfApi(hub.url, token=token).create_commit(  # pyright: ignore
                "alice/styles", operations, commit_message="new"
            )
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(hub.url, token="hf_bob").create_repo("alice/another")
    assert hub.files("alice/styles") == FILES


def test_faults_are_made_once_each(hub: HubServer) -> None:
    path = "/alice/styles/resolve/main/wave.json"
    hub.fail("GET", "wave", 503)
    hub.fail("GET", "wave", "loop")
    assert ask(hub, path).status == 503
    assert ask(hub, path).headers["Location"] == path
    hub.fail("GET", "wave", "drop")
    with pytest.raises(http.client.RemoteDisconnected):
        ask(hub, path)
    hub.fail("GET", "wave", "half")
    with pytest.raises(http.client.IncompleteRead):
        ask(hub, path).read()
    assert ask(hub, path).read() == TEXT
    assert [r.answer for r in hub.requests] == [503, "loop", "drop", "half", 200]


def test_work_whose_answer_is_lost_is_done(hub: HubServer) -> None:
    hub.fail("POST", "/repos/create", "lost")
    with pytest.raises(httpx2.RemoteProtocolError):
        HfApi(hub.url, token="hf_write").create_repo("alice/new")
    assert hub.head("alice/new") is not None


def test_a_closed_hub_answers_nothing_even_on_open_connections() -> None:
    with HubServer() as hub:
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)
        connection.request("GET", "/api/whoami-v2")
        assert connection.getresponse().read()
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.request("GET", "/api/whoami-v2")
        connection.getresponse()


def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "wave.json").write_bytes(TEXT)
    script = Path(__file__).with_name("hub_server.py")
    command = [sys.executable, str(script), "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with urlopen(f"{url}/alice/styles/resolve/main/wave.json") as answer:
                assert answer.read() == TEXT
        finally:
            process.terminate()
