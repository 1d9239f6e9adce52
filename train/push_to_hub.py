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
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import RevisionNotFoundError
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import disable_progress_bars, logging

from stylevid.errors import HubError, StyleError, StylevidError, exit_status
from stylevid.hub import ANSWER_S, HubName, Limits, is_content
from stylevid.hub_errors import NoRepo, asking
from stylevid.styles import Style, get_style, list_styles, read_preview, read_style
from stylevid.weights import load_network

from .export import paint_square
from .model_card import SHEET, build_card, build_space, contact_sheet

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("stylevid", "webui")  # that the page is made of
KINDS = (".py", ".js", ".mp4", ".safetensors", ".md")  # of their files

_NO_WORD = {"unknown", "none", "n/a", "todo", "tbd", "?", "-"}
_OURS = {".gitattributes", "README.md", "LICENSE", ".gitignore"}  # what any new repo may hold


class PushError(StylevidError):
    """A push is refused by us; nothing was committed unless the message says so."""


@dataclass(frozen=True)
class Plan:
    """What a commit would do to a repo.

    Attributes:
        repo, kind, private: USER/NAME, "model" or "space", and what the Hub says.
        branch, new_branch: to be committed to, and whether it is to be made.
        head: the commit that it is at or will start from; None where there is no repo.
        files, contents, removed: what is there, all that we want there, and what will go.
    """

    repo: str
    kind: str
    branch: str
    new_branch: bool = False
    head: str | None = None
    private: bool = False
    files: Mapping[str, RepoSibling] = field(default_factory=dict[str, RepoSibling])
    contents: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    removed: Sequence[str] = ()

    @cached_property
    def changes(self) -> dict[str, str]:
        """ "new", "changed" or "removed" by path, for what is not as we want it."""
        changes = dict.fromkeys(self.removed, "removed")
        for path, body in self.contents.items():
            if path not in self.files:
                changes[path] = "new"
            elif not is_content(body, self.files[path]):
                changes[path] = "changed"
        return changes


def main(arguments: list[str] | None = None, api: HfApi | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m train.push_to_hub", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--repo", required=True, metavar="USER/NAME", help="made if needed")
    parser.add_argument("--styles", nargs="+", metavar="SLUG", help="default: all in --weights")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights", help="where styles are")
    parser.add_argument("--private", action="store_true", help="make the repo private")
    parser.add_argument("--revision", default="main", metavar="BRANCH", help="made if needed")
    parser.add_argument("--message", default="Publish with stylevid", help="of the commit")
    parser.add_argument("--space", metavar="USER/NAME", help="publish the page as this Space, too")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(arguments)
    logging.set_verbosity_error()  # a refusal is one sentence of ours
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        return exit_status(lambda: publish(options, api or HfApi(library_name="stylevid")))
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to finish.", file=sys.stderr)  # noqa: T201
        return 130


def publish(options: argparse.Namespace, api: HfApi) -> None:
    """Check, show, ask, commit, read back.

    Raises:
        StylevidError: anything at all is not as it should be; the message says what to do.
    """
    if not options.message.strip():
        raise PushError("--message is empty. A commit has one; give a few words.")
    name = HubName.parse(f"{options.repo}@{options.revision}")
    space = HubName.parse(f"{options.space}@main") if options.space else None
    with tempfile.TemporaryDirectory(prefix="stylevid-push-") as scratch:
        folder = Path(scratch)  # what is checked is what is sent, whatever happens to the originals
        slugs = options.styles or [style.slug for style in list_styles(options.weights)]
        if not slugs:
            raise StyleError(f"There are no styles in {options.weights}. Give their folder with "
                             "--weights.")  # fmt: skip
        styles = [_take(get_style(slug, options.weights), folder) for slug in dict.fromkeys(slugs)]
        if not (options.dry_run or api.token or (api.token is None and get_token())):
            raise PushError("There is no Hugging Face token. Run `hf auth login`, or set HF_TOKEN "
                            "to one that may write.")  # fmt: skip
        plans = [_plan_styles(api, _look(api, name, "model", options), styles, folder)]
    if space:
        plans.append(_plan_space(_look(api, space, "space", options), name))
    for plan in plans:
        _say(_describe(plan, options.private))
    if options.dry_run:
        _say("A dry run: nothing was sent.")
        return
    if not options.yes and any(plan.changes for plan in plans):
        _ask()
    for plan in plans:
        made = commit(api, plan, options) if plan.changes else str(plan.head)
        _verify(api, plan, made)
        url = f"{api.endpoint}/{'spaces/' if plan.kind == 'space' else ''}{plan.repo}"
        _say(f"{url} {'is now' if plan.changes else 'was already'} at {made[:12]}: "
             f"{len(plan.contents)} files read back and found the same.")  # fmt: skip
    if space and (options.private or plans[0].private):
        _say(f"{name.repo} is private: give the Space a token that may read it, as its secret "
             "HF_TOKEN.")  # fmt: skip


