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

_REFUSALS: list[tuple[type[Exception] | range, str]] = [
    (client.GatedRepoError, "{name} is gated. Ask for access on its page, and run `hf auth login` "
     "where this program runs."),
    (client.RevisionNotFoundError, "{host} has the repo, but there is no revision {name}."),
    (client.RepositoryNotFoundError, "There is no {name} on {host}, or it is private. Check the "
     "name and the token."),
    (range(404, 405), "There is no {name} on {host}, or it is private. Check the name."),
    (range(401, 402), "{host} does not know our token (401). Run `hf auth login`, or set HF_TOKEN, "
     "where this program runs."),
    (range(403, 404), "{host} does not let us {doing} {name} (403: {words})."),
    (range(409, 410), "{name} was made by somebody else just now. Run the same command again."),
    (range(412, 413), "Somebody else has just changed {name}; nothing was sent. Run the command "
     "again."),
    (range(429, 430), "{host} asks for fewer requests (429). Try again in some minutes."),
    (range(500, 600), "{host} has trouble of its own ({status}). Try again later."),
    (range(1000), "{host} refuses to let us {doing} {name} ({status}: {words})."),
]  # fmt: skip
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
            status, words = cause.response.status_code, _words(cause.server_message or "")
            told = next(
                told
                for what, told in _REFUSALS
                if (status in what if isinstance(what, range) else isinstance(cause, what))
            )
            kind = Unreachable if status == 429 or status >= 500 else HubError
            values = {"status": status, "words": words, "doing": doing}
            return kind(told.format(host=host, name=name, **values))
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


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(text: str) -> str:
    """The Hub's own words, which may be long and hold anything, within our sentence."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip(".")
    return line[:200] or "no reason given"
