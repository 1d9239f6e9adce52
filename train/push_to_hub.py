"""`python -m train.push_to_hub`: styles of `weights/` become a repo on the Hugging Face Hub, in one
commit that is read back; `--space` publishes the page that shows them, too.

The repo is either as it was or has all of the push, never a part of it. `--dry-run` shows what
would be sent. The token is the one of `hf auth login` or of the variable HF_TOKEN.
"""

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import httpx2
import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import disable_progress_bars, logging, validate_repo_id
from torch import Tensor

from stylevid.errors import StyleError, StylevidError, WeightsError
from stylevid.network import StyleNetConfig
from stylevid.styles import (
    MAX_PREVIEW_BYTES,
    MAX_RECORD_BYTES,
    Style,
    get_style,
    list_styles,
    read_preview,
    read_style,
)
from stylevid.weights import file_sha256, load_network

from .hub_errors import HubTrouble, PushError, asking
from .model_card import SHEET, build_card, build_space_card, contact_sheet

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("stylevid", "webui")  # that the page is made of

_BRANCH = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_NO_WORD = {"unknown", "none", "n/a", "todo", "tbd", "?", "-"}
_OURS = {".gitattributes", "README.md", "LICENSE", ".gitignore"}  # what any new repo may hold

_SPACE = '''\
"""The Space's entry: the page, with the styles of {repo}."""

import contextlib
import os

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  on ZeroGPU it must come before torch

os.environ.setdefault("STYLEVID_HUB_REPO", "{repo}")

from app import main  # noqa: E402

if __name__ == "__main__":
    host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0")
    main(["--host", host, "--port", os.environ.get("GRADIO_SERVER_PORT", "7860")])
'''


@dataclass(frozen=True)
class Target:
    """A repo on the Hub as it is now.

    Attributes:
        repo, kind: USER/NAME, and "model" or "space".
        branch: that is to be committed to.
        head: the commit that it is at, or will start from; None where there is no such repo.
        has_branch: the branch is there.
        private: as the Hub says.
        files: at `head`, by path.
    """

    repo: str
    kind: str
    branch: str
    head: str | None = None
    has_branch: bool = False
    private: bool = False
    files: Mapping[str, RepoFile] | None = None


@dataclass(frozen=True)
class Plan:
    """What a commit would do to a repo: `contents` are all of our files that it then holds."""

    target: Target
    contents: Mapping[str, bytes]
    removed: Sequence[str] = ()

    @property
    def states(self) -> dict[str, str]:
        """ "new", "changed", "unchanged" or "removed" by path."""
        files = self.target.files or {}
        states = {path: _state(body, files.get(path)) for path, body in self.contents.items()}
        return dict(sorted({**states, **dict.fromkeys(self.removed, "removed")}.items()))

    @property
    def is_done(self) -> bool:
        return set(self.states.values()) <= {"unchanged"}


def main(arguments: list[str] | None = None, api: HfApi | None = None) -> int:
    options = parse(arguments)
    logging.set_verbosity_error()  # a refusal is one sentence of ours
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        publish(options, api or HfApi(library_name="stylevid"))
    except StylevidError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to finish.", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m train.push_to_hub",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repo", required=True, metavar="USER/NAME", help="made if needed")
    parser.add_argument("--styles", nargs="+", metavar="SLUG", help="default: all in --weights")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights", help="where styles are")
    parser.add_argument("--private", action="store_true", help="make the repo private")
    parser.add_argument("--revision", default="main", metavar="BRANCH", help="made if needed")
    parser.add_argument("--message", help="of the commit")
    parser.add_argument("--space", metavar="USER/NAME", help="publish the page as this Space, too")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args(arguments)


def publish(options: argparse.Namespace, api: HfApi) -> None:
    """Check, show, ask, commit, read back.

    Raises:
        StylevidError: anything at all is not as it should be; the message says what to do.
    """
    for name in filter(None, (options.repo, options.space)):
        _check_name(name)
    if ".." in options.revision or not _BRANCH.fullmatch(options.revision):
        raise PushError(f"{options.revision!r} is no name of a branch. Use letters and digits.")
    with tempfile.TemporaryDirectory(prefix="stylevid-push-") as name:
        folder = Path(name)  # what is checked is what is sent, whatever happens to the originals
        styles = [_take(style, folder) for style in _chosen(options)]
        if not options.dry_run:
            _check_token(api)
        plans = [plan_styles(api, options, styles, folder)]
        if options.space:
            plans.append(plan_space(api, options))
        for plan in plans:
            _say(describe(plan, options.private))
        if options.dry_run:
            _say("A dry run: nothing was sent.")
            return
        if not all(plan.is_done for plan in plans):
            _ask(options.yes)
        for plan in plans:
            made = plan.target.head if plan.is_done else commit(api, plan, options)
            assert made is not None  # a repo where all is done is there
            verify(api, plan, made)
            word = "was already" if plan.is_done else "is now"
            _say(f"{_url(api, plan.target)} {word} at {made[:12]}: {len(plan.contents)} files read "
                 "back and found the same.")  # fmt: skip
        if options.space and (options.private or plans[0].target.private):
            _say(f"{options.repo} is private: give the Space a token that may read it, as its "
                 "secret HF_TOKEN.")  # fmt: skip


