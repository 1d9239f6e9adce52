"""`python -m train.push_to_hub`: styles of `weights/` become a repo on the Hugging Face Hub, in one
commit that is read back; `--space` publishes the page that shows them, too.

The repo is either as it was or has all of the push, never a part of it. `--dry-run` shows what
would be sent. The token is the one of `hf auth login` or of the variable HF_TOKEN.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import disable_progress_bars, logging

from stylevid.errors import HubError, StyleError, StylevidError, WeightsError, exit_status
from stylevid.hub import ANSWER_S, HubName, Limits, is_content, list_files, size_bytes
from stylevid.hub_errors import asking
from stylevid.styles import Style, get_style, list_styles, read_preview, read_style
from stylevid.weights import load_network

from .export import paint_square
from .model_card import SHEET, build_card, build_space_card, contact_sheet

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("stylevid", "webui")  # that the page is made of
KINDS = (".py", ".mp4", ".safetensors", ".md")  # of their files

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


class PushError(StylevidError):
    """A push is refused by us; nothing was committed unless the message says so."""


@dataclass(frozen=True)
class Plan:
    """What a commit would do to a repo.

    Attributes:
        repo, kind, private: USER/NAME, "model" or "space", and what the Hub says.
        branch, has_branch, head: to be committed to, whether it is there, and the commit that it is
            at or will start from; None where there is no repo.
        files, contents, removed: what is there, all that we want there, and what will go.
    """

    repo: str
    kind: str
    branch: str
    head: str | None = None
    has_branch: bool = False
    private: bool = False
    files: Mapping[str, RepoSibling] = field(default_factory=dict[str, RepoSibling])
    contents: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    removed: Sequence[str] = ()

    @property
    def states(self) -> dict[str, str]:
        """ "new", "changed", "unchanged" or "removed" by path."""
        states = dict.fromkeys(self.removed, "removed")
        for path, body in self.contents.items():
            there = self.files.get(path)
            same = there is not None and is_content(body, there)
            states[path] = "unchanged" if same else "changed" if there else "new"
        return dict(sorted(states.items()))

    @property
    def is_done(self) -> bool:
        return set(self.states.values()) <= {"unchanged"}


def main(arguments: list[str] | None = None, api: HfApi | None = None) -> int:
    options = parse(arguments)
    logging.set_verbosity_error()  # a refusal is one sentence of ours
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        return exit_status(lambda: publish(options, api or HfApi(library_name="stylevid")))
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to finish.", file=sys.stderr)  # noqa: T201
        return 130


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
    name = HubName.parse(f"{options.repo}@{options.revision}")
    space = HubName.parse(f"{options.space}@main") if options.space else None
    with tempfile.TemporaryDirectory(prefix="stylevid-push-") as scratch:
        folder = Path(scratch)  # what is checked is what is sent, whatever happens to the originals
        slugs = options.styles or [style.slug for style in list_styles(options.weights)]
        if not slugs:
            raise StyleError(f"There are no styles in {options.weights}. Give their folder with "
                             "--weights.")  # fmt: skip
        styles = [_take(get_style(slug, options.weights), folder) for slug in dict.fromkeys(slugs)]
        if not options.dry_run:
            _check_token(api)
        plans = [plan_styles(api, look(api, name, "model", options), styles, folder)]
    if space:
        plans.append(plan_space(look(api, space, "space", options), name))
    for plan in plans:
        _say(describe(plan, options.private))
    if options.dry_run:
        _say("A dry run: nothing was sent.")
        return
    if not all(plan.is_done for plan in plans):
        _ask(options.yes)
    for plan in plans:
        made = str(plan.head) if plan.is_done else commit(api, plan, options)
        verify(api, plan, made)
        url = f"{api.endpoint}/{'spaces/' if plan.kind == 'space' else ''}{plan.repo}"
        word = "was already" if plan.is_done else "is now"
        _say(f"{url} {word} at {made[:12]}: {len(plan.contents)} files read back and found the "
             "same.")  # fmt: skip
    if space and (options.private or plans[0].private):
        _say(f"{name.repo} is private: give the Space a token that may read it, as its secret "
             "HF_TOKEN.")  # fmt: skip


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
    read_preview(style.preview)
    network = load_network(style)
    recorded = {"dilation": 1} | style.network  # older records do not speak of it
    if recorded != network.config.as_dict():
        raise WeightsError(f"{style.slug}.json records a network of {style.network}, its weights "
                           f"file holds {network.config}. Export the style again.")  # fmt: skip
    for key in ("licence", "source"):
        if getattr(style, key).strip().lower().rstrip(".") in _NO_WORD:
            raise StyleError(f"{style.slug}.json states no {key}. Nobody may use what comes "
                             "without one; fill it in.")  # fmt: skip
    paint_square(network, torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0)))


def plan_styles(api: HfApi, plan: Plan, styles: Sequence[Style], folder: Path) -> Plan:
    """The repo with these styles, whose files are in `folder`, beside those that it has already."""
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    sizes = {style.slug: style.weights.stat().st_size for style in styles}
    others = _others(api, plan, set(sizes), folder)
    sizes |= {style.slug: size_bytes(plan.files[style.weights.name]) for style in others}
    shown = sorted([*styles, *others], key=lambda style: style.slug)
    contents["README.md"] = build_card(plan.repo, shown, sizes).encode()
    done = replace(plan, contents=contents)
    if not done.is_done or SHEET not in plan.files:
        # Only now: another version of the JPEG library would change its bytes for nothing.
        previews = [read_preview(style.preview) for style in shown if style.preview.is_file()]
        contents[SHEET] = contact_sheet(previews)
    return done


def _others(api: HfApi, plan: Plan, sent: set[str], folder: Path) -> list[Style]:
    """The repo's styles that are not being sent, their records and previews in `folder`."""
    slugs = {p.removesuffix(".json") for p in plan.files if p.endswith(".json") and "/" not in p}
    slugs = sorted(s for s in slugs - sent if f"{s}.safetensors" in plan.files)
    wanted = [f"{slug}.{kind}" for slug in slugs for kind in ("json", "jpg")]
    wanted = [p for p in wanted if p in plan.files and size_bytes(plan.files[p]) <= Limits().of(p)]
    for path, body in read_files(api, plan, wanted, str(plan.head)).items():
        (folder / path).write_bytes(body)
    try:
        return [read_style(folder / f"{slug}.json") for slug in slugs]
    except StyleError as cause:
        raise PushError(f"{plan.repo} has a style that cannot be read: {cause} Repair or delete "
                        "it there.") from cause  # fmt: skip


