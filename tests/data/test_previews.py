"""Class histogram and sample sheet."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from mien.data import Dataset, Split, class_histogram_png, load, sample_sheet, sketch
from mien.data.audit import audit
from mien.data.audit_tables import audit_tables
from mien.errors import DataError
from mien.labels import LabelSet


@pytest.fixture(scope="module")
def data() -> Dataset:
    return sketch(train=80, val=20, test=0)


@pytest.mark.parametrize("draw", [class_histogram_png, sample_sheet])
def test_preview_writes_png(data: Dataset, tmp_path: Path, draw) -> None:
    path = draw(data, tmp_path / "out.png")
    image = cv2.imread(str(path))
    assert min(image.shape[:2]) > 300
    assert image.std() > 10
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_sample_sheet_depends_on_seed(data: Dataset, tmp_path: Path) -> None:
    one, again = sample_sheet(data, tmp_path / "1.png"), sample_sheet(data, tmp_path / "2.png")
    other = sample_sheet(data, tmp_path / "3.png", seed=1)
    assert one.read_bytes() == again.read_bytes() != other.read_bytes()


def test_histogram_bars_are_proportional_to_counts(tiny, tmp_path: Path) -> None:
    tiny.emotions[:] = [3] * 100 + [4] * 20 + [r % 7 for r in range(80)]
    path = class_histogram_png(load(tiny.write(tiny.lines()), cache=False), tmp_path / "out.png")
    image = cv2.imread(str(path)).astype(int)
    blue = abs(image - (0x8A, 0x65, 0x41)).sum(axis=2) < 12  # the training panel's bars
    lengths = Counter(int(n) for n in blue.sum(axis=1) if n > 20)
    bars = sorted(n for n, lines in lengths.items() if lines > 12)  # what is thinner is the panel's title
    assert len(bars) == 2
    assert np.isclose(bars[1] / bars[0], 100 / 20, rtol=0.05)


def test_previews_without_labels(tiny, tmp_path: Path) -> None:
    data = load(tiny.write(tiny.lines("{pixels}"), "pixels", "test.csv"), cache=False)
    assert sample_sheet(data, tmp_path / "sheet.png").exists()
    assert class_histogram_png(data, tmp_path / "bars.png").exists()


def test_sample_sheet_unwritable_path_is_an_error(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"file/out\.png"):
        sample_sheet(data, tmp_path / "file" / "out.png")
    assert (tmp_path / "file").read_text() == "in the way"


def test_missing_matplotlib_error_names_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from mien.data import class_histogram_png, sketch\n"
        "from mien.errors import MissingExtra\n"
        "try: class_histogram_png(sketch(train=2, val=0, test=0), 'out.png')\n"
        "except MissingExtra as why: print(why)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.strip() == "drawing a data set needs the extra 'plot'. Install it with: pip install 'mien[plot]'"
    assert list(tmp_path.iterdir()) == []


def test_label_with_markup_is_drawn(tmp_path: Path) -> None:
    """Names that matplotlib would take for a formula."""
    odd = LabelSet("custom", ("$x_$", "[b]bold"))
    pixels = np.random.default_rng(0).integers(0, 255, (6, 48, 48), dtype=np.uint8)
    split = Split("train", pixels, np.array([0, 1, 0, 1, 0, 1]), np.arange(6))
    data = Dataset("folder", Path("x[/b]y"), "d", odd, {"train": split})
    assert class_histogram_png(data, tmp_path / "bars.png").stat().st_size > 1000
    assert sample_sheet(data, tmp_path / "sheet.png").stat().st_size > 1000
    screen = Console(file=io.StringIO(), width=120)
    screen.print(audit_tables(audit(data)))
    assert isinstance(screen.file, io.StringIO)
    assert "x[/b]y" in screen.file.getvalue()
    assert "[b]bold" in screen.file.getvalue()
