"""Small data sets in the published forms, with the truth about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Put = Callable[..., Path]


@dataclass
class Tiny:
    """200 faces, more than one batch: what a csv says, and the means to write it in any form."""

    folder: Path
    faces_NHW: NDArray[np.uint8]
    emotions: list[int]
    usages: list[str]

    def text(self, row: int) -> str:
        return " ".join(str(v) for v in self.faces_NHW[row].ravel())

    def lines(self, form: str = "{emotion},{pixels},{usage}") -> list[str]:
        return [
            form.format(emotion=self.emotions[r], pixels=self.text(r), usage=self.usages[r])
            for r in range(len(self.faces_NHW))
        ]

    def write(
        self, lines: list[str], header: str = "emotion,pixels,Usage", name: str = "fer2013.csv", end: str = "\n"
    ) -> Path:
        path = self.folder / name
        path.write_bytes(end.join([header, *lines, ""]).encode())
        return path


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """In file order 120 Training, 50 PublicTest and 30 PrivateTest faces; pixels of one, two and three digits."""
    rng = np.random.default_rng(7)
    faces_NHW = rng.integers(0, 256, (200, 48, 48), dtype=np.uint8)
    faces_NHW[::3] %= 12
    faces_NHW[0], faces_NHW[1], faces_NHW[2] = 0, 255, 100
    emotions = [r % 7 for r in range(200)]
    return Tiny(tmp_path, faces_NHW, emotions, ["Training"] * 120 + ["PublicTest"] * 50 + ["PrivateTest"] * 30)


@pytest.fixture
def tiny_csv(tiny: Tiny) -> Path:
    """The tiny faces as fer2013.csv."""
    return tiny.write(tiny.lines())


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, not made yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MIEN_CACHE", str(folder))
    return folder


@pytest.fixture
def nothing_left(tmp_path: Path, cache_dir: Path) -> Callable[[Path], None]:
    """Asserts that a failed reading left only the file it was given."""

    def check(source: Path) -> None:
        assert not cache_dir.exists()
        beside = [p for p in tmp_path.rglob("*") if p != source and source not in p.parents]
        assert beside == []

    return check


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes an image of one grey (or of the given pixels) at a path below the folder `faces`."""

    def write(name: str, pixels: int | np.ndarray = 90) -> Path:
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.full((48, 48), pixels, np.uint8) if isinstance(pixels, int) else pixels
        Image.fromarray(image).save(path)
        return path

    return write