def plan_space(plan: Plan, name: HubName) -> Plan:
    """The Space with the page, exactly as it is here, and with the styles of `name`."""
    try:
        paths = [ROOT / path for path in ("app.py", "requirements.txt", "LICENSE")]
        inner = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*"))]
        paths += [path for path in inner if path.suffix in KINDS]
        contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
        card = build_space_card(name.repo, plan.repo, version("gradio"))
    except (OSError, PackageNotFoundError) as cause:
        raise PushError(f"The page is not whole here: {cause}. Run --space in a checkout with its "
                        "requirements installed.") from cause  # fmt: skip
    contents |= {"README.md": card.encode(), "space.py": _SPACE.format(repo=name).encode()}
    stale = [p for p in plan.files if p.split("/")[0] in PACKAGES and p not in contents]
    return replace(plan, contents=contents, removed=stale)


def describe(plan: Plan, private: bool) -> str:
    """The plan as lines: the repo, each file with its size and state, and their sum."""
    states = plan.states
    seen = "private" if private or plan.private else "public"
    where = "to be created" if plan.head is None else f"now at {plan.head[:12]}"
    branch = "" if plan.branch == "main" else f", branch {plan.branch}"
    lines = [f"{plan.repo} ({plan.kind}, {seen}, {where}{branch}):"]
    sizes = {path: len(plan.contents.get(path, b"")) for path in states}
    lines += [f"  {state:9} {sizes[path]:>10,}  {path}" for path, state in states.items()]
    sent = [sizes[path] for path, state in states.items() if state in ("new", "changed")]
    total = f"  {len(sent)} files, {sum(sent):,} bytes to send, in one commit."
    return "\n".join([*lines, "  Nothing has changed." if plan.is_done else total])


