"""The example clip, rendered by code: the scene of `scene.py` with a melody over waves."""

import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from moviepy import VideoClip
from moviepy.audio.AudioClip import AudioArrayClip

from .scene import render_frame

_SAMPLE_RATE = 44_100
# A descending pentatonic phrase, Hz, one note each 0.6 s.
_NOTES = (659.3, 587.3, 523.3, 440.0, 523.3, 392.0, 440.0, 523.3)
_NOTE_S = 0.6


def render_example(
    path: Path, duration_s: float = 5.0, fps: int = 24, height: int = 360, width: int = 640
) -> Path:
    """An MP4 (H.264 yuv420p, AAC stereo) of the example scene at `path`, which is returned.

    It is written beside its name and moved into place when whole.

    Raises:
        ValueError: a side is odd; 4:2:0 pictures have even ones.
    """
    if height % 2 or width % 2:
        raise ValueError(f"the example's sides are even; got {width}x{height}")
    clip = VideoClip(frame_function=partial(_frame, height, width), duration=duration_s)
    clip = clip.with_audio(AudioArrayClip(render_sound(duration_s), fps=_SAMPLE_RATE))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder) / "example.mp4"
        clip.write_videofile(
            str(whole), fps=fps, codec="libx264", audio_codec="aac", preset="veryfast",
            pixel_format="yuv420p", logger=None, temp_audiofile_path=folder,
            ffmpeg_params=["-crf", "16", "-movflags", "+faststart"],
        )  # fmt: skip
        os.replace(whole, path)
    return path


def _frame(height: int, width: int, time_s: float) -> npt.NDArray[np.uint8]:
    return render_frame(time_s, height, width)


def render_sound(duration_s: float) -> npt.NDArray[np.float64]:
    """Plucked notes over soft waves: samples,2 in [-0.4, 0.4] at 44.1 kHz."""
    count = round(duration_s * _SAMPLE_RATE)
    time_s = np.arange(count) / _SAMPLE_RATE
    sound = np.stack((_waves(time_s, 1), _waves(time_s, 2)), axis=1) + _melody(time_s)[:, None]
    fade = np.minimum(1, np.minimum(time_s, duration_s - time_s) / 0.05)  # no click at either end
    return 0.4 * fade[:, None] * sound / np.abs(sound).max()


def _melody(time_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    sound = np.zeros_like(time_s)
    for number in range(int(time_s[-1] / _NOTE_S) + 1):
        since = np.maximum(time_s - number * _NOTE_S, 0)
        pitch = 2 * np.pi * _NOTES[number % len(_NOTES)] * since
        pluck = (1 - np.exp(-since / 0.008)) * np.exp(-since / 0.5)
        sound += pluck * (np.sin(pitch) + 0.35 * np.sin(2 * pitch) + 0.1 * np.sin(3 * pitch))
    return sound


def _waves(time_s: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    """Noise without its high notes, swelling and falling like water on a shore."""
    noise = np.random.default_rng(seed).standard_normal(time_s.size)
    spectrum = np.fft.rfft(noise)
    spectrum /= 1 + (np.fft.rfftfreq(time_s.size, 1 / _SAMPLE_RATE) / 400) ** 2
    soft = np.fft.irfft(spectrum, time_s.size)
    return 0.25 * soft / soft.std() * (0.6 + 0.4 * np.sin(2 * np.pi * time_s / 3.1 + seed))
