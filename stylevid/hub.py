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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HFValidationError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import validate_repo_id
from huggingface_hub.utils.sha import git_hash
from tqdm import tqdm

from .errors import Cancelled, HubError, StyleError, WeightsError
from .files import written_whole
from .hub_errors import Unreachable, asking
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
from .styles import get_style as get_local_style
from .weights import MAX_BYTES, file_sha256, load_network

log = logging.getLogger(__name__)

ANSWER_S = 10.0  # for the Hub's answer to a question
SILENCE_S = 60.0  # without any news, however the client fills the time
MAX_FILES = 1000  # in a repo

_NAME = re.compile(r"([^/@]+/[^/@]+)(?:@(\w[\w.-]*(?:/\w[\w.-]*)*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """A repo of styles, USER/NAME, and which of its revisions: a branch, a tag or a commit."""

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
        found = _NAME.fullmatch(name)
        with suppress(HFValidationError):
            if found and ".." not in name:
                validate_repo_id(found[1])
                return cls(found[1], found[2] or "main")
        raise HubError(f"{text[:80]!a} is no name of a repo. Give USER/NAME or "
                       "USER/NAME@revision.")  # fmt: skip


def is_content(body: bytes, file: RepoSibling) -> bool:
    """Whether a file of a repo holds this, by its sha256 if it is large, else by its git id."""
    if file.lfs:
        return hashlib.sha256(body).hexdigest() == file.lfs.sha256
    return git_hash(body) == file.blob_id


@dataclass(frozen=True)
class Limits:
    """How much of a repo is taken at most: how many styles, how many bytes of all of their files
    together, and of one style's weights. A repo with more is refused."""

    styles: int = 100
    size_bytes: int = 1 << 30
    weights_bytes: int = MAX_BYTES

    def of(self, path: str) -> int:
        """The most bytes that this file may have."""
        own = {".json": MAX_RECORD_BYTES, ".jpg": MAX_PREVIEW_BYTES}
        return own.get(Path(path).suffix, self.weights_bytes)


@dataclass(frozen=True)
class Download:
    """How far a load is: what it is doing, how many bytes of the wanted files are here, how many
    are wanted (0 while not known), and how many came over the network, not from the cache."""

    doing: str
    done_bytes: int = 0
    total_bytes: int = 0
    received_bytes: int = 0

    @property
    def fraction(self) -> float:
        return self.done_bytes / self.total_bytes if self.total_bytes else 0.0


Tell = Callable[[Download], None]  # called from time to time, in the caller's thread


@dataclass(frozen=True)
class HubStyles:
    """The styles of a repo that can be used, by slug, all of one commit; and a sentence for each
    that cannot, after one if these are cached copies because the Hub cannot be reached."""

    name: HubName
    commit: str
    styles: Sequence[Style]
    warnings: Sequence[str] = ()


def repo_names(given: Sequence[str] | None) -> list[str]:
    """The repos in `given`, each one or several with commas between; if None, those in the
    environment's STYLEVID_HUB_REPO."""
    texts = given if given is not None else [os.environ.get("STYLEVID_HUB_REPO", "")]
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def get_style(
    name: str, folder: Path | None = None, repos: Sequence[str] = (), progress: Tell | None = None
) -> Style:
    """The style of that name, from the first place that has it.

    Args:
        name: a slug, which is looked for in `repos` and then in `folder`; or where and which:
            "USER/NAME/slug" or "USER/NAME@revision/slug" on the Hub, "bundled/slug".
        folder: of styles; None takes the bundled ones.
    Raises:
        StyleError: there is none.
        HubError: the repo that `name` names cannot be loaded.
    """
    origin, _, slug = name.rpartition("/")
    if "/" in origin and is_slug(slug):
        return load_hub_styles(origin, progress, only=[slug]).styles[0]
    if not repos and not origin:
        return get_local_style(name, folder)
    return find_style(name, collect_styles(folder, repos, progress))


def collect_styles(
    folder: Path | None = None, repos: Sequence[str] = (), progress: Tell | None = None
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
    name: str, progress: Tell | None = None, only: Collection[str] | None = None
) -> HubStyles:
    """The styles of a repo, or `only` those of these slugs, downloaded if need be and checked;
    warnings go to the log, too.

    Raises:
        HubError: the repo cannot be loaded, or holds no style that can be used.
    """
    step = None
    for step in follow_load(name, only):
        if progress is not None and isinstance(step, Download):
            progress(step)
    assert isinstance(step, HubStyles)  # with which a load ends
    for warning in step.warnings:
        log.warning("%s", warning)
    return step


def follow_load(
    name: str, only: Collection[str] | None = None, limits: Limits | None = None,
    public: bool = False,
) -> Iterator[Download | HubStyles]:  # fmt: skip
    """The progress of a load, then its result.

    It runs in a thread of its own, because nothing else ends the client's patience with a Hub that
    is silent or asks for a day's wait.

    Args:
        name, only: as in `load_hub_styles`, and so are the errors.
        public: take only what anybody may see: no token is sent, and what the cache holds is not
            shown unless the Hub says that it is public.
    """
    repo = HubName.parse(name)
    api = HfApi(library_name="stylevid", token=False if public else None)
    host = urlsplit(api.endpoint).netloc
    news: queue.Queue[Download | HubStyles | BaseException] = queue.Queue()
    gone = threading.Event()

    def tell(step: Download) -> None:
        if gone.is_set():
            raise Cancelled("The load was stopped.")
        news.put(step)

    def run() -> None:
        try:
            tell(Download(f"Asking {host} for {repo}"))
            with asking(api, repo):
                news.put(_load(repo, only, limits or Limits(), api, tell))
        except BaseException as error:  # handed to the caller's thread
            news.put(error)

    threading.Thread(target=run, name="hub", daemon=True).start()
    silence = Unreachable(f"{host} has been silent for {SILENCE_S:.0f} s. Try again later.")
    step = None
    try:
        while not isinstance(step, HubStyles):
            try:
                step = news.get(timeout=SILENCE_S)
            except queue.Empty:
                step = silence
            if isinstance(step, Unreachable) and not public:
                step = _from_cache(repo, only, step) or step
            if isinstance(step, BaseException):
                raise step
            yield step
    finally:  # also when the caller has gone
        gone.set()


def _load(
    repo: HubName, only: Collection[str] | None, limits: Limits, api: HfApi, tell: Tell
) -> HubStyles:
    info = api.model_info(repo.repo, revision=repo.revision, timeout=ANSWER_S, files_metadata=True)
    commit, files = info.sha or "", {file.rfilename: file for file in info.siblings or []}
    if not _COMMIT.fullmatch(commit):
        raise ValueError(f"{commit!r} is no commit")
    chosen, warnings = _choose(files, only, limits)
    total = sum(file.size or 0 for own in chosen.values() for file in own)
    for what, found, limit in (
        ("files", len(files), MAX_FILES),
        ("styles", len(chosen), limits.styles),
        ("bytes", total, limits.size_bytes),
    ):
        if found > limit:
            raise HubError(f"{repo} holds {found:,} {what}; the limit is {limit:,}.")
    step = Download(f"Loading {repo}", total_bytes=total)
    tell(step)
    for slug, own in list(chosen.items()):
        try:
            for file in own:
                step = _fetch(file, commit, repo, api, step, tell)
        except StyleError as error:
            warnings.append(str(error))
            del chosen[slug]
    cache = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo.repo, repo_type="model"))
    loaded = _read(repo, cache / "snapshots" / commit, chosen, only, warnings)
    if repo.revision != commit:
        with suppress(OSError):  # a cache that may not be written keeps what it has
            _point(cache, repo.revision, commit, whole=only is None)
    return loaded


