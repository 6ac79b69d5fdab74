"""Csv files in other forms than the original: the same faces, or an error that names the column or the row."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.data import load
from mien.errors import DataError
from mien.labels import FER7

Write = Callable[..., Path]
SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
HEADER = "emotion,pixels,Usage"
PLAIN = "{e},{p},{u}"


@pytest.fixture
def write(tiny) -> Write:
    """Writes ten of the tiny faces, four train and three each of val and test, as `form` says."""
    tiny.kept = [*range(4), *range(120, 123), *range(170, 173)]

    def text(row: int, form: str) -> str:
        pixels = tiny.faces_NHW[row].ravel().tolist()
        return form.format(
            i=row,
            e=tiny.emotions[row],
            name=FER7.names[tiny.emotions[row]],
            p=" ".join(map(str, pixels)),
            commas=",".join(map(str, pixels)),
            list=str(pixels),
            floats=" ".join(f"{value}." for value in pixels),
            array=np.array2string(np.array(pixels), threshold=3000),
            tabs="\t".join(map(str, pixels)),
            u=tiny.usages[row],
            split=SPLITS[tiny.usages[row]],
        )

    def write_file(form: str, header: str | None = HEADER, encoding: str = "utf-8", end: str = "\n") -> Path:
        path: Path = tiny.folder / "faces.csv"
        lines = [text(row, form) for row in tiny.kept]
        path.write_bytes(end.join([*([header] if header else []), *lines, ""]).encode(encoding))
        return path

    return write_file


def check(tiny, path: Path, splits: bool = True) -> str:
    """Assert that the file has the ten faces in their order; return the note."""
    data = load(path, cache=False)
    assert data.labels == FER7
    rows = np.concatenate([split.rows_N for split in data.splits.values()])
    faces = np.concatenate([split.pixels_NHW for split in data.splits.values()])
    labels = np.concatenate([split.labels_N for split in data.splits.values()])
    assert rows.tolist() == list(range(10))
    assert (faces == tiny.faces_NHW[tiny.kept]).all()
    assert labels.tolist() == [tiny.emotions[row] for row in tiny.kept]
    if splits:
        assert {name: len(split) for name, split in data.splits.items()} == {"train": 4, "val": 3, "test": 3}
    return data.note or ""


NUMBERED = ",".join(f"p{i}" for i in range(2304))
FORMS = {
    "index": (",emotion,pixels,Usage", "{i},{e},{p},{u}", "Not read: column 1."),
    "Unnamed: 0": ("Unnamed: 0,emotion,pixels,Usage", "{i},{e},{p},{u}", "column 'Unnamed: 0'"),
    "extra columns": ("emotion,pixels,Usage,age,note", "{e},{p},{u},30,x y", "Not read: columns 'age', 'note'."),
    "names beside numbers": ("emotion,pixels,Usage,emotion_name", "{e},{p},{u},{name}", "label from the column 'emo"),
    "prediction": ("emotion,pixels,Usage,predicted", "{e},{p},{u},happy", "Not read: column 'predicted'."),
    "label and split": ("label,pixels,split", "{e},{p},{split}", "the label from the column 'label', the split from"),
    "image and class": ("Class,Image,Usage", "{name},{p},{u}", "the pixels from the column 'Image'"),
    "split in any column": ("emotion,pixels,part", "{e},{p},{split}", "the split from the column 'part'"),
    "names": (HEADER, "{name},{p},{u}", "Labels are read as names"),
    "4.0": (HEADER, "{e}.0,{p},{u}", "are read as whole numbers"),
    "4.": (HEADER, "{e}.,{p},{u}", "are read as whole numbers"),
    "quoted list": (HEADER, '{e},"{list}",{u}', "Pixels are written as '["),
    "bare list": (HEADER, "{e},{list},{u}", ""),
    "quoted commas": (HEADER, '{e},"{commas}",{u}', "Pixels are written as '"),
    "array over several lines": (HEADER, '{e},"{array}",{u}', "Pixels are written as '["),
    "floats": (HEADER, "{e},{floats},{u}", "Pixels are written as '"),
    "two blanks": (HEADER, "{e},  {p}  ,{u}", ""),
    "semicolons": ("emotion;pixels;Usage", "{e};{p};{u}", "separated by a semicolon"),
    "tabs": ("emotion\tpixels\tUsage", "{e}\t{p}\t{u}", "separated by a tab"),
    "bars": ("emotion|pixels|Usage", "{e}|{p}|{u}", "separated by a vertical bar"),
    "semicolons and a list": ("emotion;pixels;Usage", "{e};{list};{u}", "Pixels are written as"),
    "tabs between pixels": (HEADER, "{e},{tabs},{u}", "Pixels are written as"),
    "a column per pixel": (f"emotion,{NUMBERED},Usage", "{e},{commas},{u}", "the pixels from 2,304 columns"),
    "pixel columns first": (f"{NUMBERED.replace('p', 'pixel_')},y,Usage", "{commas},{e},{u}", "from 2,304 columns"),
    "trailing commas": (HEADER + ",,", "{e},{p},{u},,", ""),
    "trailing commas in rows": (HEADER, "{e},{p},{u},", ""),
    "no header": (None, PLAIN, "no header: read the label from column 1, the split from column 3"),
    "no header, name": (None, "{u},{name},{p}", "no header: read the label from column 2, the split from column 1"),
    "no header, index, name": (None, "{i};{name};{u};{p}", "the pixels from column 4"),
    "no header, columns": (None, "{name},{commas},{u}", "the pixels from 2,304 columns"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_load_csv_variant_returns_faces(tiny, write, case: str) -> None:
    header, form, note = FORMS[case]
    assert note in check(tiny, write(form, header))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_load_csv_in_any_encoding_and_line_end(tiny, write, encoding: str, end: str) -> None:
    assert ("UTF-16" in check(tiny, write(PLAIN, encoding=encoding, end=end))) == encoding.startswith("utf-16")


@pytest.mark.parametrize(
    "names", [("Train", "Validation", "TEST"), ("training", "dev", "testing"), ("Train ", "val", "private test")]
)
def test_load_csv_with_other_split_names(tiny, write, names: tuple[str, str, str]) -> None:
    path = write(PLAIN)
    text = path.read_text()
    for usage, name in zip(SPLITS, names, strict=True):
        text = text.replace(usage, name)
    path.write_text(text)
    check(tiny, path)


@pytest.mark.parametrize(
    ("end", "note"),
    [
        (",,\n,,\n", ""),
        (" \n\t\n", ""),
        ("@misc{x, title={a},\n  year={2013}\n}\n", "the text after the last face, from line 12, '@misc{x"),
        ("\n# checked by hand\n", "from line 13, '# checked by hand'"),
    ],
)
def test_load_csv_ignores_text_after_last_face(tiny, write, end: str, note: str) -> None:
    path = write(PLAIN)
    path.write_text(path.read_text() + end)
    assert note in check(tiny, path)


def test_load_csv_variant_from_pipe(write) -> None:
    path = write("{name};{p};{u}", "label;pixels;Usage")
    code = "from mien.data import load; data = load('/dev/stdin'); print([len(s) for s in data.splits.values()])"
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=cat.stdout, capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == "[4, 3, 3]"


def test_load_csv_variant_from_cache(tiny, write, cache_dir) -> None:
    path = write("{name};{p};{u}", "label;pixels;Usage")
    path.write_text(path.read_text().replace("angry", "bored"))
    first, again = load(path), load(path)
    assert len(list(cache_dir.glob("*.npz"))) == 1
    assert (again.labels, again.note, again.digest) == (first.labels, first.note, first.digest)
    assert "bored" in again.labels.names
    assert "separated by a semicolon" in (again.note or "")
    assert (again["train"].pixels_NHW == tiny.faces_NHW[:4]).all()


def test_load_csv_with_labels_of_another_set(write) -> None:
    path = write("{name},{p},{u}")
    path.write_text(path.read_text().replace("angry", "contempt"))
    assert load(path, cache=False).labels.names == ("contempt", "disgust", "fear", "happy", "sad")


WRONG = {
    "images in files": ("path,label", "img/{i}.png,{name}", "its columns are path, label: none has pixels"),
    "file names": ("image,label", "{i}.jpg,{name}", "its columns are image, label: none has pixels"),
    "unknown label column": ("feeling,pixels,Usage", PLAIN, "columns are feeling, Usage and pixels: none is called"),
    "two label columns": ("label,pixels,label", "{e},{p},{e}", "2 columns called 'label'"),
    "missing pixel column": (
        f"emotion,{NUMBERED[:-6]}", "{e},{commas}", "2,303 columns of pixels, p0 to p2302, expected 2,304"),
    "no header, two numbers": (None, "{i},{e},{p},{u}", "2 numbers beside the pixels, and only a header can say"),
    "no header, columns": (None, "{e},{commas}", "2,305 numbers, and only a header can say"),
    "numbers from 1": (HEADER, "{e},{p},{u}", "the column emotion has the numbers 1 to 7"),
    "abbreviated": (HEADER, '{e},"[1 2 3 ... 4 5 6]",{u}', "row 0 (line 2): the list of pixels is abbreviated"),
    "cut": (HEADER, "{e},{p:.255},{u}", "pixels, expected 2,304; the text is cut after 255 characters"),
    "scaled": (HEADER, "{e},{p},{u}", "row 3 (line 5): pixel 0 (counted from 0) is '0.62'"),
    "contempt": (HEADER, "{e},{p},{u}", "row 3 (line 5): emotion '7', expected a whole number from 0 to 6; if 7 is"),
    "misspelled": (HEADER, "{name},{p},{u}", "row 3 (line 5): emotion 'happpy'; did you mean 'happy'?"),
    "number among names": (HEADER, "{name},{p},{u}", "row 3 (line 5): emotion '3', expected the name of a class"),
    "unclosed quote": (HEADER, "{e},{p},{u}", "row 3 (line 5): "),
}  # fmt: skip


def spoil(case: str, lines: list[str]) -> None:
    """Change line 5 of a file, or all labels, as the case says."""
    label, _, rest = lines[4].partition(",")
    if case == "numbers from 1":
        lines[1:] = [f"{i % 7 + 1},{line.partition(',')[2]}" for i, line in enumerate(lines[1:])]
    elif case == "scaled":
        lines[4] = f"{label},0.62{rest[rest.index(' ') :]}"
    elif case == "unclosed quote":
        lines[4] = f'{label},"{rest}'
    elif case in ("contempt", "misspelled", "number among names"):
        lines[4] = {"contempt": "7", "misspelled": "happpy", "number among names": "3"}[case] + f",{rest}"


@pytest.mark.parametrize("case", WRONG)
def test_load_unclear_csv_names_column_or_row(write, nothing_left, case: str) -> None:
    header, form, expected = WRONG[case]
    path = write(form, header)
    lines = path.read_text().splitlines()
    spoil(case, lines)
    path.write_text("\n".join([*lines, ""]))
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    nothing_left(path)


def test_load_kaggle_train_and_test_in_other_form(tiny, write) -> None:
    for name, header, form in (("train", "label;pixels", "{name};{p}"), ("test", "pixels;id", "{p};{i}")):
        write(form, header).rename(tiny.folder / f"{name}.csv")
    data = load(tiny.folder, cache=False)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 10, "test": 10}
    assert (data["train"].labelled, data["test"].labelled) == (True, False)
    assert "test.csv: Fields are separated by a semicolon." in (data.note or "")
