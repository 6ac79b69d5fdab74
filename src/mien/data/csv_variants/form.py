"""The form of a csv file of faces: encoding, delimiter, and the role of each column.

The original form, emotion,pixels,Usage, needs none of this (see `data.fer2013`).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mien.data.dataset import SIDE, split_for
from mien.data.fer2013_pixels import quoted
from mien.errors import DataError
from mien.labels import FERPLUS8, canonical_name

PIXELS = SIDE * SIDE
HEAD = 1 << 18  # bytes that are enough for a header and a row with a column for each pixel, in UTF-16
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_LIST = 100  # a field with at least this many numbers is a list of pixels

# Names of columns in lower case, the preferred ones first.
_PIXEL_NAMES = ("pixels", "pixel", "pixel values", "image pixels", "image", "img", "face", "data")
_LABEL_NAMES = (
    "emotion", "emotions", "label", "labels", "class", "target", "expression", "category", "emotion label",
    "emotion name", "class name", "label name", "y",
)  # fmt: skip
_SPLIT_NAMES = ("usage", "split")
_INDEX_NAME = re.compile(r"(unnamed: ?\d+|index|idx|id|row|no\.?|#|level 0|)")
_SEPARATORS = str.maketrans(dict.fromkeys("[](),'\"", " "))  # between the numbers of a list, beside blanks
_WHOLE = re.compile(r"\d+\.0*")
_IMAGE_FILE = re.compile(r"\.(png|jpe?g|bmp|gif|webp|tiff?|pgm)\s*$", re.IGNORECASE)
_NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True)
class CsvForm:
    """How a csv file of faces is written.

    Attributes:
        encoding: Encoding of the text.
        delimiter: Character between fields.
        has_header: Whether the first line names the columns.
        names: Name of each column; `column 1`, ... without a header.
        pixels: Index of the column with the list of pixels, or of each pixel's column.
        label: Index of the column with the label, or None.
        split: Index of the column with the split, or None.
        sample: Beginning of the first list of pixels if it is not in the original form, else empty.
    """

    encoding: str
    delimiter: str
    has_header: bool
    names: tuple[str, ...]
    pixels: tuple[int, ...]
    label: int | None
    split: int | None
    sample: str = ""

    @property
    def note(self) -> str:
        """Sentences on what differs from the original form; empty if nothing does."""
        sentences = []
        if self.encoding.startswith("utf-16"):
            sentences.append("The file is read as UTF-16.")
        if self.delimiter != ",":
            sentences.append(f"Fields are separated by {_DELIMITERS[self.delimiter]}.")
        roles = [(self.label, "label", "emotion"), (self.split, "split", "usage")]
        found = [
            f"the {role} from {self._quoted(index)}"
            for index, role, usual in roles
            if index is not None and self.names[index].strip().lower() != usual
        ]
        if len(self.pixels) > 1:
            found.append(f"the pixels from {PIXELS:,} columns")
        elif self.names[self.pixels[0]].strip().lower() != "pixels":
            found.append(f"the pixels from {self._quoted(self.pixels[0])}")
        if found:
            missing = "" if self.has_header else "There is no header: "
            text = f"{missing}read {', '.join(found)}."
            sentences.append(text[0].upper() + text[1:])
        if self.sample:
            sentences.append(f"Pixels are written as {self.sample!r}.")
        unread = [i for i in range(len(self.names)) if i not in {*self.pixels, self.label, self.split}]
        if unread:
            columns = "column" if len(unread) == 1 else "columns"
            shown = ", ".join(self._quoted(i, bare=True) for i in unread[:8])
            more = f" and {len(unread) - 8} more" if len(unread) > 8 else ""
            sentences.append(f"Not read: {columns} {shown}{more}.")
        return " ".join(sentences)

    def _quoted(self, index: int, bare: bool = False) -> str:
        name = self.names[index].strip()
        if not self.has_header or not name:
            return str(index + 1) if bare else f"column {index + 1}"
        return f"'{name}'" if bare else f"the column '{name}'"


def recognize(head: bytes, path: Path) -> CsvForm:
    r"""Return the form of a csv file.

    Args:
        head: The first `HEAD` bytes of the file.
        path: Path of the file, for messages.

    Raises:
        DataError: The columns cannot be recognized; names the columns and what is missing.

    Example:
        >>> row = "7;" + " ".join(["0"] * 2304)
        >>> form = recognize(f"label;image\n{row}\n".encode(), Path("faces.csv"))
        >>> form.delimiter, form.pixels, form.label
        (';', (1,), 0)
    """
    encoding = encoding_of(head)
    text = head.decode(encoding, "replace")
    forms, errors = [], []
    for delimiter in _DELIMITERS:
        rows = _rows(text, delimiter)
        if not rows:
            continue
        try:
            form = _with_header(rows, encoding, delimiter) or _without_header(rows, encoding, delimiter)
        except DataError as error:
            errors.append(str(error))
        else:
            forms += [form] if form else []
    if forms:
        form = max(forms, key=lambda form: (form.label is not None) + (form.split is not None))
        return replace(form, sample=_sample(_rows(text, form.delimiter)[form.has_header :], form))
    first = text.partition("\n")[0].encode("utf-8", "replace").rstrip()
    problem = errors[0] if errors else f"it is {quoted(first)}"
    raise DataError(
        f"{path}: the first line must be a header with the column pixels and, in any order, emotion and Usage "
        f"(the original says emotion,pixels,Usage); {problem}"
    )


def encoding_of(head: bytes) -> str:
    """Return the encoding of a text by its first bytes: UTF-16 with or without a mark, else UTF-8.

    >>> encoding_of("emotion".encode("utf-16-le")), encoding_of(b"emotion")
    ('utf-16-le', 'utf-8-sig')
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding, zeros in (("utf-16-le", head[1:16:2]), ("utf-16-be", head[0:16:2])):
        if head[:16].strip(b"\0") and len(zeros) > 1 and not any(zeros):
            return encoding
    return "utf-8-sig"