# The styles.


def _chosen(options: argparse.Namespace) -> list[Style]:
    folder: Path = options.weights
    slugs: list[str] | None = options.styles
    styles = [get_style(s, folder) for s in dict.fromkeys(slugs)] if slugs else list_styles(folder)
    if not styles:
        raise StyleError(f"There are no styles in {folder}. Give their folder with --weights.")
    return styles


def _take(style: Style, folder: Path) -> Style:
    """The style, copied to `folder` and checked there."""
    for path in (style.weights, style.preview, style.folder / f"{style.slug}.json"):
        try:
            shutil.copyfile(path, folder / path.name)
        except OSError as cause:
            raise StyleError(f"{path} cannot be read: {cause.strerror}. A style has weights, a "
                             "record and a preview; export it again.") from cause  # fmt: skip
    taken = read_style(folder / f"{style.slug}.json")
    check_style(taken)
    size = taken.weights.stat().st_size / 1e6
    _say(f"Checked {taken.slug}: {taken.title}, {size:.2f} MB, sha256 {taken.sha256[:12]}.")
    return taken


def check_style(style: Style) -> None:
    """See that a style can be published.

    Raises:
        WeightsError: the weights are damaged, do not fit the record, or paint nothing.
        StyleError: the record states no licence or origin, or the preview is no picture.
    """
    config = load_network(style).config
    try:
        recorded = StyleNetConfig.from_dict(style.network)
    except ValueError as cause:
        raise StyleError(f"{style.slug}.json: {cause}. Export the style again.") from cause
    if recorded != config:
        raise WeightsError(f"{style.slug}.json records a network of {recorded}, its weights file "
                           f"holds {config}. Export the style again.")  # fmt: skip
    for key in ("licence", "source"):
        if getattr(style, key).strip().lower().rstrip(".") in _NO_WORD:
            raise StyleError(f"{style.slug}.json states no {key}. Nobody may use what comes "
                             "without one; fill it in.")  # fmt: skip
    stylized = _paint(style)
    if not torch.isfinite(stylized).all() or stylized.std(dim=(-2, -1)).max() < 0.01:
        raise WeightsError(f"{style.slug} paints in one color or not at all. Train it again.")
    read_preview(style.preview)


@torch.inference_mode()
def _paint(style: Style) -> Tensor:
    """A small picture of smooth random colors as the style paints it, 1,3,96,128 in [0, 1]."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(coarse, (96, 128), mode="bicubic").clamp(0, 1)
    return load_network(style)(image)


# What would be sent.


def plan_styles(
    api: HfApi, options: argparse.Namespace, styles: Sequence[Style], folder: Path
) -> Plan:
    """The repo with these styles in it, beside those that it has already."""
    target = _target(api, options.repo, "model", options)
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    sizes = {style.slug: style.weights.stat().st_size for style in styles}
    others = _others(api, target, set(sizes), folder)
    sizes |= {style.slug: (target.files or {})[style.weights.name].size for style in others}
    shown = sorted([*styles, *others], key=lambda style: style.slug)
    contents["README.md"] = build_card(target.repo, shown, sizes).encode()
    plan = Plan(target, contents)
    if not plan.is_done or SHEET not in (target.files or {}):
        # Only now: another version of the JPEG library would change its bytes for nothing.
        previews = [read_preview(style.preview) for style in shown if style.preview.is_file()]
        plan = Plan(target, {**contents, SHEET: contact_sheet(previews)})
    return plan


def _others(api: HfApi, target: Target, sent: set[str], folder: Path) -> list[Style]:
    """The repo's styles that are not being sent, their records and previews in `folder`."""
    files = target.files or {}
    slugs = [p.removesuffix(".json") for p in files if p.endswith(".json") and "/" not in p]
    slugs = [s for s in slugs if f"{s}.safetensors" in files and s not in sent]
    limits = {".json": MAX_RECORD_BYTES, ".jpg": MAX_PREVIEW_BYTES}
    with asking(api, target.repo), tempfile.TemporaryDirectory() as cache:
        for path in [slug + suffix for slug in slugs for suffix in limits]:
            if path in files and files[path].size <= limits[path[path.rindex(".") :]]:
                copy = _download(api, target, path, str(target.head), cache)
                shutil.copyfile(copy, folder / path)
    try:
        return [read_style(folder / f"{slug}.json") for slug in slugs]
    except StyleError as cause:
        raise PushError(f"{target.repo} has a style that cannot be read: {cause} Repair or delete "
                        "it there.") from cause  # fmt: skip


