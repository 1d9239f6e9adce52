"""What the Hub's client raises, reading or writing, as one sentence that says what to do."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi
from huggingface_hub import errors as client

from .errors import HubError, StylevidError


class Unreachable(HubError):
    """The Hub is not there, or not itself: a copy in the cache may do."""


NO_HUB = "{host} does not answer as a Hub does. Check HF_ENDPOINT."

_REFUSALS = {  # by status
    401: "{host} does not know our token (401). Run `hf auth login`, or set HF_TOKEN, where this "
    "program runs.",
    403: "{host} does not let us {doing} {name} (403: {words}).",
    404: "There is no {name} on {host}, or it is private. Check the name and the token.",
    409: "{name} was made by somebody else just now. Run the same command again.",
    412: "Somebody else has just changed {name}; nothing was sent. Run the command again.",
    429: "{host} asks for fewer requests (429). Try again in some minutes.",
}
_GATED = (
    "{name} is gated. Ask for access on its page, and run `hf auth login` where this program runs."
)
_OTHER = "{host} refuses to let us {doing} {name} ({status}: {words})."
_BUSY = "{host} has trouble of its own ({status}). Try again later."
_NO_REVISION = "{host} has the repo, but there is no revision {name}."
_TROUBLE: list[tuple[type[Exception] | tuple[type[Exception], ...], type[HubError], str]] = [
    (client.OfflineModeIsEnabled, Unreachable, "HF_HUB_OFFLINE is set, so {host} is not asked for "
     "{name}."),
    (httpx2.TimeoutException, Unreachable, "{host} does not answer. Try again later."),
    (httpx2.TooManyRedirects, HubError, "{host} sends us round in circles for {name}."),
    (httpx2.TransportError, Unreachable, "{host} cannot be reached ({kind}). Check the network."),
    ((client.FileMetadataError, httpx2.HTTPError, httpx2.InvalidURL), HubError, NO_HUB),
]  # fmt: skip


@contextmanager
def asking(api: HfApi, name: object, doing: str = "read") -> Generator[None]:
    """Make one sentence of whatever the Hub's client raises within, while `doing` that to the repo
    `name`; a Hub that talks nonsense makes it raise more than its own errors.

    Raises:
        HubError: with that sentence; an `Unreachable` where the Hub is not there.
    """
    try:
        yield
    except StylevidError:
        raise
    except (
        httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, LookupError, TypeError,
        AttributeError, RuntimeError,
    ) as error:  # fmt: skip
        raise _explain(error, str(name), urlsplit(api.endpoint).netloc, doing) from error


def _explain(error: Exception, name: str, host: str, doing: str) -> HubError:
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, client.HfHubHTTPError):
            return _explain_status(cause, name, host, doing)
    for cause in chain:
        for what, kind, told in _TROUBLE:
            if isinstance(cause, what):
                return kind(told.format(host=host, name=name, kind=type(cause).__name__))
    if "Consistency check failed" in str(error):
        return HubError(f"{host} sends less of {name} than it announced. Try again later.")
    if isinstance(error, OSError | RuntimeError) and not isinstance(error, RecursionError):
        words = _words(getattr(error, "strerror", None) or str(error).strip().split("\n")[0])
        return HubError(f"We cannot {doing} {name}: {words}.")
    return HubError(NO_HUB.format(host=host))


def _explain_status(error: client.HfHubHTTPError, name: str, host: str, doing: str) -> HubError:
    status, words = error.response.status_code, _words(error.server_message or "")
    told = _REFUSALS.get(status, _BUSY if status >= 500 else _OTHER)
    if isinstance(error, client.RepositoryNotFoundError):
        told = _GATED if isinstance(error, client.GatedRepoError) else _REFUSALS[404]
    if isinstance(error, client.RevisionNotFoundError):
        told = _NO_REVISION
    kind = Unreachable if told in (_BUSY, _REFUSALS[429]) else HubError
    return kind(told.format(host=host, name=name, doing=doing, status=status, words=words))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(text: str) -> str:
    """The Hub's own words, which may be long and hold anything, within our sentence."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip(".")
    return line[:200] or "no reason given"
