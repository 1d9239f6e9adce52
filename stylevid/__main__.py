"""`python -m stylevid clip.mp4 --style starry-night -o out.mp4`: paint a video from the shell."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from .errors import StylevidError
from .pipeline import Options, Painter, Progress, Result, stylize_video
from .styles import get_style, list_styles


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 trouble outside, 2 wrong arguments."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        if options.list_styles:
            _print_styles(options.weights)
            return 0
        if options.video is None or options.style is None:
            parser.error("give a video and --style, or --list-styles")
        print(_describe(_paint(options)))  # noqa: T201
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
    parser.add_argument("video", type=Path, nargs="?", help="the video to paint")
    parser.add_argument("--style", help="a style's name, or the path of a .safetensors file")
    parser.add_argument("-o", "--output", type=Path, help="the .mp4 to write")
    parser.add_argument("--no-temporal", action="store_true", help="paint each frame on its own")
    parser.add_argument("--size", type=int, help="longest side in pixels (default: the video's)")
    parser.add_argument("--strength", type=float, default=1.0, help="0 (video) to 1 (painting)")
    parser.add_argument("--keep-colors", action="store_true", help="keep the video's own colors")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--weights", type=Path, help="a folder of styles (default: the bundled)")
    parser.add_argument("--list-styles", action="store_true", help="name the styles and stop")
    return parser


def _paint(options: argparse.Namespace) -> Result:
    name = str(options.style)
    style = Path(name) if name.endswith(".safetensors") else get_style(name, options.weights)
    video: Path = options.video
    output = options.output or video.with_name(f"{video.stem}-{Path(name).stem}.mp4")
    settings = Options(
        temporal=not options.no_temporal,
        size=options.size,
        strength=options.strength,
        keep_colors=options.keep_colors,
    )
    painter = Painter(style, options.device)
    with tqdm(total=1.0, bar_format="{percentage:3.0f}%|{bar}| {postfix}", disable=None) as bar:

        def show(progress: Progress) -> None:
            bar.update(progress.fraction - bar.n)
            left = "" if progress.left_s is None else f", {progress.left_s:.0f} s left"
            bar.set_postfix_str(f"{progress.frames} frames, {progress.fps:.1f} frames/s{left}")

        return stylize_video(video, output, painter, settings, show)


def _describe(result: Result) -> str:
    line = (
        f"{result.path}: {result.frames} frames of {result.width}x{result.height}, "
        f"{result.fps:.1f} frames/s on {result.device}"
    )
    if result.flicker is not None and result.flicker.pairs:
        errors = [f"{name} {1000 * value:.2f}" for name, value in result.flicker.errors.items()]
        line += f"; flicker {', '.join(errors)}, the video's own {1000 * result.flicker.floor:.2f}"
    return line


def _print_styles(folder: Path | None) -> None:
    for style in list_styles(folder):
        print(f"{style.slug:24} {style.title}, {style.artist}, {style.year}")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
