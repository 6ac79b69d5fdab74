"""Resuming an output file: the options it was written with, and the images that it has.

Beside an output of csv, jsonl or parquet lies `<out>.resume.json`: a format version, the options that its rows depend
on with the sha256 of the model, and a digest of them. Rows are appended only with the same options and the same model.
Rows can always be appended, so the sidecar file is kept; without it an output cannot be resumed.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mien import files
from mien.errors import MienError
from mien.recognition.results import escape_surrogates

FORMAT = "mien resume 3"  # 3: a column `notes`
HIDDEN = ("labels", "model_sha256")  # recorded options that the command line does not have


class ResumeFile:
    """The sidecar file of an output.

    Args:
        out: Path of the output.
        options: Options that the rows depend on, as JSON types, with the sha256 of the model as `model_sha256`.

    Attributes:
        path: Path of the sidecar file.
    """

    def __init__(self, out: Path, options: Mapping[str, Any]) -> None:
        self.out, self.path = out, out.with_name(f"{out.name}.resume.json")
        text = json.dumps(dict(options), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._content: dict[str, Any] = {"format": FORMAT, "digest": digest, "options": json.loads(text)}

    def remove_other(self) -> None:
        """Delete the sidecar of an older output that is about to be replaced, unless it is the same.

        If the process is killed before `write`, the output has no sidecar rather than that of other options.
        """
        if self._read() != self._content:
            self.path.unlink(missing_ok=True)

    def write(self) -> None:
        """Write the sidecar file; `OSError` if that fails."""
        if self._read() != self._content:
            files.write(self.path, [json.dumps(self._content, indent=1).encode()])

    def check(self) -> None:
        """Raise a `MienError` unless the output was written with the same options and model."""
        recorded = self._read()
        if recorded is None:
            raise MienError(
                f"cannot resume: {self.path}, which records the options of {self.out}, is missing or damaged; "
                "use another --out, or start again without --resume"
            )
        if recorded.get("format") != FORMAT:
            raise MienError(
                f"cannot resume: {self.path} was written by another version of mien; use another --out, or start again "
                "without --resume"
            )
        if recorded.get("digest") != self._content["digest"]:
            before, now = recorded["options"], self._content["options"]
            names = [name for name in now if before.get(name) != now[name] and name not in HIDDEN]
            options = ", ".join(f"{name}={before.get(name)}" for name in names) or "another model file"
            raise MienError(
                f"cannot resume: {self.out} was written with other options ({options}); use the same options or "
                "another --out"
            )

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and isinstance(content.get("options"), dict) else None


def read_jsonl(out: Path, start: str) -> tuple[dict[str, bool], int]:
    """Return the images in a file of JSON lines, and the number of bytes up to the end of the last whole line.

    Args:
        out: Path of the file.
        start: First characters of every line.

    Returns:
        The name of each image and whether it could be read, and the length of the file without a torn last line.

    Raises:
        MienError: A line is damaged, or the file is not one of mien.
        OSError: The file cannot be read.
    """
    done: dict[str, bool] = {}
    with out.open("rb") as file:
        _check_start(file, start, out)
        lines = _WholeLines(file)
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                done[escape_surrogates(record["source"])] = not record["error"]
            except (ValueError, TypeError, KeyError):
                raise _damaged(out, number) from None
    return done, lines.length


def read_csv(out: Path, start: str) -> tuple[dict[str, bool], int]:
    """Return the images in a csv that have all their rows, as `read_jsonl` does; `start` is the header."""
    done: dict[str, bool] = {}
    end = missing = 0  # rows that an image still lacks
    with out.open("rb") as file:
        _check_start(file, start, out)
        lines = _WholeLines(file)
        rows = csv.reader(lines, strict=True)
        try:
            header = next(rows, [])
            for row in rows:
                if len(row) != len(header) or not row[1].isdecimal():
                    raise _damaged(out, rows.line_num)
                missing = (missing or max(int(row[1]), 1)) - 1
                if missing == 0:
                    done[row[0]] = not row[-1]
                    end = lines.length
        except csv.Error:
            if not lines.ended:  # else the file is torn within a field that spans lines
                raise _damaged(out, rows.line_num) from None
    return done, end


def _check_start(file: BinaryIO, start: str, out: Path) -> None:
    """Raise a `MienError` unless the file starts with `start`, or with a part of it where it is torn."""
    expected = start.encode()
    if not expected.startswith(file.read(len(expected))):
        raise _damaged(out, 1)
    file.seek(0)


class _WholeLines:
    """The lines of a file that have an end, as text, and their length in bytes so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.length, self.ended = file, 0, False

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            if not line.endswith(b"\n"):
                break  # the process was killed while it wrote
            self.length += len(line)
            yield line.decode("utf-8", "replace")
        self.ended = True


def _damaged(out: Path, line: int) -> MienError:
    return MienError(f"cannot resume: line {line} of {out} is damaged; use another --out")
