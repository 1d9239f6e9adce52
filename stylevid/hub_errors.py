"""What the Hub's client raises, reading or writing, as one sentence that says what to do."""

from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi
from huggingface_hub import errors as client

from .errors import HubError, StylevidError


class Unreachable(HubError):
    """The Hub is not there, or not itself: a copy in the cache may do."""


class NoRepo(HubError):
    """The Hub shows us no repo of that name."""


_NO_HUB = "{host} does not answer as a Hub does. Check HF_ENDPOINT."

# By the client's error or the answer's status, where 500 stands for all above it.
_MEANINGS: list[tuple[int | type[Exception], type[HubError], str]] = [
    (client.GatedRepoError, HubError, "{name} is gated. Ask for access on its page, and run "
     "`hf auth login` where this program runs."),
    (client.RepositoryNotFoundError, NoRepo, "There is no {name} on {host}, or it is private. "
     "Check the name and the token."),
    (client.RevisionNotFoundError, HubError, "{host} has the repo, but no revision {name}."),
    (401, HubError, "{host} does not know our token (401). Run `hf auth login`, or set HF_TOKEN, "
     "where this program runs."),
    (412, HubError, "Somebody else has just changed {name}; nothing was sent. Run the command "
     "again."),
    (429, Unreachable, "{host} asks for fewer requests (429). Try again in some minutes."),
    (500, Unreachable, "{host} has trouble of its own ({status}). Try again later."),
    (client.HfHubHTTPError, HubError, "{host} does not let us {doing} {name} ({status}: {words})."),
    (client.OfflineModeIsEnabled, Unreachable, "HF_HUB_OFFLINE is set, so {host} is not asked for "
     "{name}."),
    (httpx2.TransportError, Unreachable, "{host} cannot be reached ({kind}). Check the network."),
    (httpx2.HTTPError, HubError, _NO_HUB),
]  # fmt: skip


@contextmanager
def asking(api: HfApi, name: object, doing: str = "read") -> Generator[None]:
    """Make one sentence of whatever the Hub's client raises within, while `doing` that to the repo
    `name`. A Hub that talks nonsense makes it raise errors of any kind.

    Raises:
        HubError: with that sentence; an `Unreachable` where the Hub is not there.
    """
    try:
        yield
    except StylevidError:
        raise
    except Exception as error:
        raise _explain(error, str(name), urlsplit(api.endpoint).netloc, doing) from error


def _explain(error: Exception, name: str, host: str, doing: str) -> HubError:
    cause: BaseException | None = error
    while cause is not None:
        status = getattr(getattr(cause, "response", None), "status_code", 0)
        words = one_line(getattr(cause, "server_message", None) or "no reason given", 200)
        facts = {"status": status, "words": words.rstrip("."), "kind": type(cause).__name__}
        for what, kind, told in _MEANINGS:
            if what == min(status, 500) or (isinstance(what, type) and isinstance(cause, what)):
                return kind(told.format(host=host, name=name, doing=doing, **facts))
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError | RuntimeError) and not isinstance(error, RecursionError):
        words = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
        return HubError(f"We cannot {doing} {name}: {one_line(words, 200).rstrip('.')}.")
    return HubError(_NO_HUB.format(host=host))


def one_line(text: object, limit: int) -> str:
    """A stranger's words, which may be long and hold anything, as a line of visible characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
