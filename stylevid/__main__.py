"""`python -m stylevid clip.mp4 --style starry-night -o out.mp4`: paint a video from the shell."""

import argparse
import logging
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.utils import logging as hub_logging
from tqdm import tqdm

from .comparison import compare_video
from .errors import StylevidError
from .export import export_loop, export_vertical
from .hub import Download, collect_styles, get_style, repo_names
from .metrics import NOTHING_MEASURED
from .network import StyleNet
from .painter import Painter, find_device
from .pipeline import Options, Progress, Result, stylize_video
from .styles import Mix, Style, list_styles, name_styles, slug_of
from .video import QUALITIES, check_target
from .weights import load_network, save_network


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 trouble outside, 2 wrong arguments."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(format="stylevid: %(message)s")
    hub_logging.set_verbosity_error()  # what matters of it we say in one sentence
    try:
        if options.list_styles:
            _print_styles(options.weights, repo_names(options.hub_repo))
            return 0
        if options.video is None or not (options.style or options.painting):
            parser.error("give a video and --style or --painting, or --list-styles")
        for line in _paint(options):
            print(line)  # noqa: T201
        return 0
    except (StylevidError, ValueError) as error:
        print(f"stylevid: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("stylevid: stopped; nothing was written.", file=sys.stderr)  # noqa: T201
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser("stylevid", description="Turn a video into a moving painting.")
    add = parser.add_argument
    add("video", type=Path, nargs="?", help="the video to paint")
    add("--style", action="append", default=[], help="a style's name, USER/NAME/style on the Hub, "
        "or a .safetensors file's path; give two with --mix, or any number with "
        "--per-shot")  # fmt: skip
    add("--mix", type=float, metavar="SHARE", help="of the second style, 0 to 1")
    add("--per-shot", action="store_true", help="another style after each cut: --style a,b,c")
    add("-o", "--output", type=Path, help="the .mp4 to write")
    add("--fine", action="store_true", help="learn the clip before it is painted: richer, steadier")
    add("--painting", type=Path, metavar="PICTURE", help="learn this painting, too: any picture")
    add("--learn-seconds", type=float, default=120.0, metavar="N", help="for so long (120)")
    add("--keep", type=Path, metavar="FILE.safetensors", help="keep what was learned as a style")
    add("--side-by-side", action="store_true", help="without | with temporal consistency, labelled")
    add("--loop", type=Path, metavar="GIF", help="write an endless loop of the result, too")
    add("--vertical", type=Path, metavar="MP4", help="write its middle upright for a phone, too")
    add_painting_options(parser)
    add("--list-styles", action="store_true", help="name the styles and stop")
    return parser


def add_painting_options(parser: argparse.ArgumentParser) -> None:
    """How to paint, where, and with what styles."""
    add = parser.add_argument
    add("--from", dest="start_s", type=float, default=0.0, metavar="SECONDS", help="begin there")
    add("--to", dest="end_s", type=float, metavar="SECONDS", help="end there")
    add("--no-temporal", dest="temporal", action="store_false", help="paint each frame on its own")
    add("--size", type=int, help="longest side in pixels (default: the video's)")
    add("--strength", type=float, default=1.0, help="0 (video) to 1 (painting)")
    add("--keep-colors", action="store_true", help="keep the video's own colors")
    add("--brush", type=float, help="size of the strokes, 1 to 8 times that of the training "
        "(default: grows with the picture, 2 for 1080p)")  # fmt: skip
    add("--quality", choices=QUALITIES, default="good", help="of the file: better keeps more of "
        "the paint, and is larger (good)")  # fmt: skip
    add("--engine", help="such as openvino-bfloat16 or torch-float32 (default: what suits the "
        "device)")  # fmt: skip
    add_style_options(parser)


def add_style_options(parser: argparse.ArgumentParser) -> None:
    """Where to paint, and where the styles are from."""
    add = parser.add_argument
    add("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    add("--weights", type=Path, help="a folder of styles (default: the bundled)")
    add("--hub-repo", action="append", metavar="USER/NAME[@REVISION]", help="take styles from "
        "this repo on the Hub, too (default: $STYLEVID_HUB_REPO)")  # fmt: skip


def painting_options(options: argparse.Namespace) -> Options:
    """What `add_painting_options` has parsed.

    Raises:
        ValueError: a number is out of range.
    """
    names = ("temporal", "size", "strength", "keep_colors", "brush", "quality", "start_s", "end_s")
    return Options(**{name: getattr(options, name) for name in names})


def _paint(options: argparse.Namespace) -> Iterator[str]:
    """Paint, export, and say what came out."""
    learns = options.fine or options.painting is not None
    if options.keep is not None:
        if not learns:
            raise ValueError("--keep keeps what was learned: give --fine or --painting, too")
        check_target(options.keep, ".safetensors")
    styles = _styles(options)
    label = options.painting.stem if options.painting else "-".join(map(slug_of, styles))
    video: Path = options.video
    output = options.output or video.with_name(f"{video.stem}-{label}.mp4")
    check_target(output, ".mp4")
    for path, suffix in ((options.loop, ".gif"), (options.vertical, ".mp4")):
        if path is not None:
            check_target(path, suffix)
            if path.resolve() in (video.resolve(), output.resolve()):
                raise ValueError(f"{path} would be written over; choose another name for it")
    settings = painting_options(options)
    paint_with: list[Style | Path | Mix | StyleNet] = [*styles]
    if learns:
        paint_with = [_learn(options, styles[0] if styles else None, settings)]
    elif options.mix is not None:
        paint_with = [Mix(*styles, share=options.mix)]
    painter = [Painter(style, options.device, options.engine) for style in paint_with]
    with tqdm(total=1.0, bar_format="{percentage:3.0f}%|{bar}| {postfix}", disable=None) as bar:

        def show(progress: Progress) -> None:
            bar.update(progress.fraction - bar.n)
            left = "" if progress.left_s is None else f", {progress.left_s:.0f} s left"
            bar.set_postfix_str(f"{progress.frames} frames, {progress.fps:.1f} frames/s{left}")

        if options.side_by_side:
            compare_video(video, output, painter, settings, show)
            said = f"{output}: without | with temporal consistency"
        else:
            said = _describe(stylize_video(video, output, painter, settings, show))
    yield said
    if options.loop is not None:
        yield f"{export_loop(output, options.loop)}: an endless loop"
    if options.vertical is not None:
        yield f"{export_vertical(output, options.vertical)}: upright"


def _styles(options: argparse.Namespace) -> list[Style | Path]:
    """The styles that the options name; none leaves what to start from to the painting.

    Raises:
        ValueError: they are too many or too few for what is to be done with them.
    """
    names: list[str] = options.style
    if options.per_shot:
        names = [name for text in names for name in text.split(",")]
    if options.per_shot and (options.mix is not None or len(names) < 2):
        raise ValueError("--per-shot takes two styles or more, and no --mix: --style a,b")
    if options.mix is not None and len(names) != 2:
        raise ValueError(f"--mix takes two styles: --style a --style b; got {len(names)}")
    if len(names) > 1 and (options.fine or options.painting):
        raise ValueError(f"one style is learned from; got {len(names)}")
    if len(names) > 1 and not options.per_shot and options.mix is None:
        raise ValueError(f"what are {len(names)} styles for? Give --mix SHARE or --per-shot, too")
    return [_style(name, options) for name in names]


def _style(name: str, options: argparse.Namespace) -> Style | Path:
    if name.endswith(".safetensors"):
        return Path(name)
    with _showing_downloads() as show_download:
        return get_style(name, options.weights, repo_names(options.hub_repo), show_download)


def _learn(options: argparse.Namespace, style: Style | Path | None, settings: Options) -> StyleNet:
    """The network that has learned the clip, and the painting if there is one."""
    # Learning loads VGG, and what is quick needs none of it.
    from .learn.clip import Lesson, learn_clip
    from .learn.painting import nearest, study, targets_of

    device = find_device(options.device)
    if options.painting is not None:
        painting = study(options.painting)
        style = style or nearest(painting, list_styles(options.weights))
    else:
        assert style is not None
        painting = targets_of(style)
    with tqdm(total=1.0, bar_format="learning {percentage:3.0f}%|{bar}| {postfix}",
              disable=None) as bar:  # fmt: skip

        def show(lesson: Lesson) -> None:
            bar.update(lesson.fraction - bar.n)
            bar.set_postfix_str(f"{lesson.steps} steps, {lesson.left_s:.0f} s left")

        network = learn_clip(load_network(style), painting, options.video, settings,
                             options.learn_seconds, show, device=device)  # fmt: skip
    if options.keep is not None:
        try:
            save_network(network, options.keep, painting.pack())
        except OSError as cause:  # what was learned is painted with all the same
            print(f"stylevid: {options.keep} cannot be written: {cause.strerror}.", file=sys.stderr)  # noqa: T201
    return network.cpu()


def _describe(result: Result) -> str:
    words = NOTHING_MEASURED
    if result.flicker and result.flicker.pairs:
        words = f"{result.flicker.in_words()} (Warping error x 1000.)"
    return (f"{result.path}: {result.frames} frames of {result.width}x{result.height}, "
            f"{result.fps:.1f} frames/s on {result.device}\n{words}")  # fmt: skip


def _print_styles(folder: Path | None, repos: list[str]) -> None:
    with _showing_downloads() as show_download:
        styles = collect_styles(folder, repos, show_download)
    for name, style in name_styles(styles).items():
        print(f"{name:24} {style.title}, {style.artist}, {style.year} ({style.origin})")  # noqa: T201


@contextmanager
def _showing_downloads() -> Generator[Callable[[Download], None]]:
    """A callback that shows downloads as a bar, and only if something is downloaded."""
    with tqdm(unit="B", unit_scale=True, leave=False, disable=None, delay=0.3) as bar:

        def show(download: Download) -> None:
            bar.set_description(download.doing, refresh=False)
            bar.total = download.total_bytes
            bar.update(download.done_bytes - bar.n)

        yield show


if __name__ == "__main__":
    sys.exit(main())
