"""The page, served as its operator serves it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@contextmanager
def serve(
    log: Path, environment: Mapping[str, str], *options: str
) -> Generator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of the page, which says all in `log`, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, command = f"http://127.0.0.1:{port}", [sys.executable, "app.py", "--port", str(port)]
    with log.open("w") as file:
        page = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=os.environ | environment, stdout=file, stderr=file
        )

    def is_well() -> bool:
        assert page.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
            return answer.status == 200
        return False

    try:
        wait_for(is_well)
        yield url, page
    finally:
        page.terminate()
        page.wait(60)
