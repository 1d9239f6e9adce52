"""Make `docs/styles.jpg`: the example clip, half a second apart, in every bundled style.

Run as `python docs/make_sheet.py` from the project's root.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stylevid import Painter, list_styles, stylize_image  # noqa: E402
from stylevid.scene import render_frame  # noqa: E402


def main() -> None:
    frames = [render_frame(time_s) for time_s in (2.0, 2.5)]
    rows = [np.concatenate(frames, axis=1)]
    for style in list_styles():
        painter = Painter(style)
        rows.append(np.concatenate([stylize_image(frame, painter) for frame in frames], axis=1))
    sheet = np.concatenate(rows)
    Image.fromarray(sheet).save(ROOT / "docs" / "styles.jpg", quality=88)


if __name__ == "__main__":
    main()
