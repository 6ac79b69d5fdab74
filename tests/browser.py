"""Helpers for tests of the page: Chromium, the service as a separate process, and a video for the webcam."""

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
from mien.serve.routes.page import FOLDER
from suite import debian
from waiting import LONGEST

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

Open = Callable[..., "Page"]  # opens the page of a service in a new window
WEBCAM = (640, 480)  # pixels of a frame
PATIENCE = 1000 * LONGEST  # milliseconds
PHONE, DESKTOP = (390, 844), (1280, 900)
# The texts of the page, by language and key.
STRINGS: dict[str, dict[str, str]] = json.loads(
    (FOLDER / "strings.js").read_text().partition("STRINGS = ")[2].rstrip().removesuffix(";")
)


@contextmanager
def chromium(webcam_video: Path, *flags: str) -> Iterator[Browser]:
    """Start a browser whose webcam shows `webcam_video`; skip the tests where Chromium is not installed.

    A low frame rate and no GPU emulation save processor time.
    """
    from playwright.sync_api import sync_playwright

    program = debian("chromium", "chromium", "chromium-browser", "google-chrome")
    webcam = ("--use-fake-device-for-media-stream=fps=10", f"--use-file-for-fake-video-capture={webcam_video}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", *webcam, *flags]
        )
        yield browser
        browser.close()


def make_webcam_video(file: Path) -> Path:
    """Write a video of a face left of the middle that moves a little; Chromium repeats it as its webcam."""
    return write_mjpeg(
        file, (videos.frame(*WEBCAM, (0.38 + 0.02 * np.sin(i / 30 * 2 * np.pi), 0.5, 0.7, 1.0)) for i in range(30))
    )


def write_mjpeg(file: Path, frames: Iterable[np.ndarray]) -> Path:
    """Write BGR images as MJPEG: one JPEG after another."""
    file.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return file


class Service:
    """`mien serve` on a free port, which it keeps when it is started again."""

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
        """Start the process and wait until it accepts connections."""
        self.process = subprocess.Popen(
            [*MIEN, "serve", "--port", str(self.port)],
            env=os.environ | {"MIEN_THREADS": "1"} | self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        first = self.process.stderr.readline()
        assert self.url.rstrip("/") in first, first + self.process.stderr.read()
        Thread(target=self.process.stderr.read, daemon=True).start()  # so that the log does not fill the pipe

    def stop(self) -> None:
        """Stop the process with SIGTERM."""
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(LONGEST) == 0
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None

    def analyze(self, file: Path) -> dict[str, Any]:
        """Return the analysis of an image without the browser."""
        request = urllib.request.Request(f"{self.url}v1/analyze", file.read_bytes(), {"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(request) as response:
            (analysis,) = json.load(response)["results"]
        return dict(analysis)


def jpeg(file: Path, image_HW3: np.ndarray) -> Path:
    """Write an image file."""
    assert cv2.imwrite(str(file), image_HW3)
    return file


def portrait() -> np.ndarray:
    """Return the sample image, BGR."""
    return np.asarray(cv2.imread(str(sample())))


def show(page: Page, *files: Path) -> Locator:
    """Choose files and return the cards of the page once each has a result or an error."""
    cards = page.locator("article.card")
    before = cards.count()
    page.set_input_files("#files", files)
    return finished(page, before + len(files))


def finished(page: Page, count: int = 1) -> Locator:
    """Return the cards of the page once there are `count` and each has a result or an error."""
    from playwright.sync_api import expect

    waiting = page.locator("article.card:has(> .result[hidden]):has(> .error[hidden])")
    cards = page.locator("article.card")
    expect(cards).to_have_count(count, timeout=PATIENCE)
    expect(waiting).to_have_count(0, timeout=PATIENCE)
    return cards


def box_positions(card: Locator) -> list[tuple[float, float, float, float]]:
    """Return the boxes over a card's image: left, top, width, height as displayed, relative to the image."""
    return card.locator(".image").evaluate(
        """image => {
          const all = image.querySelector('img, video').getBoundingClientRect();
          return [...image.querySelectorAll('.box')].map(box => {
            const at = box.getBoundingClientRect();
            return [(at.left - all.left) / all.width, (at.top - all.top) / all.height,
                    at.width / all.width, at.height / all.height];
          });
        }"""
    )
