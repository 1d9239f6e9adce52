"""What the Hub's client raises, as one sentence that says what to do."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled

from stylevid.errors import StylevidError


class PushError(StylevidError):
    """A push is refused, by us or by the Hub; nothing was committed unless the message says so."""


class HubTrouble(PushError):
    """The Hub refuses, or cannot be asked."""


@contextmanager
def asking(api: HfApi, repo: str = "the repo", so_far: str = "") -> Generator[None]:
    """Make one sentence of whatever the Hub's client raises within.

    Raises:
        HubTrouble: with that sentence, after the words `so_far`.
    """
    try:
        yield
    except StylevidError:
        raise
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, RuntimeError) as error:
        raise HubTrouble(so_far + _explain(error, repo, api.endpoint)) from error


def _explain(error: BaseException, repo: str, endpoint: str) -> str:
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, HfHubHTTPError):
            return _explain_status(cause, repo)
    for cause in chain:
        if isinstance(cause, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set, so the Hub is not asked. Unset it and try again."
        if isinstance(cause, httpx2.TransportError):
            kind = type(cause).__name__
            return f"{endpoint} cannot be reached ({kind}). Check the network and HF_ENDPOINT."
        if isinstance(cause, httpx2.HTTPError | httpx2.InvalidURL | json.JSONDecodeError):
            return f"{endpoint} does not answer as a Hub does. Check HF_ENDPOINT."
    words = _words(error)
    return f"The push to {repo} failed: {words}. Try again, or with HF_HUB_DISABLE_XET=1 set."


def _explain_status(error: HfHubHTTPError, repo: str) -> str:
    status, words = error.response.status_code, _words(error.server_message or "")
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated, and this token is not let in. Ask its owner, or use another repo."
    told = {
        401: "The Hub does not know this token. Run `hf auth login` or set another HF_TOKEN.",
        403: f"This token may not write to {repo} ({words}). Use one that may, or another repo.",
        404: f"{repo} is not there, or this token may not see it. Check the name and the token.",
        409: f"{repo} was made by somebody else just now. Run the same command again.",
        412: f"Somebody else has just changed {repo}; nothing was sent. Run the command again.",
        429: "The Hub asks for fewer requests (429). Wait some minutes and run the command again.",
    }
    if status >= 500:
        return f"The Hub has trouble of its own ({status}). Run the same command again later."
    return told.get(status, f"The Hub refuses the push to {repo} ({status}): {words}.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(text: object) -> str:
    words = " ".join(str(text).split()).rstrip(".") or "no reason given"
    return words if len(words) <= 300 else words[:299] + "…"
