"""`load` for all kinds of sources, and the contract of every data set."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import Dataset, load
from mien.data.dataset import NO_LABEL, SPLITS
from mien.data.load import DATASETS, dataset
from mien.errors import DataError, MienError


@pytest.fixture
def example(tiny) -> Callable[[str], str]:
    """A source of the named kind; a kind without one here fails its contract."""

    def of(kind: str) -> str:
        if kind == "sketch":
            return "sketch"
        if kind == "fer2013":
            return str(tiny.write(tiny.lines()))
        if kind == "folder":
            for r in range(0, 200, 5):
                split = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}[tiny.usages[r]]
                path = tiny.folder / "images" / split / ("sad", "happy")[r % 2] / f"{r}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(tiny.faces_NHW[r]).save(path)
            return str(tiny.folder / "images")
        raise AssertionError(f"write an example of '{kind}' here")

    return of


@pytest.mark.parametrize("kind", sorted(DATASETS))
def test_load_keeps_contract_of_datasets(example, kind: str) -> None:
    source = example(kind)
    assert [name for name, reader in DATASETS.items() if reader.matches(source)] == [kind]
    data = load(source)
    assert isinstance(data, Dataset)
    assert set(data.splits) == set(SPLITS)
    assert len(data.digest) == 32
    for name, split in data.splits.items():
        assert split.name == name
        assert split.pixels_NHW.shape == (len(split), 48, 48)
        assert split.pixels_NHW.dtype == np.uint8
        assert split.pixels_NHW.flags.c_contiguous
        assert split.pixels_NHW.flags.writeable
        assert split.labels_N.dtype == split.rows_N.dtype == np.int64
        assert split.labels_N.min() > NO_LABEL
        assert split.labels_N.max() < len(data.labels)
    rows = np.concatenate([split.rows_N for split in data.splits.values()])
    assert len(set(rows.tolist())) == len(rows)


def test_registering_name_twice_is_an_error() -> None:
    def sketch(source: Path, cache: bool) -> Dataset:
        raise AssertionError

    with pytest.raises(MienError, match="two data sets are called 'sketch'"):
        dataset(matches=lambda source: False)(sketch)


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv"])
def test_load_folder_with_csv(tiny, name: str) -> None:
    tiny.write(tiny.lines(), name=name)
    tiny.write(tiny.lines("{emotion},{pixels}"), "emotion,pixels", "train.csv")  # beside the fuller file: not looked at
    data = load(tiny.folder)
    assert data.source == tiny.folder / name
    assert [len(data[s]) for s in SPLITS] == [120, 50, 30]


def test_load_kaggle_train_and_test_together(tiny) -> None:
    lines = tiny.lines("{emotion},{pixels}")
    tiny.write(lines[:150], "emotion,pixels", "train.csv")
    tiny.write([line[2:] for line in lines[150:]], "pixels", "test.csv")
    data = load(tiny.folder)
    assert {s: len(data[s]) for s in data.splits} == {"train": 150, "test": 50}
    assert data["test"].rows_N.tolist() == list(range(150, 200))
    assert (data["test"].pixels_NHW == tiny.faces_NHW[150:]).all()
    assert not data["test"].labelled
    assert data.source == tiny.folder
    assert data.digest not in (load(tiny.folder / "train.csv").digest, load(tiny.folder / "test.csv").digest)


def test_load_test_csv_with_labels(tiny) -> None:
    lines = tiny.lines("{emotion},{pixels}")
    tiny.write(lines[:150], "emotion,pixels", "train.csv")
    tiny.write(lines[150:], "emotion,pixels", "test.csv")
    assert load(tiny.folder)["test"].labels_N.tolist() == tiny.emotions[150:]


def test_train_and_test_csv_with_usage_are_an_error(tiny) -> None:
    tiny.write(tiny.lines(), name="train.csv")
    tiny.write(tiny.lines(), name="test.csv")
    with pytest.raises(DataError, match=r"train.csv: expected a file without a Usage column"):
        load(tiny.folder)


def test_load_folder_with_train_csv_only(tiny) -> None:
    tiny.write(tiny.lines("{emotion},{pixels}"), "emotion,pixels", "train.csv")
    assert list(load(tiny.folder).splits) == ["train"]


@pytest.mark.parametrize("source", ["nowhere.csv", "no/such/folder", "", "sketches"])
def test_load_missing_source_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"has neither images|no such file or folder; the built-in data set"):
        load(source)
    assert list(tmp_path.iterdir()) == []


def test_load_image_is_an_error(tmp_path: Path) -> None:
    Image.new("L", (48, 48)).save(tmp_path / "face.png")
    with pytest.raises(DataError, match=r"face\.png: is an image; give the folder of the data set"):
        load(tmp_path / "face.png")


def test_load_name_too_long_is_an_error() -> None:
    with pytest.raises(DataError, match="File name too long"):
        load("a" * 5000)


def test_import_loads_no_optional_package(tmp_path: Path) -> None:
    code = "import sys, mien.data; print([m for m in ('torch', 'matplotlib', 'pandas', 'PIL') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={"HOME": str(tmp_path), **_PATHS},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


_PATHS = {"PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
