"""The csv reader: four forms, exact arrays, and an error message for every invalid file."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.data import load
from mien.data.dataset import NO_LABEL
from mien.data.fer2013_pixels import PIXELS, pixels_error, read_batch
from mien.errors import DataError


def test_load_original_csv(tiny, tiny_csv) -> None:
    data = load(tiny_csv, cache=False)
    assert data.digest == hashlib.md5(tiny_csv.read_bytes()).hexdigest()
    assert (data.name, data.known_as, data.source) == ("fer2013", None, tiny_csv)
    for split, rows in (("train", range(120)), ("val", range(120, 170)), ("test", range(170, 200))):
        assert (data[split].pixels_NHW == tiny.faces_NHW[rows]).all()
        assert data[split].labels_N.tolist() == [tiny.emotions[r] for r in rows]
        assert data[split].rows_N.tolist() == list(rows)
        assert data[split].pixels_NHW.flags.writeable


@pytest.mark.parametrize(
    ("header", "form", "end"),
    [
        ("emotion, Usage, pixels", "{emotion},{usage},{pixels}", "\n"),  # icml_face_data.csv
        ("emotion, Usage, pixels", "{emotion}, {usage}, {pixels}", "\r\n"),
        ("emotion,pixels,Usage", '{emotion},"{pixels}",{usage}', "\n"),
        ('"emotion","pixels","Usage"', '"{emotion}","{pixels}","{usage}"', "\r\n"),
        ("\ufeffemotion,pixels,Usage", "{emotion},{pixels},{usage}", "\n"),
        ("Usage,emotion,pixels", "{usage},{emotion},{pixels}", "\n"),
    ],
)
def test_load_variants_of_original_csv(tiny, header: str, form: str, end: str) -> None:
    data = load(tiny.write(tiny.lines(form), header, end=end), cache=False)
    assert [len(data[s]) for s in ("train", "val", "test")] == [120, 50, 30]
    assert (data["test"].pixels_NHW == tiny.faces_NHW[170:]).all()
    assert data["val"].labels_N.tolist() == tiny.emotions[120:170]


def test_load_csv_with_mixed_splits(tiny) -> None:
    tiny.usages = [("Training", "PublicTest")[r % 2] for r in range(200)]
    data = load(tiny.write(tiny.lines()), cache=False)
    assert (data["val"].pixels_NHW == tiny.faces_NHW[1::2]).all()
    assert data["train"].rows_N.tolist() == list(range(0, 200, 2))
    assert "test" not in data


def test_load_train_csv_without_usage(tiny) -> None:
    data = load(tiny.write(tiny.lines("{emotion},{pixels}"), "emotion,pixels", "train.csv"), cache=False)
    assert list(data.splits) == ["train"]
    assert len(data["train"]) == 200


def test_load_test_csv_without_labels(tiny) -> None:
    data = load(tiny.write(tiny.lines("{pixels}"), "pixels", "test.csv"), cache=False)
    assert list(data.splits) == ["test"]
    assert not data["test"].labelled
    assert set(data["test"].labels_N) == {NO_LABEL}


def test_load_complete_last_line_without_line_end(tiny, tiny_csv) -> None:
    tiny_csv.write_bytes(tiny_csv.read_bytes()[:-1])
    assert len(load(tiny_csv, cache=False)["test"]) == 30


def test_load_from_pipe(tiny, tiny_csv) -> None:
    code = "from mien.data import load; data = load('/dev/stdin'); print([len(s) for s in data.splits.values()])"
    with subprocess.Popen(["cat", tiny_csv], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=cat.stdout, capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == "[120, 50, 30]"


def test_load_ignores_empty_lines_at_end(tiny, tiny_csv) -> None:
    tiny_csv.write_bytes(tiny_csv.read_bytes() + b"\n\r\n\n")
    assert len(load(tiny_csv, cache=False)["test"]) == 30


def _pixels(line: str, change: Callable[[list[str]], object]) -> str:
    emotion, pixels, usage = line.split(",")
    numbers = pixels.split(" ")
    change(numbers)
    return f"{emotion},{' '.join(numbers)},{usage}"


BAD_ROWS = {
    "short": (lambda s: _pixels(s, lambda n: n.pop()), "2,303 pixels, expected 2,304"),
    "long": (lambda s: _pixels(s, lambda n: n.append("7")), "2,305 pixels, expected 2,304"),
    "pixel 256": (lambda s: _pixels(s, lambda n: n.__setitem__(9, "256")), "pixel 9 (counted from 0) is '256'"),
    "pixel 300": (lambda s: _pixels(s, lambda n: n.__setitem__(9, "300")), "pixel 9 (counted from 0) is '300'"),
    "pixel 1007": (lambda s: _pixels(s, lambda n: n.__setitem__(9, "1007")), "pixel 9 (counted from 0) is '1007'"),
    "pixel x": (lambda s: _pixels(s, lambda n: n.__setitem__(9, "x")), "pixel 9 (counted from 0) is 'x', expected a"),
    "pixel -1": (lambda s: _pixels(s, lambda n: n.__setitem__(0, "-1")), "pixel 0 (counted from 0) is '-1'"),
    "pixel 1.5": (lambda s: _pixels(s, lambda n: n.__setitem__(0, "1.5")), "is '1.5', expected a whole number from 0"),
    "no pixels": (lambda s: _pixels(s, lambda n: n.clear()), "0 pixels, expected 2,304"),
    "emotion 7": (lambda s: "7" + s[1:], "emotion '7', expected a whole number from 0 to 6"),
    "emotion x": (lambda s: "happy" + s[1:], "emotion 'happy', expected a whole number"),
    "no emotion": (lambda s: s[1:], "emotion '', expected a whole number"),
    "Usage": (
        lambda s: s.replace("Training", "Trainer"),
        "Usage 'Trainer', expected one of Training, PublicTest, Private",
    ),
    "no Usage": (lambda s: s[: s.rindex(",")], "2 fields, expected 3"),
    "a field more": (lambda s: s + ",1", "4 fields, expected 3"),
    "empty line": (lambda s: "", "an empty line, expected a row"),
    "endless": (lambda s: s.replace(" ", " 255 " * 20_000, 1), "fields, expected 3"),
    "semicolon": (lambda s: s.replace(" ", ";", 1), "pixel 0 (counted from 0) is '"),
    "comment": (lambda s: "# checked until here", "'# checked until here', expected a row"),
    "not UTF-8": (lambda s: s.replace(" ", "\udcff", 1), "pixel 0 (counted from 0) is"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_load_invalid_row_names_row_and_error(tiny, nothing_left, case: str) -> None:
    spoil, expected = BAD_ROWS[case]
    lines = tiny.lines()
    lines[17] = spoil(lines[17])
    path = tiny.folder / "fer2013.csv"
    path.write_bytes("\n".join(["emotion,pixels,Usage", *lines, ""]).encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: 1 row cannot be read:\n  row 17 (line 19): ")
    assert expected in text
    nothing_left(path)


def test_load_many_invalid_rows_lists_first_five(tiny, nothing_left) -> None:
    lines = tiny.lines()
    for row in range(3, 200, 4):  # 50 of them, in every batch, of two kinds
        lines[row] = "9" + lines[row][1:] if row % 8 == 3 else lines[row].replace(" ", " x ", 1)
    path = tiny.write(lines)
    with pytest.raises(DataError) as caught:
        load(path)
    text = str(caught.value).splitlines()
    assert text[0] == f"{path}: 50 rows cannot be read:"
    assert [line.split(":")[0] for line in text[1:6]] == [f"  row {r} (line {r + 2})" for r in (3, 7, 11, 15, 19)]
    assert text[6:] == ["  ... and 45 more"]
    nothing_left(path)


@pytest.mark.parametrize("cut", [1, 5, 14, 40, 4000])
def test_load_truncated_last_line_is_an_error(tiny, tiny_csv, nothing_left, cut: int) -> None:
    whole = tiny_csv.read_bytes()
    tiny_csv.write_bytes(whole[: -1 - cut])
    with pytest.raises(DataError, match=r"row 199 \(line 201\): .*the line has no end: is the file truncated\?"):
        load(tiny_csv)
    nothing_left(tiny_csv)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty, expected a csv with the header emotion,pixels,Usage"),
        (b"\n", "is empty"),
        (b"emotion,pixels,Usage\n", "has a header but no rows"),
        (
            b"label,picture\n0,1 2 3\n",
            "the first line must be a header with the column pixels .* are label, picture: no",
        ),
        (b"emotion,pixels,pixels\n", "the first line must be a header"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "the first line must be a header"),
        ("emotion,pixels,Usage\n".encode("utf-16"), "has a header but no rows"),
        (b"\0" * 200_000, "the first line must be a header"),
    ],
)
def test_load_other_file_is_an_error(tmp_path: Path, nothing_left, content: bytes, expected: str) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 500
    nothing_left(path)


def test_load_file_with_read_error(nothing_left) -> None:
    with pytest.raises(DataError, match=r"^/proc/self/mem: cannot be read: Input/output error$"):
        load("/proc/self/mem")
    nothing_left(Path("/proc/self/mem"))


@pytest.mark.usefixtures("no_privilege")
def test_load_file_without_permission(tiny_csv) -> None:
    tiny_csv.chmod(0)
    with pytest.raises(DataError, match="permission denied"):
        load(tiny_csv)


def test_read_batch_and_pixels_error_agree() -> None:
    """Spoil texts at random; the fast reading refuses exactly those in which the exact one finds a pixels_error."""
    rng = np.random.default_rng(1)
    good = 0
    for _ in range(800):
        face = rng.integers(0, 256, PIXELS) // rng.choice((1, 5, 60))
        text = bytearray(" ".join(map(str, face)).encode())
        for _ in range(rng.integers(1, 3)):
            at = int(rng.integers(len(text)))
            text[at : at + int(rng.integers(0, 2))] = rng.choice([b"", b" ", b"0", b"1", b"9", b"25", b",", b"-"])
        texts = [b"0 " * (PIXELS - 1) + b"255", bytes(text)]
        read = read_batch(texts)
        assert (read is None) == (pixels_error(texts[1]) is not None), pixels_error(texts[1])
        if read is not None:
            good += 1
            assert read[1].ravel().tolist() == [int(n) for n in texts[1].split(b" ")]
    assert 80 < good < 720  # both sides were tried


def test_read_batch_reads_every_value() -> None:
    numbers = (list(range(256)) * 9)[:PIXELS]
    read = read_batch([" ".join(map(str, numbers)).encode()])
    assert read is not None
    assert read.ravel().tolist() == numbers


def test_load_fer2013(fer2013_dir: Path) -> None:
    data = load(fer2013_dir / "fer2013.csv", cache=False)
    truth = np.load(fer2013_dir / "fer2013.npz")
    assert data.known_as == "fer2013.csv without PrivateTest"
    assert data.digest == "23d0b16a00872ce2c91bf023f8129ad2"
    for split, usage in (("train", 0), ("val", 1)):
        mine = truth["usage"] == usage
        assert (data[split].pixels_NHW == truth["pixels"][mine]).all()
        assert (data[split].labels_N == truth["label"][mine]).all()
        assert (data[split].rows_N == np.flatnonzero(mine)).all()
