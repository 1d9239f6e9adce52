"""stylevid: turn any video into a moving painting."""

from .errors import Cancelled, HubError, StyleError, StylevidError, VideoError, WeightsError
from .hub import HubStyles, get_style, load_hub_styles
from .painter import Painter
from .pipeline import Options, Progress, Result, stylize_image, stylize_video
from .styles import Mix, Style, list_styles
from .version import __version__

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
