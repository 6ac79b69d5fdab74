"""What tests of the page share: a real Chromium, the service as a process of its own, and a film for the webcam."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

import videos
from command import MIEN
from mien.recognition import sample
from suite import debian
from waiting import LONGEST

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

Open = Callable[..., "Page"]  # open a service's page in a window of its own
WEBCAM = (640, 480)  # pixels of a frame of the film
PATIENCE = 1000 * LONGEST  # milliseconds
PHONE, DESKTOP = (390, 844), (1280, 900)


@contextmanager
def chromium(film: Path, *flags: str) -> Iterator[Browser]:
    """A browser whose webcam shows `film`; skips the tests where there is none to be had.

    The webcam gives few frames, and no GPU is imitated, as both take processor time that tests have no use for.
    """
    from playwright.sync_api import sync_playwright

    program = debian("chromium", "chromium", "chromium-browser", "google-chrome")
    webcam = ("--use-fake-device-for-media-stream=fps=10", f"--use-file-for-fake-video-capture={film}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", *webcam, *flags]
        )
        yield browser
        browser.close()


def make_webcam_video(file: Path) -> Path:
    """A face left of the middle that sways a little, as the MJPEG that Chromium takes for a webcam and repeats."""
    return write_mjpeg(
        file, (videos.frame(*WEBCAM, (0.38 + 0.02 * np.sin(i / 30 * 2 * np.pi), 0.5, 0.7, 1.0)) for i in range(30))
    )


def write_mjpeg(file: Path, frames: Iterable[np.ndarray]) -> Path:
    """BGR images as an MJPEG: one JPEG after another."""
    file.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return file


class Service:
    """`mien serve` on a port of its own, which it takes again whenever it is started."""

    def __init__(self, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.environment = environment
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            [*MIEN, "serve", "--port", str(self.port)],
            env=os.environ | {"MIEN_THREADS": "1"} | self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        first = self.process.stderr.readline()
        assert self.url.rstrip("/") in first, first + self.process.stderr.read()
        Thread(target=self.process.stderr.read, daemon=True).start()  # else its log would fill the pipe

    def stop(self) -> None:
        """Stop it, as whoever runs it does."""
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(LONGEST) == 0
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None

    def analyze(self, file: Path) -> dict[str, Any]:
        """What it says of an image, past the browser."""
        asked = urllib.request.Request(f"{self.url}v1/analyze", file.read_bytes(), {"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(asked) as answer:
            (analysis,) = json.load(answer)["results"]
        return dict(analysis)


def jpeg(file: Path, image_HW3: np.ndarray) -> Path:
    """The image as a file."""
    assert cv2.imwrite(str(file), image_HW3)
    return file


def portrait() -> np.ndarray:
    """The sample, BGR."""
    return np.asarray(cv2.imread(str(sample())))


def show(page: Page, *files: Path) -> Locator:
    """Choose files, as with the button, and give the page's cards once all have been answered."""
    cards = page.locator("article.card")
    before = cards.count()
    page.set_input_files("#files", files)
    return answered(page, before + len(files))


def answered(page: Page, count: int = 1) -> Locator:
    """The page's cards, once there are `count` and each shows what was read or why nothing was."""
    from playwright.sync_api import expect

    waiting = page.locator("article.card:has(> .reading[hidden]):has(> .trouble[hidden])")
    cards = page.locator("article.card")
    expect(cards).to_have_count(count, timeout=PATIENCE)
    expect(waiting).to_have_count(0, timeout=PATIENCE)
    return cards


def box_positions(card: Locator) -> list[tuple[float, float, float, float]]:
    """The boxes over a card's image: left, top, width, height in shares of it, as they lie on the screen."""
    return card.locator(".shown").evaluate(
        """shown => {
          const all = shown.querySelector('img, video').getBoundingClientRect();
          return [...shown.querySelectorAll('.box')].map(box => {
            const at = box.getBoundingClientRect();
            return [(at.left - all.left) / all.width, (at.top - all.top) / all.height,
                    at.width / all.width, at.height / all.height];
          });
        }"""
    )