def _take(style: Style, folder: Path) -> Style:
    """The style, copied to `folder` and checked there: it is whole, licensed, and paints."""
    for path in (style.weights, style.preview, style.folder / f"{style.slug}.json"):
        try:
            shutil.copyfile(path, folder / path.name)
        except OSError as cause:
            raise StyleError(f"{path} cannot be read: {cause.strerror}. A style has weights, a "
                             "record and a preview; export it again.") from cause  # fmt: skip
    taken = read_style(folder / f"{style.slug}.json")
    for key in ("licence", "source"):
        if getattr(taken, key).strip().lower().rstrip(".") in _NO_WORD:
            raise StyleError(f"{taken.slug}.json states no {key}. Nobody may use what comes "
                             "without one; fill it in.")  # fmt: skip
    read_preview(taken.preview)
    noise = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    paint_square(load_network(taken), noise)
    _say(f"Checked {taken.slug}: {taken.title}, sha256 {taken.sha256[:12]}.")
    return taken


def _plan_styles(api: HfApi, plan: Plan, styles: Sequence[Style], folder: Path) -> Plan:
    """The repo with these styles, whose files are in `folder`, beside those that it has already."""
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    sizes = {style.slug: len(contents[style.weights.name]) for style in styles}
    others = _others(api, plan, set(sizes), folder)
    sizes |= {style.slug: plan.files[style.weights.name].size or 0 for style in others}
    shown = sorted([*styles, *others], key=lambda style: style.slug)
    contents["README.md"] = build_card(plan.repo, shown, sizes).encode()
    done = replace(plan, contents=contents)
    if not done.changes and SHEET in plan.files:
        return done  # another version of the JPEG library would change the sheet for nothing
    previews = [read_preview(style.preview) for style in shown if style.preview.is_file()]
    return replace(plan, contents={**contents, SHEET: contact_sheet(previews)})


def _others(api: HfApi, plan: Plan, sent: set[str], folder: Path) -> list[Style]:
    """The repo's styles that are not being sent, their records and previews in `folder`."""
    slugs = {p.removesuffix(".json") for p in plan.files if p.endswith(".json") and "/" not in p}
    slugs = sorted(s for s in slugs - sent if f"{s}.safetensors" in plan.files)
    files = [plan.files.get(f"{slug}.{kind}") for slug in slugs for kind in ("json", "jpg")]
    paths = [f.rfilename for f in files if f and (f.size or 0) <= Limits().of(f.rfilename)]
    for path, body in _read_files(api, plan, paths, str(plan.head)).items():
        (folder / path).write_bytes(body)
    try:
        return [read_style(folder / f"{slug}.json") for slug in slugs]
    except StyleError as cause:
        raise PushError(f"{plan.repo} has a style that cannot be read: {cause} Repair or delete "
                        "it there.") from cause  # fmt: skip


def _plan_space(plan: Plan, name: HubName) -> Plan:
    """The Space with the page, exactly as it is here, and with the styles of `name`."""
    try:
        paths = [ROOT / path for path in ("app.py", "requirements.txt", "LICENSE")]
        inner = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*"))]
        paths += [path for path in inner if path.suffix in KINDS]
        contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
        contents |= build_space(name, plan.repo, version("gradio"))
    except (OSError, PackageNotFoundError) as cause:
        raise PushError(f"The page is not whole here: {cause}. Run --space in a checkout with its "
                        "requirements installed.") from cause  # fmt: skip
    stale = [p for p in plan.files if p.split("/")[0] in PACKAGES and p not in contents]
    return replace(plan, contents=contents, removed=stale)


