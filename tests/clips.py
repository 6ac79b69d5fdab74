"""Small videos made on the spot from the sample portrait, with PyAV's encoders."""

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
Place = tuple[
    float, float, float, float
]  # x and y of the portrait's middle and its width, in parts of the frame; light


@cache
def portrait() -> Pixels:
    """The upper part of the sample, with the face, BGR."""
    return np.asarray(cv2.imread(str(sample()))[0:260, 95:355], np.uint8)


def still(wide: int, high: int, *places: Place) -> Pixels:
    """A frame with a portrait at each of `places`, the last in front, before a wall with a gradient."""
    down, along = np.mgrid[0:high, 0:wide]
    wall = np.stack([70 + 60 * along / wide, 90 + 40 * down / high, 80 + 0 * along], 2)
    frame = np.asarray(wall, np.uint8)
    for x, y, size, light in places:
        side = max(8, round(size * wide))
        face = cv2.resize(portrait(), (side, side), interpolation=cv2.INTER_AREA)
        face = np.clip(face.astype(np.float32) * light, 0, 255).astype(np.uint8)
        left, top = round(x * wide - side / 2), round(y * high - side / 2)
        a, b = max(left, 0), max(top, 0)
        part = face[b - top : max(high - top, 0), a - left : max(wide - left, 0)]
        frame[b : b + part.shape[0], a : a + part.shape[1]] = part[: high - b, : wide - a]
    return frame


def make(
    path: Path,
    scene: Callable[[int], Pixels],
    times: Sequence[float],
    *,
    sound: str | None = "aac",
    turned: int | None = None,
    options: dict[str, str] | None = None,
    codec: str = "libx264",
    ticks: int = TICKS,
) -> Path:
    """Write frames `scene(i)`, each shown from `times[i]` on in `ticks` a second, and a sine as long as they are."""
    with av.open(str(path), "w", options=options or {}) as out:
        first = scene(0)
        images: Any = out.add_stream(codec, rate=25, options={"preset": "ultrafast"} if codec == "libx264" else {})
        images.height, images.width = first.shape[:2]
        images.pix_fmt = "yuv420p"
        images.time_base = images.codec_context.time_base = Fraction(1, ticks)
        if turned is not None:
            images.set_display_rotation(turned)
        note: Any = tone(out, sound) if sound else None
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(scene(i) if i else first, format="bgr24")
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            frame.duration = round((times[i + 1] - time if i + 1 < len(times) else 0.04) * ticks)
            out.mux(images.encode(frame))
        out.mux(images.encode(None))
        if note is not None:
            sing(out, note, times[-1] + 0.04)
    return path


def tone(out: Any, codec: str) -> Any:
    """A sound track of the file."""
    track = out.add_stream(codec, rate=48000)
    track.layout = "mono"
    return track


def sing(out: Any, track: Any, seconds: float) -> None:
    """Fill the track with a sine of 440 Hz."""
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


def even(frames: int, rate: float = 25) -> list[float]:
    """The times of frames at an even rate."""
    return [i / rate for i in range(frames)]


def crowd() -> bytes:
    """An image of 81 faces, as PNG."""
    face_HW3 = still(128, 128, (0.5, 0.5, 1.0, 1.0))
    return cv2.imencode(".png", np.tile(face_HW3, (9, 9, 1)))[1].tobytes()
