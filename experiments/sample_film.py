"""The images of `mien video` in README: a frame of an annotated video, and its timeline.

    python experiments/sample_film.py docs

The video is made here of the portrait that comes with the package: a camera moves along a wall on which it hangs three
times: as it is, mirrored while its lamp goes out and on again, and small while the camera finds its focus. What is read
is what the model says of these prints, nothing is touched up. Needs the extras `video` and `plot`.
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

WIDE, HIGH, RATE, SECONDS = 960, 540, 25, 8.0
SHOWN = 6.4  # seconds into the video, of the frame that is kept
WALL = 1900  # pixels that the wall is wide
Pixels = NDArray[np.uint8]


@cache
def prints() -> tuple[Pixels, Pixels, Pixels]:
    """The upper part of the portrait in three sizes, BGR, square."""
    whole = np.asarray(cv2.imread(str(sample())), np.uint8)[0:270, 90:360]
    large = np.asarray(cv2.resize(whole, (340, 340), interpolation=cv2.INTER_CUBIC), np.uint8)
    middle = np.asarray(cv2.resize(whole[:, ::-1], (300, 300), interpolation=cv2.INTER_CUBIC), np.uint8)
    small = np.asarray(cv2.resize(whole, (220, 220), interpolation=cv2.INTER_AREA), np.uint8)
    return large, middle, small


def scene(time: float) -> Pixels:
    """What the camera sees at that time, uint8 [H,W,3], BGR."""
    wall = np.empty((HIGH, WALL, 3), np.uint8)
    wall[:] = np.linspace((188, 196, 202), (150, 160, 168), HIGH)[:, None]
    lamp = float(np.clip(abs(time - 4.4) / 0.9, 0.07, 1.0))  # over the second print, nearly out at 4.4 s
    large, middle, small = prints()
    small = np.asarray(cv2.GaussianBlur(small, (0, 0), 0.2 + 2.2 * max(0.0, 7.6 - time)), np.uint8)
    hung = ((large, 330, 90, 1.0), (middle, 900, 115, lamp), (small, 1400, 150, 1.0))
    for image, left, top, light in hung:
        side = len(image)
        cv2.rectangle(wall, (left - 22, top - 16), (left + side + 26, top + side + 30), (128, 136, 142), -1)  # shadow
        cv2.rectangle(wall, (left - 26, top - 26), (left + side + 25, top + side + 25), (58, 66, 74), -1)
        cv2.rectangle(wall, (left - 14, top - 14), (left + side + 13, top + side + 13), (238, 242, 244), -1)
        wall[top : top + side, left : left + side] = np.clip(image * light, 0, 255)
    way = 0.5 - 0.5 * np.cos(np.pi * np.clip(time / SECONDS, 0, 1))  # slow at both ends
    left = way * (WALL - WIDE)
    move = np.array([[1, 0, -left], [0, 1, 0]])
    return np.asarray(cv2.warpAffine(wall, move, (WIDE, HIGH), flags=cv2.INTER_LINEAR), np.uint8)


def film(path: Path) -> None:
    """Write the video."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        for i in range(round(RATE * SECONDS)):
            frame = av.VideoFrame.from_ndarray(scene(i / RATE), format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def shoot(folder: Path) -> None:
    """Write `video.jpg` and `timeline.png`, by `mien video`'s own model and options."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        plain, seen = Path(work) / "prints.mp4", Path(work) / "seen.mp4"
        film(plain)
        for _ in mien.load("nano").analyze_video(plain, annotate=seen, timeline=folder / "timeline.png"):
            pass
        with VideoReader(seen) as clip:
            shot = next(shot for shot in clip.read_frames() if shot.time >= SHOWN)
    cv2.imwrite(str(folder / "video.jpg"), shot.image_HW3, (cv2.IMWRITE_JPEG_QUALITY, 90))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    shoot(parser.parse_args().folder)
