"""Styles from the Hugging Face Hub: from "USER/NAME[@revision]" to checked records whose files lie
in huggingface_hub's own cache, and from there again when the Hub cannot be reached.

Anybody can make a repo, so all in it is taken for hostile: names and sizes are looked at first,
only small files with plain names at the top of the repo are downloaded, and each is checked before
it is used. The Hub itself (HF_ENDPOINT) is trusted by whoever runs this program.
"""

import hashlib
import logging
import os
import queue
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    validate_repo_id,
)
from tqdm import tqdm

from .errors import Cancelled, HubError, StyleError, WeightsError
from .styles import (
    MAX_PREVIEW_BYTES,
    MAX_RECORD_BYTES,
    Style,
    find_style,
    is_slug,
    list_styles,
    read_preview,
    read_style,
)
from .styles import get_style as get_style_of_folder
from .weights import MAX_BYTES, file_sha256, load_network

log = logging.getLogger(__name__)

REPOS_VARIABLE = "STYLEVID_HUB_REPO"
ANSWER_S = 10.0  # for the Hub's answer to a question
SILENCE_S = 60.0  # without any news, however the client fills the time

_SUFFIXES = (".json", ".safetensors", ".jpg")
_REVISION = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """A repo of styles, and which of its revisions.

    Attributes:
        repo: USER/NAME.
        revision: a branch, a tag or a commit.
    """

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        return self.repo if self.revision == "main" else f"{self.repo}@{self.revision}"

    @classmethod
    def parse(cls, text: str) -> "HubName":
        """The name in "USER/NAME" or "USER/NAME@revision"; the address of its page will do.

        Raises:
            HubError: it is none.
        """
        name = text.strip().removeprefix("https://huggingface.co/").rstrip("/")
        repo, at, revision = name.partition("@")
        try:
            validate_repo_id(repo)
        except HFValidationError as cause:
            raise _no_name(text) from cause
        revision = revision if at else "main"
        if repo.count("/") != 1 or not _REVISION.fullmatch(revision) or ".." in revision:
            raise _no_name(text)
        return cls(repo, revision)


@dataclass(frozen=True)
class Limits:
    """How much of a repo is taken at most; a repo with more is refused.

    Attributes:
        styles: how many.
        size_bytes: of all of their files together.
        weights_bytes: of one style's weights.
    """

    styles: int = 100
    size_bytes: int = 1 << 30
    weights_bytes: int = MAX_BYTES

    def of(self, file: RepoFile) -> int:
        """The most bytes that this file may have."""
        own = {".json": MAX_RECORD_BYTES, ".jpg": MAX_PREVIEW_BYTES}
        return own.get(Path(file.path).suffix, self.weights_bytes)


@dataclass(frozen=True)
class Download:
    """How far a load is.

    Attributes:
        doing: what, in a few words.
        done_bytes: of the files that are wanted, those that are here.
        total_bytes: of all files that are wanted; 0 while that is not known.
        received_bytes: that came over the network; the others were in the cache.
    """

    doing: str
    done_bytes: int = 0
    total_bytes: int = 0
    received_bytes: int = 0

    @property
    def fraction(self) -> float:
        return self.done_bytes / self.total_bytes if self.total_bytes else 0.0


@dataclass(frozen=True)
class HubStyles:
    """What a repo holds.

    Attributes:
        name: the repo's.
        commit: that all the files are of.
        styles: those that can be used, by slug.
        warnings: a sentence for each style that cannot, and one if these are cached copies because
            the Hub cannot be reached.
    """

    name: HubName
    commit: str
    styles: Sequence[Style]
    warnings: Sequence[str] = field(default_factory=tuple)


class _Unreachable(HubError):
    """The Hub is not there, or not itself: a copy in the cache may do."""


