"""stylevid: turn any video into a moving painting."""

from .errors import Cancelled, StyleError, StylevidError, VideoError, WeightsError
from .pipeline import Options, Painter, Progress, Result, stylize_image, stylize_video
from .styles import Style, get_style, list_styles

__all__ = [
    "Cancelled",
    "Options",
    "Painter",
    "Progress",
    "Result",
    "Style",
    "StyleError",
    "StylevidError",
    "VideoError",
    "WeightsError",
    "get_style",
    "list_styles",
    "stylize_image",
    "stylize_video",
]
