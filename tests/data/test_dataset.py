"""Validation of splits and data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data import Dataset, Split
from mien.errors import DataError, MissingSplit
from mien.labels import FER7


def _split(name: str = "train", n: int = 3, **fields: object) -> Split:
    whole = {
        "pixels_NHW": np.zeros((n, 48, 48), np.uint8),
        "labels_N": np.zeros(n, np.int64),
        "rows_N": np.arange(n, dtype=np.int64),
    }
    return Split(name, **(whole | fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "dev"}, "a split is one of train, val, test, not 'dev'"),
        ({"pixels_NHW": np.zeros((3, 48, 47), np.uint8)}, r"pixels must be uint8 \[N,48,48\], got uint8 \[3, 48, 47\]"),
        ({"pixels_NHW": np.zeros((3, 48, 48))}, r"pixels must be uint8 \[N,48,48\], got float64"),
        ({"labels_N": np.zeros(4, np.int64)}, r"labels must be int64 \[3\], got int64 \[4\]"),
        ({"rows_N": np.zeros(3, np.int32)}, r"rows must be int64 \[3\], got int32"),
        ({"votes_NV": np.zeros((3, 8), np.uint8)}, r"votes must be \[3,10\], got \[3, 8\]"),
    ],
)
def test_invalid_split_is_an_error(fields: dict[str, object], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        _split(**fields)


def test_invalid_dataset_is_an_error() -> None:
    with pytest.raises(DataError, match="label outside the 7 classes"):
        Dataset("d", Path("d"), "", FER7, {"train": _split(labels_N=np.array([0, 7, 1]))})
    with pytest.raises(DataError, match="is empty or named"):
        Dataset("d", Path("d"), "", FER7, {"val": _split("train")})


def test_title_of_other_csv_is_its_file_name() -> None:
    data = Dataset("fer2013", Path("mine.csv"), "", FER7, {"train": _split(), "val": _split("val", 2)})
    assert (data.is_fer2013, data.title) == (False, "mine.csv")
    full = Dataset("fer2013", Path("mine.csv"), "", FER7, {"val": _split("val", 3_589)})
    assert (full.is_fer2013, full.title) == (True, "fer2013")
    known = Dataset("fer2013", Path("mine.csv"), "", FER7, {"val": _split("val", 2)}, known_as="fer2013.csv")
    assert (known.is_fer2013, known.title) == (True, "fer2013")
    drawn = Dataset("sketch", Path("mine.csv"), "", FER7, {"val": _split("val", 3_589)})
    assert (drawn.is_fer2013, drawn.title) == (False, "sketch")


def test_missing_split_error_lists_existing_splits() -> None:
    data = Dataset("d", Path("d.csv"), "", FER7, {"train": _split(), "val": _split("val", 2)})
    assert "val" in data
    with pytest.raises(
        MissingSplit, match=r"d.csv has no split 'test'; existing splits: train \(3 faces\), val \(2 faces\)"
    ):
        data["test"]
