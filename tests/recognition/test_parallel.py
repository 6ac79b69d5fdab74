"""Many images: their order, errors, how many are decoded ahead, and annotated copies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.errors import ImageError, MienError
from mien.imaging.load import read_image
from mien.recognition import Recognizer, analyze_sources, annotate, find_sources, parallel, sample
from mien.recognition.annotation.panels import enlarge
from mien.recognition.inputs import Source
from mien.recognition.prefetch import ByteSemaphore
from mien.threads import threads

PORTRAIT = read_image(sample())


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return mien.load("nano")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Portraits of several sizes, an image without a face, and three that cannot be read."""
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{2 * i}.jpg"), cv2.resize(PORTRAIT, (300 + 60 * i, 300 + 60 * i)))
    (tmp_path / "1.jpg").write_bytes(sample().read_bytes()[:500])
    (tmp_path / "3.jpg").write_text("not an image")
    (tmp_path / "7.jpg").touch()
    cv2.imwrite(str(tmp_path / "5.png"), np.full((90, 120, 3), 128, np.uint8))
    return tmp_path


def test_analyze_sources_keeps_the_order(recognizer: Recognizer, folder: Path) -> None:
    sources = find_sources([folder])
    results = list(analyze_sources(recognizer, sources))
    assert [source for source, _ in results] == sources
    assert [analysis.source for _, analysis in results] == [
        str(folder / f"{i}.{'png' if i == 5 else 'jpg'}") for i in range(8)
    ]
    assert [len(analysis.faces) for _, analysis in results] == [1, 0, 1, 0, 1, 0, 1, 0]
    assert [bool(analysis.error) for _, analysis in results] == [False, True, False, True, False, False, False, True]


def test_analyze_sources_gives_the_results_of_single_images(recognizer: Recognizer, folder: Path) -> None:
    for source, analysis in analyze_sources(recognizer, find_sources([folder])):
        alone = next(recognizer.analyze_many([source.name]))
        assert replace(analysis, faces=()) == replace(alone, faces=())
        for face, other in zip(analysis.faces, alone.faces, strict=True):
            assert (face.box, face.label) == (other.box, other.label)
            assert face.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_analyze_sources_with_bytes_and_known_errors(recognizer: Recognizer) -> None:
    sources = [
        Source("*.gif", Path("none"), error="*.gif: no file matches"),
        Source("-", Path("stdin"), data=sample().read_bytes()),
        Source("-", Path("stdin"), data=b""),
    ]
    results = [analysis for _, analysis in analyze_sources(recognizer, sources)]
    assert results[0].error == "*.gif: no file matches"
    assert [face.label for face in results[1].faces] == ["happy"]
    assert "standard input: the file is empty" in results[2].error
    assert list(analyze_sources(recognizer, [])) == []


def test_analyze_sources_applies_the_recognizers_limits(folder: Path) -> None:
    strict = mien.load("nano", max_pixels=310 * 310)
    errors = [
        analysis.error for _, analysis in analyze_sources(strict, find_sources([folder / "0.jpg", folder / "6.jpg"]))
    ]
    assert errors[0] == ""
    assert "megapixels, above the limit" in errors[1]


def test_only_a_few_images_are_decoded_ahead(recognizer: Recognizer, folder: Path) -> None:
    taken = 0

    def endless() -> Iterator[Source]:
        nonlocal taken
        while True:
            taken += 1
            yield Source(str(folder / "0.jpg"), Path("0.jpg"))

    most = 2 * min(parallel.READERS, threads()) + 1
    reading = parallel._decode_ahead(recognizer, endless())
    for count in range(1, 4):
        next(reading)
        assert taken <= count - 1 + most
    reading.close()


def test_memory_is_acquired_before_images_are_decoded(
    recognizer: Recognizer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The amount is the size in the header; the order is that of the sources, for any number of threads."""
    took: list[tuple[int, int]] = []

    class Watched(ByteSemaphore):
        def acquire(self, turn: int, amount: int) -> bool:
            granted = super().acquire(turn, amount)
            took.append((turn, amount))
            most.append(self.held)
            return granted

    most: list[int] = []
    sizes = [300 * 300, 512 * 512, 360 * 360, 0, 420 * 420, 90 * 120, 480 * 480, 0]  # the second is truncated
    monkeypatch.setattr(parallel, "ByteSemaphore", Watched)
    monkeypatch.setattr(parallel, "threads", lambda: 4)
    monkeypatch.setattr(parallel, "PREFETCH_BYTES", 3 * 420 * 420)  # a larger image is alone
    images = [image for _, image in parallel._decode_ahead(recognizer, find_sources([folder]))]
    assert sorted(took) == [(turn, 3 * pixels) for turn, pixels in enumerate(sizes)]
    assert max(most) == 3 * 512 * 512
    assert [0 if isinstance(image, str) else image.image_HW3.nbytes // 3 for image in images] == [
        pixels if turn != 1 else 0 for turn, pixels in enumerate(sizes)
    ]


def test_analyze_sources_closed_early_leaves_no_thread(recognizer: Recognizer, folder: Path) -> None:
    reading = analyze_sources(recognizer, find_sources([folder]))
    next(reading)
    reading.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("mien-read")]


@pytest.mark.parametrize("name", ["seen/deep/a.jpg", "a.png"])
def test_write_annotated_writes_the_drawing(recognizer: Recognizer, tmp_path: Path, name: str) -> None:
    source = Source(str(sample()), Path("a.jpg"))
    analysis = recognizer.analyze(sample())
    parallel.write_annotated(recognizer, source, analysis, tmp_path / name)
    written = cv2.imread(str(tmp_path / name)).astype(int)
    assert np.abs(written - annotate(PORTRAIT, analysis)).mean() < (1.5 if name.endswith("jpg") else 1e-9)
    assert [f.name for f in (tmp_path / name).parent.iterdir()] == [Path(name).name]


def test_write_annotated_enlarges_small_images(recognizer: Recognizer, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "stamp.png"), cv2.resize(PORTRAIT[40:200, 150:300], (48, 48)))
    stamp = mien.load("nano", detector="whole")
    [(source, analysis)] = analyze_sources(stamp, find_sources([tmp_path / "stamp.png"]))
    parallel.write_annotated(stamp, source, analysis, tmp_path / "seen.png")
    wanted = annotate(*enlarge(read_image(source.name), analysis))
    assert np.array_equal(cv2.imread(str(tmp_path / "seen.png")), wanted)
    assert wanted.shape == (336, 336, 3)


def test_write_annotated_with_bad_paths_raises(recognizer: Recognizer, tmp_path: Path) -> None:
    source, analysis = Source(str(sample()), Path("a.jpg")), recognizer.analyze(sample())
    (tmp_path / "file").touch()
    with pytest.raises(MienError, match=r"cannot write .*a\.jpg"):
        parallel.write_annotated(recognizer, source, analysis, tmp_path / "file" / "a.jpg")
    with pytest.raises(ImageError, match="there is no such file"):
        parallel.write_annotated(
            recognizer, Source(str(tmp_path / "gone"), Path("a.jpg")), analysis, tmp_path / "a.jpg"
        )