def _point(cache: Path, revision: str, commit: str, whole: bool) -> None:
    """Say which commit the cache finds without the Hub.

    Only when it is loaded: while it was not whole, the one before stayed the one to fall back on;
    and so it does as long as only some of its styles were loaded of the new one.
    """
    ref, snapshots = cache / "refs" / revision, cache / "snapshots"
    before = ref.read_text("utf-8") if ref.is_file() else commit
    kept, new = ({p.name for p in (snapshots / one).glob("*.json")} for one in (before, commit))
    if whole or kept <= new:
        with written_whole(ref) as partial:
            partial.write_text(commit, "utf-8")


def _choose(
    files: Mapping[str, RepoSibling], only: Collection[str] | None, limits: Limits
) -> tuple[dict[str, list[RepoSibling]], list[str]]:
    """The files of each style that may be downloaded, by slug, and a sentence for each style that
    may not."""
    chosen: dict[str, list[RepoSibling]] = {}
    warnings: list[str] = []
    for path in sorted(p for p in files if p.endswith(".safetensors") and "/" not in p):
        slug = path.removesuffix(".safetensors")
        own = [files[p] for p in (f"{slug}.json", path, f"{slug}.jpg") if p in files]
        large = [file for file in own if (file.size or 0) > limits.of(file.rfilename)]
        if only is not None and slug not in only:
            continue
        if not is_slug(slug) or f"{slug}.json" not in files:
            warnings.append(f"{slug[:60]!a} is no style, which has a record beside it, and a name "
                            "of lower-case words joined by dashes.")  # fmt: skip
        elif large:
            warnings.append(f"{large[0].rfilename} has {large[0].size:,} bytes; the limit is "
                            f"{limits.of(large[0].rfilename):,}.")  # fmt: skip
        else:
            chosen[slug] = own
    return chosen, warnings