def pixel_text(field: str) -> str:
    """Return a list of pixels in the original form, with one blank between whole numbers.

    >>> pixel_text("[159, 158.  7.0]")
    '159 158 7'
    """
    numbers = field.translate(_SEPARATORS).split()
    if "." in field:
        numbers = [number.split(".")[0] if _WHOLE.fullmatch(number) else number for number in numbers]
    return " ".join(numbers)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """Return the fields of the first two lines that are not empty."""
    rows: list[list[str]] = []
    try:
        for fields in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(field.strip() for field in fields):
                rows.append(fields)
            if len(rows) == 2:
                break
    except csv.Error:
        pass
    return rows


def _with_header(rows: Sequence[list[str]], encoding: str, delimiter: str) -> CsvForm | None:
    """Return the form if the first line is a header with columns of pixels."""
    header = tuple(name.strip() for name in rows[0])
    while len(header) > 1 and not header[-1] and len(rows) > 1 and not "".join(rows[1][len(header) - 1 :]).strip():
        header = header[:-1]  # a comma at the end of each line
    names = [re.sub(r"[\s_]+", " ", name.lower()).strip() for name in header]
    pixels = _numbered_pixels(names) or _first(names, _PIXEL_NAMES)
    first = dict(enumerate(rows[1])) if len(rows) > 1 else {}
    if len(pixels) == 1 and _IMAGE_FILE.search(first.get(pixels[0], "")):
        pixels = ()
    others = [i for i in range(len(names)) if i not in pixels]
    labels = [*_first(names, _LABEL_NAMES)] or [i for i in others if _is_class(first.get(i, ""))]
    named = [i for i in others if names[i] in _LABEL_NAMES and _is_class(first.get(i, ""))]
    labels = named or labels  # names are clearer than numbers
    if not pixels:
        if len(names) > 1 and _first(names, _LABEL_NAMES):
            columns = ", ".join(header)[:80]
            raise DataError(
                f"its columns are {columns}: none has pixels. For images in files, pass a folder with one folder "
                "per class"
            )
        return None
    splits = [*_first(names, _SPLIT_NAMES)] or [i for i in others if i not in labels and split_for(first.get(i, ""))]
    unknown = [i for i in others if i not in splits and not _INDEX_NAME.fullmatch(names[i])]
    if not labels and unknown:
        raise DataError(
            f"its columns are {', '.join(header[i] for i in others)} and {header[pixels[0]]}: none is called "
            f"{', '.join(_LABEL_NAMES[:3])} or has names of expressions"
        )
    label, split = (next(iter(found), None) for found in (labels, splits))
    return CsvForm(encoding, delimiter, True, header, pixels, label, split)