def plan_space(api: HfApi, options: argparse.Namespace) -> Plan:
    """The Space with the page, exactly as it is here."""
    target = _target(api, options.space, "space", options)
    source = options.repo + ("" if options.revision == "main" else f"@{options.revision}")
    try:
        paths = [ROOT / name for name in ("app.py", "requirements.txt", "LICENSE")]
        paths += [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
        contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
        card = build_space_card(options.repo, target.repo, version("gradio"))
    except (OSError, PackageNotFoundError) as cause:
        raise PushError(f"The page is not whole here: {cause}. Run --space in a checkout with its "
                        "requirements installed.") from cause  # fmt: skip
    contents |= {"README.md": card.encode(), "space.py": _SPACE.format(repo=source).encode()}
    stale = [p for p in target.files or {} if p.split("/")[0] in PACKAGES and p not in contents]
    return Plan(target, contents, stale)


def describe(plan: Plan, private: bool) -> str:
    """The plan as lines: the repo, each file with its size and state, and their sum."""
    target, states = plan.target, plan.states
    seen = "private" if private or target.private else "public"
    where = "to be created" if target.head is None else f"now at {target.head[:12]}"
    branch = "" if target.branch == "main" else f", branch {target.branch}"
    lines = [f"{target.repo} ({target.kind}, {seen}, {where}{branch}):"]
    for path, state in states.items():
        size = len(plan.contents[path]) if path in plan.contents else 0
        lines.append(f"  {state:9} {size:>10,}  {path}")
    sent = [len(plan.contents[p]) for p, state in states.items() if state in ("new", "changed")]
    total = f"{len(sent)} files, {sum(sent):,} bytes to send"
    lines.append(f"  {total}, in one commit." if not plan.is_done else "  Nothing has changed.")
    return "\n".join(lines)


def _state(body: bytes, there: RepoFile | None) -> str:
    if there is None:
        return "new"
    if there.lfs is not None:
        same = there.lfs.sha256 == hashlib.sha256(body).hexdigest()
    else:
        same = there.blob_id == hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
    return "unchanged" if same and there.size == len(body) else "changed"


def _ask(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise PushError("Nobody is there to be asked. Give --yes to send this, or --dry-run.")
    if input("Send this to the Hub? [y/N] ").strip().lower() not in ("y", "yes"):
        raise PushError("Nothing was sent.")


# The Hub.


def _check_name(name: str) -> None:
    try:
        validate_repo_id(name)
        valid = name.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise PushError(f"{name!r} is no name of a repo. Give USER/NAME, of letters, digits and "
                        "single - _ . only.")  # fmt: skip


def _check_token(api: HfApi) -> None:
    """See that there is a token, that the Hub takes it, and that it is none for reading only."""
    if api.token is False or not (api.token or get_token()):
        raise PushError("There is no Hugging Face token. Run `hf auth login`, or set HF_TOKEN to "
                        "one that may write.")  # fmt: skip
    with asking(api):
        role = api.whoami().get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise PushError("The Hugging Face token may only read. Make one that may write at "
                        "https://huggingface.co/settings/tokens.")  # fmt: skip


def _target(api: HfApi, repo: str, kind: str, options: argparse.Namespace) -> Target:
    """The repo as it is now; in a dry run one that cannot be seen counts as new."""
    branch = options.revision if kind == "model" else "main"
    try:
        target = read_target(api, repo, kind, branch)
    except HubTrouble as error:
        if not options.dry_run:
            raise
        _say(f"{error} All is shown as if it were new.")
        return Target(repo, kind, branch)
    if options.private and target.head is not None and not target.private:
        raise PushError(f"{repo} is there and is public. Make it private in its settings, or leave "
                        "--private out.")  # fmt: skip
    return target


def read_target(api: HfApi, repo: str, kind: str, branch: str) -> Target:
    """The repo as it is now.

    Raises:
        PushError: it holds something else.
        HubTrouble: the Hub does not answer as it should.
    """
    target = Target(repo, kind, branch)
    with asking(api, target.repo):
        try:
            info = api.repo_info(repo, repo_type=kind)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return target
        has_branch = branch == "main"
        if not has_branch:
            with suppress(RevisionNotFoundError):  # then it will start from the main branch
                info, has_branch = api.repo_info(repo, repo_type=kind, revision=branch), True
        tree = api.list_repo_tree(repo, repo_type=kind, revision=info.sha, recursive=True)
        files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    library = getattr(info, "library_name", None)
    weights = [path for path in files if path.endswith(".safetensors")]
    styles = [path for path in weights if path.replace(".safetensors", ".json") in files]
    ours = library == "stylevid" or bool(styles)
    if kind == "space":
        ours = "stylevid/__init__.py" in files
    if not ours and not set(files) <= _OURS:
        other = f"a {library} model" if library else "something else"
        raise PushError(f"The name {repo} is taken: that {kind} holds {other} and no styles of "
                        "ours. Choose another name.")  # fmt: skip
    return Target(repo, kind, branch, info.sha, has_branch, bool(info.private), files)


def commit(api: HfApi, plan: Plan, options: argparse.Namespace) -> str:
    """Make the repo if needed, and send what differs in one commit; returns the commit.

    Raises:
        PushError: the Hub refuses, or somebody else has committed since the plan was made.
    """
    target, states = plan.target, plan.states
    slugs = [path.removesuffix(".safetensors") for path in states if path.endswith(".safetensors")]
    message = options.message or ("Publish " + (", ".join(slugs) if slugs else "the page"))
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(path, plan.contents[path])
        for path, state in states.items()
        if state in ("new", "changed")
    ]
    operations += [CommitOperationDelete(path) for path in plan.removed]
    repo, kind, parent = target.repo, target.kind, target.head
    with asking(api, repo):
        if parent is None:
            sdk = "gradio" if kind == "space" else None
            private = options.private or None
            api.create_repo(repo, repo_type=kind, private=private, space_sdk=sdk)
            parent = api.repo_info(repo, repo_type=kind).sha
        if not target.has_branch and target.branch != "main":
            api.create_branch(repo, repo_type=kind, branch=target.branch, revision=parent)
        try:
            return api.create_commit(
                repo, operations, commit_message=message, repo_type=kind, revision=target.branch,
                parent_commit=parent,
            ).oid  # fmt: skip
        except (HfHubHTTPError, httpx2.TransportError) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
                raise
            # The answer was lost; the commit may have been made all the same.
            now = read_target(api, target.repo, target.kind, target.branch)
            if now.head is None or not Plan(now, plan.contents, []).is_done:
                raise
            return now.head


def verify(api: HfApi, plan: Plan, made: str) -> None:
    """Read all files back from the Hub at the commit, with an empty cache, and paint with them.

    Raises:
        PushError: a file is not the one that was sent, or it paints another picture.
    """
    target = plan.target
    unlike = f"{target.repo} at {made[:12]} is not what was sent: "
    with tempfile.TemporaryDirectory(prefix="stylevid-verify-") as cache:
        with asking(api, target.repo, "The commit was made, but it cannot be read back: "):
            paths = {path: _download(api, target, path, made, cache) for path in plan.contents}
        for path, local in paths.items():
            if file_sha256(local) != hashlib.sha256(plan.contents[path]).hexdigest():
                raise PushError(f"{unlike}{path} differs. Run the same command again.")
        records = [path for path in paths.values() if path.suffix == ".json"]
        with tempfile.TemporaryDirectory(prefix="stylevid-sent-") as name:
            for path, body in plan.contents.items():
                if "/" not in path:
                    (Path(name) / path).write_bytes(body)
            for record in records:
                sent = read_style(Path(name) / record.name)
                if not torch.equal(_paint(read_style(record)), _paint(sent)):
                    raise PushError(f"{unlike}{record.stem} paints another picture.")


def _download(api: HfApi, target: Target, path: str, revision: str, cache: str) -> Path:
    return Path(
        api.hf_hub_download(
            target.repo, path, repo_type=target.kind, revision=revision, cache_dir=cache
        )
    )


def _url(api: HfApi, target: Target) -> str:
    return f"{api.endpoint}/{'spaces/' if target.kind == 'space' else ''}{target.repo}"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
