"""stylevid: turn any video into a moving painting.

What is named here is imported when it is asked for, so that a network runs where there is neither
a Hub's client nor ffmpeg.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .errors import Cancelled, HubError, StyleError, StylevidError, VideoError, WeightsError
    from .hub import HubStyles, get_style, load_hub_styles
    from .painter import Painter
    from .pipeline import Options, Progress, Result, stylize_image, stylize_video
    from .styles import Mix, Style, list_styles

__all__ = [
    "Cancelled",
    "HubError",
    "HubStyles",
    "Mix",
    "Options",
    "Painter",
    "Progress",
    "Result",
    "Style",
    "StyleError",
    "StylevidError",
    "VideoError",
    "WeightsError",
    "__version__",
    "get_style",
    "list_styles",
    "load_hub_styles",
    "stylize_image",
    "stylize_video",
]

_HOMES = {
    "hub": ("HubStyles", "get_style", "load_hub_styles"),
    "painter": ("Painter",),
    "pipeline": ("Options", "Progress", "Result", "stylize_image", "stylize_video"),
    "styles": ("Mix", "Style", "list_styles"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "errors")
    return getattr(import_module(f".{home}", __name__), name)
