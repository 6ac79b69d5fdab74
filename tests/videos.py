"""Small videos of the sample portrait, written with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mien.recognition import sample

TICKS = 90_000
Pixels = NDArray[np.uint8]
Place = tuple[float, float, float, float]  # x, y and width of the portrait as fractions of the frame; brightness


@cache
def portrait() -> Pixels:
    """Return the upper part of the sample, with the face, BGR."""
    return np.asarray(cv2.imread(str(sample()))[0:260, 95:355], np.uint8)


def frame(width: int, height: int, *places: Place) -> Pixels:
    """Return a frame with a portrait at each of `places`, the last in front, on a gradient."""
    down, along = np.mgrid[0:height, 0:width]
    wall = np.stack([70 + 60 * along / width, 90 + 40 * down / height, 80 + 0 * along], 2)
    frame = np.asarray(wall, np.uint8)
    for x, y, size, light in places:
        side = max(8, round(size * width))
        face = cv2.resize(portrait(), (side, side), interpolation=cv2.INTER_AREA)
        face = np.clip(face.astype(np.float32) * light, 0, 255).astype(np.uint8)
        left, top = round(x * width - side / 2), round(y * height - side / 2)
        a, b = max(left, 0), max(top, 0)
        part = face[b - top : max(height - top, 0), a - left : max(width - left, 0)]
        frame[b : b + part.shape[0], a : a + part.shape[1]] = part[: height - b, : width - a]
    return frame


def write(
    path: Path,
    scene: Callable[[int], Pixels],
    times: Sequence[float],
    *,
    audio: str | None = "aac",
    rotation: int | None = None,
    options: dict[str, str] | None = None,
    codec: str = "libx264",
    ticks: int = TICKS,
) -> Path:
    """Write frames `scene(i)` at `times[i]` seconds, in `ticks` per second, with a sine as audio."""
    with av.open(str(path), "w", options=options or {}) as out:
        first = scene(0)
        stream: Any = out.add_stream(codec, rate=25, options={"preset": "ultrafast"} if codec == "libx264" else {})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, ticks)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        track: Any = add_audio_track(out, audio) if audio else None
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(scene(i) if i else first, format="bgr24")
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            frame.duration = round((times[i + 1] - time if i + 1 < len(times) else 0.04) * ticks)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None:
            write_sine(out, track, times[-1] + 0.04)
    return path


def add_audio_track(out: Any, codec: str) -> Any:
    """Add an audio track to a file."""
    track = out.add_stream(codec, rate=48000)
    track.layout = "mono"
    return track


def write_sine(out: Any, track: Any, seconds: float) -> None:
    """Write a sine of 440 Hz to an audio track."""
    context = track.codec_context
    shape = av.AudioResampler(format=context.format.name, layout="mono", rate=48000, frame_size=context.frame_size or 0)
    total = round(48000 * seconds)
    for start in range(0, total, 1024):
        at = np.arange(start, min(start + 1024, total)) / 48000
        wave = (8000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for part in shape.resample(frame):
            out.mux(track.encode(part))
    for part in shape.resample(None):
        out.mux(track.encode(part))
    out.mux(track.encode(None))


def times(frames: int, fps: float = 25) -> list[float]:
    """Return the times of frames at a constant rate."""
    return [i / fps for i in range(frames)]


def crowd() -> bytes:
    """Return an image of 81 faces, as PNG."""
    face_HW3 = frame(128, 128, (0.5, 0.5, 1.0, 1.0))
    return cv2.imencode(".png", np.tile(face_HW3, (9, 9, 1)))[1].tobytes()
