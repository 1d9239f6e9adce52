"""The loopback Hub keeps what it is given, and the unmodified client takes it for the real one."""

import http.client
import subprocess
from collections.abc import Iterator
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

from tests.hub_server import HubServer

TEXT, WEIGHTS = b"a style's record\n", bytes(range(256)) * 40
FILES = {"wave.json": TEXT, "wave.safetensors": WEIGHTS, "docs/a.txt": b"a"}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.put("alice/styles", FILES)
        yield server


def ask(hub: HubServer, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


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
    with urlopen(place) as stored:
        assert stored.read() == WEIGHTS
    path = place.removeprefix(f"http://localhost:{hub.port}")
    assert ask(hub, path, Authorization="Bearer hf_write").status == 403
    assert ask(hub, path.split("?")[0]).status == 403
    rest = ask(hub, path, Range="bytes=100-")
    assert (rest.status, rest.read()) == (206, WEIGHTS[100:])


def test_what_is_missing_is_named(hub: HubServer, tmp_path: Path) -> None:
    hub.put("alice/secret", {"a": b"a"}, private=True)
    hub.put("alice/gate", {"a": b"a"}, gated=True)

    def fetch(path: str, repo: str = "alice/styles", token: object = False, **at: str) -> bytes:
        api = HfApi(hub.url, token=token)  # pyright: ignore
        return Path(api.hf_hub_download(repo, path, cache_dir=tmp_path, **at)).read_bytes()  # pyright: ignore

    with pytest.raises(RemoteEntryNotFoundError):
        fetch("sea.json")
    with pytest.raises(RevisionNotFoundError):
        fetch("wave.json", revision="v2")
    for token in (False, "hf_bob"):
        with pytest.raises(RepositoryNotFoundError):
            fetch("a", "alice/secret", token)
        with pytest.raises(GatedRepoError):
            fetch("a", "alice/gate", token)
    with pytest.raises(HfHubHTTPError, match="401"):
        fetch("wave.json", token="hf_forged")
    assert fetch("a", "alice/secret", "hf_read") == fetch("a", "alice/gate", "hf_read") == b"a"


def test_a_commit_is_made_whole_by_whom_it_may_and_names_its_parent(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    head = hub.head("alice/styles")
    sea = [CommitOperationAdd("sea.safetensors", WEIGHTS[::-1]), CommitOperationDelete("docs/")]

    def commit(token: object) -> str:
        api = HfApi(hub.url, token=token)  # pyright: ignore
        return api.create_commit("alice/styles", sea, commit_message="sea", parent_commit=head).oid

    for token, status in (("hf_read", "403"), ("hf_bob", "403"), (False, "401")):
        with pytest.raises(HfHubHTTPError, match=status):
            commit(token)
    assert hub.files("alice/styles") == FILES
    made = commit("hf_write")
    assert set(hub.files("alice/styles")) == {"wave.json", "wave.safetensors", "sea.safetensors"}
    sea = [CommitOperationAdd("late.txt", b"late")]
    with pytest.raises(HfHubHTTPError, match="412"):
        commit("hf_write")
    assert hub.head("alice/styles") == made and hub.files("alice/styles", str(head)) == FILES


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
    hub.fail("POST", "/repos/create", "lost")
    with pytest.raises(httpx2.RemoteProtocolError):
        HfApi(hub.url, token="hf_write").create_repo("alice/new")
    assert hub.head("alice/new") is not None
