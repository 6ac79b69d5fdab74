"""Make the images of `mien video` in README.md: a frame of an annotated video, and its timeline.

    python experiments/sample_film.py docs

The video is generated from the sample portrait of the package: a camera pans along a wall with three prints of it: the
original, a mirrored one whose light is dimmed and brightened again, and a small one that comes into focus. The panels
and the timeline show the predictions of the model without retouching. Needs the extras `video` and `plot`.
"""

from __future__ import annotations

import argparse
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import mien
from mien.recognition import sample
from mien.recognition.video.reader import VideoReader

WIDTH, HEIGHT, RATE, SECONDS = 960, 540, 25, 8.0
FRAME_TIME = 6.4  # time of the saved frame in seconds
WALL = 1900  # width of the wall in pixels
Pixels = NDArray[np.uint8]


@cache
def prints() -> tuple[Pixels, Pixels, Pixels]:
    """Return the upper part of the portrait in three sizes, square, BGR."""
    portrait = np.asarray(cv2.imread(str(sample())), np.uint8)[0:270, 90:360]
    large = np.asarray(cv2.resize(portrait, (340, 340), interpolation=cv2.INTER_CUBIC), np.uint8)
    middle = np.asarray(cv2.resize(portrait[:, ::-1], (300, 300), interpolation=cv2.INTER_CUBIC), np.uint8)
    small = np.asarray(cv2.resize(portrait, (220, 220), interpolation=cv2.INTER_AREA), np.uint8)
    return large, middle, small


def scene(time: float) -> Pixels:
    """Return the frame at a time in seconds, uint8 [H,W,3], BGR."""
    wall = np.empty((HEIGHT, WALL, 3), np.uint8)
    wall[:] = np.linspace((188, 196, 202), (150, 160, 168), HEIGHT)[:, None]
    light = float(np.clip(abs(time - 4.4) / 0.9, 0.07, 1.0))  # of the second print, darkest at 4.4 s
    large, middle, small = prints()
    small = np.asarray(cv2.GaussianBlur(small, (0, 0), 0.2 + 2.2 * max(0.0, 7.6 - time)), np.uint8)
    placed = ((large, 330, 90, 1.0), (middle, 900, 115, light), (small, 1400, 150, 1.0))
    for image, left, top, brightness in placed:
        side = len(image)
        cv2.rectangle(wall, (left - 22, top - 16), (left + side + 26, top + side + 30), (128, 136, 142), -1)  # shadow
        cv2.rectangle(wall, (left - 26, top - 26), (left + side + 25, top + side + 25), (58, 66, 74), -1)
        cv2.rectangle(wall, (left - 14, top - 14), (left + side + 13, top + side + 13), (238, 242, 244), -1)
        wall[top : top + side, left : left + side] = np.clip(image * brightness, 0, 255)
    progress = 0.5 - 0.5 * np.cos(np.pi * np.clip(time / SECONDS, 0, 1))  # ease in and out
    left = progress * (WALL - WIDTH)
    translation = np.array([[1, 0, -left], [0, 1, 0]])
    return np.asarray(cv2.warpAffine(wall, translation, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR), np.uint8)


def write_video(path: Path) -> None:
    """Write the video."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(round(RATE * SECONDS)):
            frame = av.VideoFrame.from_ndarray(scene(i / RATE), format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def write_images(folder: Path) -> None:
    """Write `video.jpg` and `timeline.png` with the defaults of `mien video`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        plain, annotated = Path(temporary) / "prints.mp4", Path(temporary) / "seen.mp4"
        write_video(plain)
        for _ in mien.load("nano").analyze_video(plain, annotate=annotated, timeline=folder / "timeline.png"):
            pass
        with VideoReader(annotated) as reader:
            frame = next(frame for frame in reader.read_frames() if frame.time >= FRAME_TIME)
    cv2.imwrite(str(folder / "video.jpg"), frame.image_HW3, (cv2.IMWRITE_JPEG_QUALITY, 90))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    write_images(parser.parse_args().folder)