def _without_header(rows: Sequence[list[str]], encoding: str, delimiter: str) -> CsvForm | None:
    """Return the form if the first line is a face already, and the columns are clear from their content."""
    first = rows[0]
    names = tuple(f"column {i + 1}" for i in range(len(first)))
    numeric = [i for i, field in enumerate(first) if re.fullmatch(r"\d+(\.0*)?", field.strip())]
    if len(numeric) >= PIXELS:
        if len(numeric) > PIXELS:
            raise DataError(
                f"it has {len(numeric):,} numbers, and only a header can say which of them is the label and which "
                f"{PIXELS:,} are pixels"
            )
        pixels, numeric = tuple(numeric), []
    else:
        lists = [i for i, field in enumerate(first) if _is_pixels(field)]
        if len(lists) != 1 or (len(first) == 1 and len(pixel_text(first[0]).split()) != PIXELS):
            return None
        pixels = (lists[0],)
    by_name = [i for i, field in enumerate(first) if _is_class(field)]
    splits = [i for i, field in enumerate(first) if split_for(field)]
    if not by_name and len(numeric) > 1:
        raise DataError(
            f"it has {len(numeric)} numbers beside the pixels, and only a header can say which is the label"
        )
    label, split = (next(iter(found), None) for found in (by_name or numeric, splits))
    return CsvForm(encoding, delimiter, False, names, pixels, label, split)


def _sample(rows: Sequence[list[str]], form: CsvForm) -> str:
    """Return the beginning of the list of pixels in the first row if it is not in the original form."""
    if not rows or len(form.pixels) > 1 or len(rows[0]) <= form.pixels[0]:
        return ""
    written = rows[0][form.pixels[0]].strip()
    return written[:20] + "..." if _is_pixels(written) and pixel_text(written) != written else ""


def _first(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    """Return the index of the first of the `wanted` names that exists; none if it is there twice."""
    name = next((name for name in wanted if name in names), None)
    if name is not None and names.count(name) > 1:
        raise DataError(f"it has {names.count(name)} columns called '{name}'")
    return () if name is None else (names.index(name),)


def _numbered_pixels(names: Sequence[str]) -> tuple[int, ...]:
    """Return the columns of one pixel each, named by a common word and a number, in the order of the numbers."""
    groups: dict[str, dict[int, int]] = {}
    for index, name in enumerate(names):
        if match := _NUMBERED.fullmatch(name):
            groups.setdefault(match[1], {})[int(match[2])] = index
    word, columns = max(groups.items(), key=lambda group: len(group[1]), default=("", {}))
    if len(columns) < _LIST:
        return ()
    if len(columns) != PIXELS or max(columns) - min(columns) != PIXELS - 1:
        raise DataError(
            f"it has {len(columns):,} columns of pixels, {word}{min(columns)} to {word}{max(columns)}, expected "
            f"{PIXELS:,} ({SIDE}x{SIDE})"
        )
    return tuple(columns[number] for number in sorted(columns))


def _is_class(text: str) -> bool:
    return canonical_name(text) in FERPLUS8.names


def _is_pixels(text: str) -> bool:
    numbers = pixel_text(text).split(" ")
    return len(numbers) >= _LIST and all(number.isdigit() for number in numbers)