def repo_names(given: Sequence[str] | None) -> list[str]:
    """The repos in `given`, each one or several with commas between; if None, those in the
    environment's STYLEVID_HUB_REPO."""
    texts = given if given is not None else [os.environ.get(REPOS_VARIABLE, "")]
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def get_style(
    name: str,
    folder: Path | None = None,
    repos: Sequence[str] = (),
    progress: Callable[[Download], None] | None = None,
) -> Style:
    """The style of that name, from the first place that has it.

    Args:
        name: a slug, which is looked for in `repos` and then in `folder`; or where and which:
            "USER/NAME/slug" or "USER/NAME@revision/slug" on the Hub, "bundled/slug".
        folder: of styles; None takes the bundled ones.
        repos: of the Hub.
        progress: of downloads; called from time to time, in the caller's thread.
    Raises:
        StyleError: there is none.
        HubError: the repo that `name` names cannot be loaded.
    """
    origin, _, slug = name.rpartition("/")
    if "/" in origin and is_slug(slug):
        return load_hub_styles(origin, progress, only=[slug]).styles[0]
    if not repos and not origin:
        return get_style_of_folder(name, folder)
    return find_style(name, collect_styles(folder, repos, progress))


def collect_styles(
    folder: Path | None = None,
    repos: Sequence[str] = (),
    progress: Callable[[Download], None] | None = None,
) -> list[Style]:
    """The styles of the repos, then those of the folder (None: the bundled ones).

    A repo that cannot be loaded is a warning in the log, so that the others are always there.

    Raises:
        StyleError: a record in the folder is damaged.
    """
    found: list[Style] = []
    for repo in repos:
        try:
            found += load_hub_styles(repo, progress).styles
        except HubError as error:
            log.warning("%s", error)
    found += list_styles(folder)
    return list({style.full_name: style for style in found}.values())  # if a repo comes twice


def load_hub_styles(
    name: str,
    progress: Callable[[Download], None] | None = None,
    only: Collection[str] | None = None,
    limits: Limits | None = None,
    api: HfApi | None = None,
    cache: Path | None = None,
) -> HubStyles:
    """The styles of a repo, downloaded if need be and checked; warnings go to the log, too.

    Args:
        name: USER/NAME or USER/NAME@revision.
        progress: called from time to time, in the caller's thread.
        only: these slugs; None takes all.
        limits: how much at most.
        api: the Hub's client; by default the usual one, with the usual token.
        cache: huggingface_hub's, where it is not at its usual place.
    Raises:
        HubError: the repo cannot be loaded, or holds no style that can be used.
    """
    for step in follow_load(name, only=only, limits=limits, api=api, cache=cache):
        if isinstance(step, HubStyles):
            for warning in step.warnings:
                log.warning("%s", warning)
            return step
        if progress is not None:
            progress(step)
    raise AssertionError("a load ends with its styles")


def follow_load(
    name: str,
    only: Collection[str] | None = None,
    limits: Limits | None = None,
    public: bool = False,
    api: HfApi | None = None,
    cache: Path | None = None,
) -> Iterator[Download | HubStyles]:
    """The progress of a load, then its result; arguments as in `load_hub_styles`.

    Args:
        public: take only what anybody may see: no token is sent, and what the cache holds is not
            shown unless the Hub says that it is public.
    Raises:
        HubError: as `load_hub_styles` does.
    """
    api = api or HfApi(library_name="stylevid", token=False if public else None)
    work = _Load(HubName.parse(name), only, limits or Limits(), api, cache)
    threading.Thread(target=work.run, name="hub", daemon=True).start()
    try:
        while True:
            item = work.next()
            if isinstance(item, _Unreachable) and not public:
                item = work.from_cache(item)
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, HubStyles):
                return
    finally:  # also when the caller has gone
        work.stop.set()