class _Meter(tqdm):
    """A progress bar that shows nothing and says how many bytes have come."""

    def __init__(self, come: Callable[[int], None], **_: object) -> None:
        super().__init__(disable=True)
        self.come = come

    def update(self, n: float | None = 1) -> None:
        self.n += int(n or 0)
        self.come(self.n)


def _fetch(
    file: RepoSibling, commit: str, repo: HubName, api: HfApi, start: Download, tell: Tell
) -> Download:
    """Have one file in the cache, as it was announced."""
    step, announced = start, file.size or 0

    def come(size: int) -> None:
        nonlocal step
        if size > announced:
            raise HubError(f"{file.rfilename} is longer than the {announced:,} bytes that {repo} "
                           "announces.")  # fmt: skip
        step = replace(start, received_bytes=start.received_bytes + size)
        tell(replace(step, done_bytes=start.done_bytes + size))

    for force in (False, True):  # again if what the cache holds is damaged
        path = api.hf_hub_download(
            repo.repo, file.rfilename, revision=commit, etag_timeout=ANSWER_S, force_download=force,
            tqdm_class=partial(_Meter, come),  # pyright: ignore
        )  # fmt: skip
        if is_content(Path(path).read_bytes(), file):
            step = replace(step, done_bytes=start.done_bytes + announced)
            tell(step)
            return step
    raise StyleError(f"{file.rfilename} is not what was announced; its content has another hash.")


def _read(
    repo: HubName, snapshot: Path, slugs: Collection[str], only: Collection[str] | None,
    warnings: Sequence[str],
) -> HubStyles:  # fmt: skip
    """Those of the styles in a folder of the cache, which is named by its commit, that can be used;
    an error if there are none."""
    found: list[Style] = []
    said = [f"{repo}: {warning}" for warning in warnings]
    for slug in slugs:
        try:
            style = read_style(snapshot / f"{slug}.json", str(repo))
            load_network(style)
            if style.preview.is_file():
                read_preview(style.preview)
            found.append(style)
        except (StyleError, WeightsError) as error:
            said.append(f"{repo}: {error}")
    if not found:
        raise HubError(said[-1] if said else f"{repo} holds no {', '.join(only or ['style'])}.")
    return HubStyles(repo, snapshot.name, found, said)


def _from_cache(repo: HubName, only: Collection[str] | None, reason: HubError) -> HubStyles | None:
    """The styles of the newest commit that was loaded before, if there are any."""
    with suppress(OSError, ValueError, HubError):
        snapshot = Path(snapshot_download(
            repo.repo, revision=repo.revision, local_files_only=True, ignore_patterns="*"
        ))  # fmt: skip
        slugs = sorted(path.stem for path in snapshot.glob("*.json"))
        kept = _read(repo, snapshot, [s for s in slugs if s in (only or slugs)], only, [])
        warning = f"{reason} These are the copies of {repo} from before ({kept.commit[:7]})."
        return replace(kept, warnings=[warning, *kept.warnings])
    return None


def open_file(path: Path) -> Style:
    """A style made of a lone safetensors file, checked; it has no record and no preview.

    Raises:
        WeightsError: the file cannot be used.
    """
    network = load_network(path)
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:60].strip("-")
    return Style(
        slug=slug or "style", title=path.stem, artist="", year="", medium="", licence="not stated",
        source="", sha256=file_sha256(path), network=network.config.as_dict(),
        folder=path.parent, origin="file", file=path,
    )  # fmt: skip
