"""FER+ votes: joined by row, and an error if they belong to other rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data import load
from mien.errors import DataError
from mien.labels import FERPLUS_COLUMNS

HEADER = "Usage,Image name," + ",".join(FERPLUS_COLUMNS)


@pytest.fixture
def votes_RV() -> np.ndarray:
    return np.random.default_rng(3).multinomial(10, np.ones(10) / 10, 200).astype(np.uint8)


@pytest.fixture
def lines(tiny, votes_RV) -> list[str]:
    """As users download them: the image name is empty where raters saw no face."""
    names = [f"fer{r:07d}.png" if votes_RV[r, 9] < 3 else "" for r in range(200)]
    return [f"{tiny.usages[r]},{names[r]},{','.join(map(str, votes_RV[r]))}" for r in range(200)]


def test_votes_are_joined_by_row(tiny, tiny_csv, lines, votes_RV) -> None:
    data = load(tiny_csv, votes=tiny.write(lines, HEADER, "votes.csv", end="\r\n"))
    for split, rows in (("train", slice(0, 120)), ("val", slice(120, 170)), ("test", slice(170, 200))):
        assert (data[split].votes_NV == votes_RV[rows]).all()
        assert data[split].votes_NV.dtype == np.uint8
        assert (data[split].pixels_NHW == tiny.faces_NHW[rows]).all()


def test_votes_of_mixed_splits_are_joined(tiny, votes_RV) -> None:
    tiny.usages = [("Training", "PublicTest")[r % 2] for r in range(200)]
    path = tiny.write(tiny.lines())
    rows = [f"{tiny.usages[r]},,{','.join(map(str, votes_RV[r]))}" for r in range(200)]
    data = load(path, votes=tiny.write(rows, HEADER, "votes.csv"))
    assert (data["val"].votes_NV == votes_RV[1::2]).all()


def test_load_without_votes(tiny_csv) -> None:
    assert load(tiny_csv)["train"].votes_NV is None


@pytest.mark.parametrize(
    ("spoil", "header", "expected"),
    [
        (lambda rows: rows[:-1], HEADER, "has 199 rows of votes, but .* has 200 faces"),
        (lambda rows: [*rows, rows[0]], HEADER, "has 201 rows of votes, but .* has 200 faces"),
        (
            lambda rows: rows[::-1],
            HEADER,
            r"160 rows cannot be joined:\n  row 0 \(line 2\): votes for the split test",
        ),
        (
            lambda rows: [rows[0].replace(",", ",x", 2), *rows[1:]],
            HEADER,
            r"row 0 \(line 2\): neutral is 'x\d+', e",
        ),
        (lambda rows: [rows[0][: rows[0].rindex(",")], *rows[1:]], HEADER, r"row 0 \(line 2\): 11 fields, expected 12"),
        (lambda rows: [*rows[:9], "Train" + rows[9][8:], *rows[10:]], HEADER, r"row 9 \(line 11\): Usage 'Train', exp"),
        (lambda rows: [rows[0] + "00000", *rows[1:]], HEADER, "NF is '.*', expected a number of votes"),
        (lambda rows: rows, HEADER.replace("contempt,", ""), "lacks the columns contempt of the FER"),
        (lambda rows: rows, "emotion,pixels,Usage", "lacks the columns neutral, happiness, surprise"),
    ],
)
def test_votes_of_other_rows_are_an_error(tiny, tiny_csv, lines, spoil, header: str, expected: str) -> None:
    path = tiny.write(spoil(lines), header, "votes.csv")
    with pytest.raises(DataError, match=expected) as caught:
        load(tiny_csv, votes=path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "is empty"), (b"\xff\xfe\x00", "is not text"), (b"a" * 200_000, "is not text")],
)
def test_votes_not_a_csv_is_an_error(tiny_csv, tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=expected):
        load(tiny_csv, votes=path)


def test_missing_votes_file_is_an_error(tiny_csv, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"votes.csv: no such file"):
        load(tiny_csv, votes=tmp_path / "votes.csv")
    with pytest.raises(DataError, match="is a folder, expected a file"):
        load(tiny_csv, votes=tmp_path)


def test_votes_without_csv_are_an_error(tiny, lines) -> None:
    with pytest.raises(DataError, match="votes are joined to the rows of a csv, but sketch is not a csv"):
        load("sketch", votes=tiny.write(lines, HEADER, "votes.csv"))


def test_load_ferplus_votes(fer2013_dir: Path) -> None:
    data = load(fer2013_dir / "fer2013.csv", votes=fer2013_dir / "fer2013new.csv")
    truth = np.load(fer2013_dir / "fer2013.npz")["votes"]
    assert (data["train"].votes_NV == truth[:28709]).all()
    assert (data["val"].votes_NV == truth[28709:]).all()