class _Load:
    """One load of one repo: `run` works in a thread of its own and tells what it does, because
    nothing else ends the client's patience with a Hub that is silent or asks for a day's wait."""

    def __init__(
        self, name: HubName, only: Collection[str] | None, limits: Limits, api: HfApi,
        cache: Path | None,
    ) -> None:  # fmt: skip
        self.name, self.only, self.limits, self.api = name, only, limits, api
        self.cache = Path(cache or constants.HF_HUB_CACHE)
        self.folder = self.cache / repo_folder_name(repo_id=name.repo, repo_type="model")
        self.host = urlsplit(api.endpoint).netloc
        self.stop = threading.Event()
        self.news: queue.Queue[Download | HubStyles | BaseException] = queue.Queue()
        self.told = Download(f"Asking {self.host} for {name}")

    def run(self) -> None:
        """Load, and put the result, or the error, into the news."""
        try:
            self.news.put(self._load())
        except HubError as error:
            self.news.put(error)
        # What a Hub that talks nonsense makes the client raise, besides its own errors.
        except (
            httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, LookupError, TypeError,
            AttributeError, RuntimeError,
        ) as error:  # fmt: skip
            refusal = self._explain(error)
            refusal.__cause__ = error
            self.news.put(refusal)
        except BaseException as error:  # handed to the caller's thread
            self.news.put(error)

    def next(self) -> Download | HubStyles | BaseException:
        """The next news; silence is an error like others."""
        try:
            return self.news.get(timeout=SILENCE_S)
        except queue.Empty:
            return _Unreachable(f"{self.host} has been silent for {SILENCE_S:.0f} s. Try again "
                                "later.")  # fmt: skip

    def from_cache(self, reason: HubError) -> HubStyles | HubError:
        """The styles of the newest commit that was loaded before; `reason` if there are none."""
        commit = self.name.revision
        try:
            if not _COMMIT.fullmatch(commit):
                commit = (self.folder / "refs" / commit).read_text("utf-8")
            snapshot = self.folder / "snapshots" / commit
            slugs = sorted(path.stem for path in snapshot.glob("*.json"))
            chosen = {slug: [] for slug in slugs if self.only is None or slug in self.only}
            warning = f"{reason} These are the copies of {self.name} from before ({commit[:7]})."
            return self._take(commit, chosen, [warning])
        except (OSError, ValueError, HubError):
            return reason

    def _load(self) -> HubStyles:
        self._tell(self.told)
        commit = self._find_commit()
        chosen, warnings = self._choose(self._list_files(commit))
        if len(chosen) > self.limits.styles:
            raise HubError(f"{self.name} holds {len(chosen)} styles; the limit is "
                           f"{self.limits.styles}.")  # fmt: skip
        total = sum(file.size for style in chosen.values() for file in style)
        if total > self.limits.size_bytes:
            raise HubError(f"The styles of {self.name} have {_readable(total)}; the limit is "
                           f"{_readable(self.limits.size_bytes)}.")  # fmt: skip
        self._tell(Download(f"Loading {self.name}", 0, total))
        loaded = self._take(commit, chosen, warnings)
        self._remember(commit)
        return loaded

    def _find_commit(self) -> str:
        info = self.api.repo_info(
            self.name.repo, revision=self.name.revision, repo_type="model", timeout=ANSWER_S
        )
        if not _COMMIT.fullmatch(info.sha or ""):
            raise self._no_hub()
        return str(info.sha)

    def _list_files(self, commit: str) -> dict[str, RepoFile]:
        """What is announced about the files at the top of the repo, by path."""
        # Not HfApi.list_repo_tree, which has no timeout and follows any number of pages.
        response = get_session().get(
            f"{self.api.endpoint}/api/models/{self.name.repo}/tree/{commit}",
            headers=build_hf_headers(token=self.api.token, library_name="stylevid"),
            timeout=ANSWER_S,
        )
        hf_raise_for_status(response)
        if "next" in response.links:
            raise HubError(f"{self.name} holds thousands of files and so no collection of styles.")
        entries = [entry for entry in response.json() if entry["type"] == "file"]
        return {entry["path"]: RepoFile(**entry) for entry in entries}

    def _choose(self, files: dict[str, RepoFile]) -> tuple[dict[str, list[RepoFile]], list[str]]:
        """The files of each style that may be downloaded, by slug, and a sentence for each style
        that may not."""
        chosen: dict[str, list[RepoFile]] = {}
        warnings: list[str] = []
        for path in sorted(path for path in files if path.endswith(".safetensors")):
            slug = path.removesuffix(".safetensors")
            own = [files[slug + suffix] for suffix in _SUFFIXES if slug + suffix in files]
            too_large = [file for file in own if file.size > self.limits.of(file)]
            if not is_slug(slug):
                warnings.append(f"{self.name}: {slug[:60]!a} is no name of a style, which is "
                                "lower-case words joined by dashes.")  # fmt: skip
            elif self.only is not None and slug not in self.only:
                continue
            elif f"{slug}.json" not in files:
                warnings.append(f"{self.name}: {slug} has no record ({slug}.json).")
            elif too_large:
                warnings.append(f"{self.name}: {too_large[0].path} has "
                                f"{_readable(too_large[0].size)}; the limit is "
                                f"{_readable(self.limits.of(too_large[0]))}.")  # fmt: skip
            else:
                chosen[slug] = own
        return chosen, warnings

    def _take(
        self, commit: str, chosen: dict[str, list[RepoFile]], warnings: list[str]
    ) -> HubStyles:
        """Those of the chosen styles that can be used, once their files are in the cache."""
        found: list[Style] = []
        for slug, files in chosen.items():
            try:
                for file in files:
                    self._fetch(file, commit)
                style = read_style(
                    self.folder / "snapshots" / commit / f"{slug}.json", str(self.name)
                )
                load_network(style)
                if style.preview.is_file():
                    read_preview(style.preview)
                found.append(style)
            except (StyleError, WeightsError) as error:
                warnings.append(f"{self.name}: {error}")
        if not found and not warnings:
            raise HubError(f"{self.name} holds no {', '.join(self.only or ['style'])}.")
        if not found:
            others = " No other style there can be used either." if len(warnings) > 1 else ""
            raise HubError(warnings[-1] + others)
        return HubStyles(self.name, commit, found, warnings)

    def _fetch(self, file: RepoFile, commit: str) -> None:
        """Have one file in the cache, as the list of files announced it."""
        start = self.told
        for force in (False, True):  # again if what the cache holds is damaged
            path = self.api.hf_hub_download(
                self.name.repo, file.path, revision=commit, cache_dir=self.cache,
                etag_timeout=ANSWER_S, force_download=force, tqdm_class=self._meter(file, start),
            )  # fmt: skip
            if _is_intact(Path(path), file):
                done = start.done_bytes + file.size
                return self._tell(replace(self.told, done_bytes=done))
        raise StyleError(f"{file.path} is not what was announced; its content has another hash.")

    def _remember(self, commit: str) -> None:
        """Have the cache find this commit under the revision's name. Only now: while a newer one
        was not whole, the one before stayed the one to fall back on."""
        ref = self.folder / "refs" / self.name.revision
        partial = ref.with_name(f"{ref.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            if self.name.revision == commit or (ref.is_file() and ref.read_text("utf-8") == commit):
                return
            ref.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(commit, "utf-8")
            partial.replace(ref)
        except OSError as error:
            log.warning("%s will not be found without the Hub: %s.", self.name, error)

    def _tell(self, download: Download) -> None:
        """Say how far it is.

        Raises:
            Cancelled: nobody listens any more.
        """
        if self.stop.is_set():
            raise Cancelled("The load was stopped.")
        self.told = download
        self.news.put(download)

    def _meter(self, file: RepoFile, start: Download) -> type[tqdm]:
        """A progress bar for huggingface_hub that tells us, and holds the server to its word."""
        load = self

        class Meter(tqdm):
            def __init__(self, **_: object) -> None:
                super().__init__(disable=True)

            def update(self, n: float | None = 1) -> None:
                self.n += int(n or 0)
                if self.n > file.size:
                    raise HubError(f"{load.host} sends more of {file.path} than the {file.size} "
                                   "bytes that it announced.")  # fmt: skip
                done, received = start.done_bytes + self.n, start.received_bytes + self.n
                load._tell(replace(start, done_bytes=done, received_bytes=received))

            def update_transfer(self, n: float | None = 1) -> None:
                """Leave out what has only arrived; `update` counts what is on the disk."""

            set_transfer_postfix_str = tqdm.set_postfix_str

        return Meter

    def _explain(self, error: BaseException) -> HubError:
        """What the client raised, as one sentence that says what to do."""
        name, host, chain = self.name, self.host, list(_causes(error))
        for cause in chain:
            if isinstance(cause, HfHubHTTPError):
                return self._explain_status(cause)
        for cause in chain:
            if isinstance(cause, OfflineModeIsEnabled):
                return _Unreachable(f"HF_HUB_OFFLINE is set, so {host} is not asked for {name}.")
            if isinstance(cause, httpx2.TimeoutException):
                return _Unreachable(f"{host} does not answer. Try again later.")
            if isinstance(cause, httpx2.TooManyRedirects):
                return HubError(f"{host} sends us round in circles for {name}.")
            if isinstance(cause, httpx2.TransportError):
                kind = type(cause).__name__
                return _Unreachable(f"{host} cannot be reached ({kind}). Check the network.")
            if isinstance(cause, FileMetadataError | httpx2.HTTPError):
                return self._no_hub()
        if "Consistency check failed" in str(error):
            return HubError(f"{host} sends less of {name} than it announced. Try again later.")
        if isinstance(error, OSError | RuntimeError) and not isinstance(error, RecursionError):
            words = (getattr(error, "strerror", None) or str(error)).strip().split("\n")[0]
            return HubError(f"{name} cannot be downloaded: {words.rstrip('.')}.")
        return self._no_hub()

    def _explain_status(self, error: HfHubHTTPError) -> HubError:
        name, host, status = self.name, self.host, error.response.status_code
        if isinstance(error, GatedRepoError):
            return HubError(f"{name} is gated. Ask for access on its page, and run `hf auth login` "
                            "where this program runs.")  # fmt: skip
        if isinstance(error, RevisionNotFoundError):
            return HubError(f"{name.repo} has no revision {name.revision!r}.")
        if isinstance(error, RepositoryNotFoundError) or status == 404:
            return HubError(f"There is no {name.repo} on {host}, or it is private. Check the name.")
        if status == 401:
            return HubError(f"{host} does not know our token (401). Run `hf auth login` where this "
                            "program runs.")  # fmt: skip
        if status == 403:
            return HubError(f"{host} does not let us read {name} (403).")
        if status == 429:
            return _Unreachable(f"{host} asks for fewer requests (429). Try again in some minutes.")
        if status >= 500:
            return _Unreachable(f"{host} has trouble of its own ({status}). Try again later.")
        return HubError(f"{host} refuses to give us {name} ({status}).")

    def _no_hub(self) -> HubError:
        return HubError(f"{self.host} does not answer as a Hub does. Check HF_ENDPOINT.")


def open_file(path: Path, title: str | None = None) -> Style:
    """A style made of a lone safetensors file, checked; it has no record and no preview.

    Raises:
        WeightsError: the file cannot be used.
    """
    network = load_network(path)
    title = title or path.stem
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-")
    return Style(
        slug=slug or "style",
        title=title,
        artist="",
        year="",
        medium="",
        licence="not stated",
        source="",
        sha256=file_sha256(path),
        network=network.config.as_dict(),
        folder=path.parent,
        origin="file",
        file=path,
    )


def _no_name(text: str) -> HubError:
    return HubError(f"{text[:80]!a} is no name of a repo. Give USER/NAME or "
                    "USER/NAME@revision.")  # fmt: skip


def _is_intact(path: Path, file: RepoFile) -> bool:
    """Whether the file is the one of the list: by its sha256, or as git counts, if it is small."""
    if path.stat().st_size != file.size:
        return False
    if file.lfs is not None:
        return file_sha256(path) == file.lfs.sha256
    return hashlib.sha1(b"blob %d\0" % file.size + path.read_bytes()).hexdigest() == file.blob_id


def _readable(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} KB"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