def _describe(plan: Plan, private: bool) -> str:
    """The plan as lines: the repo, each file that changes with its size, and their sum."""
    seen = "private" if private or plan.private else "public"
    where = "to be created" if plan.head is None else f"now at {plan.head[:12]}"
    sizes = {path: len(plan.contents.get(path, b"")) for path in plan.changes}
    total = f"{len(sizes)} files, {sum(sizes.values()):,} bytes to send, in one commit."
    return "\n".join([
        f"{plan.repo} ({plan.kind}, {seen}, {where}, branch {plan.branch}):",
        *(f"  {change:7} {sizes[path]:>10,}  {path}" for path, change in plan.changes.items()),
        f"  {total if sizes else 'Nothing has changed.'}",
    ])  # fmt: skip


def _ask() -> None:
    if not sys.stdin.isatty():
        raise PushError("Nobody is there to be asked. Give --yes to send this, or --dry-run.")
    if input("Send this to the Hub? [y/N] ").strip().lower() not in ("y", "yes"):
        raise PushError("Nothing was sent.")


def _look(api: HfApi, name: HubName, kind: str, options: argparse.Namespace) -> Plan:
    """The repo as it is now; in a dry run one that cannot be seen counts as new."""
    plan, new_branch = Plan(name.repo, kind, name.revision, name.revision != "main"), False
    info_of = api.space_info if kind == "space" else api.model_info
    ask = partial(info_of, plan.repo, timeout=ANSWER_S, files_metadata=True)
    try:
        with asking(api, plan.repo):
            try:
                info = ask(revision=plan.branch)
            except RevisionNotFoundError:  # then it will start from the main branch
                info, new_branch = ask(), True
            files = {file.rfilename: file for file in info.siblings or []}
    except NoRepo:
        return plan
    except HubError as error:
        if not options.dry_run:
            raise
        _say(f"{error} All is shown as if it were new.")
        return plan
    ours = "stylevid/__init__.py" in files or getattr(info, "library_name", None) == "stylevid"
    styles = [p for p in files if p.endswith(".safetensors") and f"{p[:-12]}.json" in files]
    if not ours and not styles and not set(files) <= _OURS:
        raise PushError(f"The name {plan.repo} is taken: that {kind} holds something else, and "
                        "no styles of ours. Choose another name.")  # fmt: skip
    if options.private and not info.private:
        raise PushError(f"{plan.repo} is there and is public. Make it private in its settings, or "
                        "leave --private out.")  # fmt: skip
    return Plan(plan.repo, kind, plan.branch, new_branch, info.sha, bool(info.private), files)


def commit(api: HfApi, plan: Plan, options: argparse.Namespace) -> str:
    """Make the repo and its branch if needed, and send what differs in one commit, which is
    returned; refused if somebody else has committed since the plan was made."""
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationDelete(path) if change == "removed"
        else CommitOperationAdd(path, plan.contents[path])
        for path, change in plan.changes.items()
    ]  # fmt: skip
    with asking(api, plan.repo, "write to"):
        if plan.head is None:
            sdk = "gradio" if plan.kind == "space" else None
            private = options.private or None
            api.create_repo(plan.repo, repo_type=plan.kind, private=private, space_sdk=sdk)
        if plan.new_branch:
            api.create_branch(plan.repo, branch=plan.branch, revision=plan.head)
        return api.create_commit(
            plan.repo, operations, commit_message=options.message, repo_type=plan.kind,
            revision=plan.branch, parent_commit=plan.head,
        ).oid  # fmt: skip


def _verify(api: HfApi, plan: Plan, made: str) -> None:
    """Read all files back from the Hub at the commit, and see that they are what was sent."""
    try:
        read = _read_files(api, plan, plan.contents, made)
    except HubError as error:
        raise HubError(f"The commit was made, but it cannot be read back: {error}") from error
    for path, body in plan.contents.items():
        if read[path] != body:
            raise PushError(f"{plan.repo} at {made[:12]} is not what was sent: {path} differs. Run "
                            "the same command again.")  # fmt: skip


def _read_files(api: HfApi, plan: Plan, paths: Collection[str], revision: str) -> dict[str, bytes]:
    """Files of the repo at a commit, by path, downloaded anew."""
    with asking(api, plan.repo), tempfile.TemporaryDirectory(prefix="stylevid-read-") as cache:
        fetch = partial(
            api.hf_hub_download, plan.repo, repo_type=plan.kind, revision=revision, cache_dir=cache
        )
        return {path: Path(fetch(path)).read_bytes() for path in paths}


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
