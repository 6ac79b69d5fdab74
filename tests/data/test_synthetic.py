"""The synthetic data set: depends on its seed only, and is a valid fer2013.csv when written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data import Dataset, load, sketch, write_csv
from mien.errors import DataError
from mien.labels import FER7


@pytest.fixture(scope="module")
def small() -> Dataset:
    return sketch(train=60, val=20, test=10)


def test_sketch_sizes_and_rows(small: Dataset) -> None:
    assert {s: len(small[s]) for s in small.splits} == {"train": 60, "val": 20, "test": 10}
    assert (small.name, small.labels, small.known_as) == ("sketch", FER7, None)
    assert sorted(np.concatenate([s.rows_N for s in small.splits.values()])) == list(range(90))


def test_sketch_depends_on_seed_only(small: Dataset) -> None:
    again, other = sketch(train=60, val=20, test=10), sketch(train=60, val=20, test=10, seed=1)
    for split in small.splits:
        assert (again[split].pixels_NHW == small[split].pixels_NHW).all()
        assert (again[split].labels_N == small[split].labels_N).all()
        assert (other[split].pixels_NHW != small[split].pixels_NHW).any(axis=(1, 2)).all()
    assert again.digest == small.digest != other.digest


def test_larger_sketch_begins_with_smaller(small: Dataset) -> None:
    larger = sketch(train=65, val=0, test=11)
    assert (larger["train"].pixels_NHW[:60] == small["train"].pixels_NHW).all()
    assert (larger["test"].pixels_NHW[:10] == small["test"].pixels_NHW).all()
    assert "val" not in larger


def test_sketch_faces_are_unique(small: Dataset) -> None:
    faces = np.concatenate([s.pixels_NHW for s in small.splits.values()])
    assert len({face.tobytes() for face in faces}) == 90
    assert faces.reshape(90, -1).std(axis=1).min() > 8  # and none is blank


def test_sketch_has_every_class() -> None:
    share = np.bincount(sketch(train=400, val=0, test=0)["train"].labels_N, minlength=7) / 400
    assert share.min() > 0.03
    assert share.argmax() == FER7.index("happy")


def test_write_csv_and_load_return_equal_data(small: Dataset, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "sketch.csv", small)
    assert path.read_text().startswith("emotion,pixels,Usage\n")
    read = load(path, cache=False)
    for name, split in small.splits.items():
        assert (read[name].pixels_NHW == split.pixels_NHW).all()
        assert (read[name].labels_N == split.labels_N).all()
        assert (read[name].rows_N == split.rows_N).all()
    assert [p.name for p in tmp_path.iterdir()] == ["sketch.csv"]


def test_write_csv_unwritable_path_is_an_error(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        write_csv(tmp_path / "nowhere" / "sketch.csv", small)
    with pytest.raises(DataError, match="is a folder"):
        write_csv(tmp_path, small)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written: Not a directory"):
        write_csv(tmp_path / "file" / "sketch.csv", small)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("sizes", [{"train": -1}, {"train": 0, "val": 0, "test": 0}])
def test_sketch_invalid_sizes_are_an_error(sizes: dict[str, int]) -> None:
    with pytest.raises(DataError, match="at least one face"):
        sketch(**sizes)


def test_sketch_is_recognised_under_any_file_name(tmp_path: Path) -> None:
    drawn = sketch(train=12, val=3, test=2)
    back = load(write_csv(tmp_path / "fer2013.csv", drawn), cache=False)
    assert back.name == "sketch"
    other = drawn["train"].pixels_NHW.copy()
    other[5, -1, -1] ^= 1
    altered = replace(drawn, splits={"train": replace(drawn["train"], pixels_NHW=other)})
    assert load(write_csv(tmp_path / "other.csv", altered), cache=False).name == "fer2013"