def _ask(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise PushError("Nobody is there to be asked. Give --yes to send this, or --dry-run.")
    if input("Send this to the Hub? [y/N] ").strip().lower() not in ("y", "yes"):
        raise PushError("Nothing was sent.")


def _check_token(api: HfApi) -> None:
    """See that there is a token, that the Hub takes it, and that it is none for reading only."""
    if api.token is False or not (api.token or get_token()):
        raise PushError("There is no Hugging Face token. Run `hf auth login`, or set HF_TOKEN to "
                        "one that may write.")  # fmt: skip
    with asking(api, "this account"):
        role = api.whoami().get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise PushError("The Hugging Face token may only read. Make one that may write at "
                        "https://huggingface.co/settings/tokens.")  # fmt: skip


def look(api: HfApi, name: HubName, kind: str, options: argparse.Namespace) -> Plan:
    """The repo as it is now; in a dry run one that cannot be seen counts as new.

    Raises:
        PushError: it holds something else, or is public although a private one is wanted.
        HubError: the Hub does not answer as it should.
    """
    repo, branch, has_branch = name.repo, name.revision, True
    ask = partial(api.repo_info, repo, repo_type=kind, timeout=ANSWER_S, files_metadata=True)
    try:
        with asking(api, repo):
            try:
                info = ask(revision=branch)
            except RevisionNotFoundError:  # then it will start from the main branch
                info, has_branch = ask(), False
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return Plan(repo, kind, branch)
            files = list_files(info)
    except HubError as error:
        if not options.dry_run:
            raise
        _say(f"{error} All is shown as if it were new.")
        return Plan(repo, kind, branch)
    library = getattr(info, "library_name", None)
    styles = [p for p in files if p.endswith(".safetensors") and f"{p[:-12]}.json" in files]
    ours = "stylevid/__init__.py" in files if kind == "space" else library == "stylevid" or styles
    if not ours and not set(files) <= _OURS:
        other = f"a {library} model" if library else "something else"
        raise PushError(f"The name {repo} is taken: that {kind} holds {other} and no styles of "
                        "ours. Choose another name.")  # fmt: skip
    if options.private and not info.private:
        raise PushError(f"{repo} is there and is public. Make it private in its settings, or "
                        "leave --private out.")  # fmt: skip
    return Plan(repo, kind, branch, info.sha, has_branch, bool(info.private), files)


def commit(api: HfApi, plan: Plan, options: argparse.Namespace) -> str:
    """Make the repo if needed, and send what differs in one commit; returns the commit.

    Raises:
        HubError: the Hub refuses, or somebody else has committed since the plan was made.
    """
    slugs = [Path(path).stem for path in plan.states if path.endswith(".safetensors")]
    what = "the page" if plan.kind == "space" else ", ".join(slugs)
    message = options.message or f"Publish {what}"
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(path, plan.contents[path])
        for path, state in plan.states.items()
        if state in ("new", "changed")
    ]
    operations += [CommitOperationDelete(path) for path in plan.removed]
    parent = plan.head
    with asking(api, plan.repo, "write to"):
        if parent is None:
            api.create_repo(
                plan.repo, repo_type=plan.kind, private=options.private or None,
                space_sdk="gradio" if plan.kind == "space" else None,
            )  # fmt: skip
            parent = api.repo_info(plan.repo, repo_type=plan.kind).sha
        if not plan.has_branch and plan.branch != "main":
            api.create_branch(plan.repo, branch=plan.branch, revision=parent)
        return api.create_commit(
            plan.repo, operations, commit_message=message, repo_type=plan.kind,
            revision=plan.branch, parent_commit=parent,
        ).oid  # fmt: skip


def verify(api: HfApi, plan: Plan, made: str) -> None:
    """Read all files back from the Hub at the commit, with an empty cache.

    Raises:
        HubError: they cannot be read.
        PushError: a file is not the one that was sent.
    """
    try:
        read = read_files(api, plan, plan.contents, made)
    except HubError as error:
        raise HubError(f"The commit was made, but it cannot be read back: {error}") from error
    for path, body in plan.contents.items():
        if read[path] != body:
            raise PushError(f"{plan.repo} at {made[:12]} is not what was sent: {path} differs. Run "
                            "the same command again.")  # fmt: skip


def read_files(api: HfApi, plan: Plan, paths: Collection[str], revision: str) -> dict[str, bytes]:
    """Files of the repo at a commit, by path, downloaded anew.

    Raises:
        HubError: they cannot be read.
    """
    with asking(api, plan.repo), tempfile.TemporaryDirectory(prefix="stylevid-read-") as cache:
        fetch = partial(
            api.hf_hub_download, plan.repo, repo_type=plan.kind, revision=revision, cache_dir=cache
        )
        return {path: Path(fetch(path)).read_bytes() for path in paths}


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
