"""Reader of FER+ votes, joined to FER2013 by row.

    Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF

The image name is empty for rows that the raters called no face; the join ignores it.
Source: Barsoum et al. 2016, arXiv 1608.01041, https://github.com/microsoft/FERPlus
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import USAGE, Dataset
from mien.data.row_errors import RowErrors, unreadable
from mien.errors import DataError
from mien.labels import FERPLUS_COLUMNS

_HEADER = ("Usage", "Image name", *FERPLUS_COLUMNS)


def with_votes(dataset: Dataset, path: Path) -> Dataset:
    """Return `dataset` with the votes of the file at `path` in its splits.

    Args:
        dataset: Data set read from a csv with a column Usage.
        path: Path of FER+'s fer2013new.csv.

    Raises:
        DataError: The file cannot be read as FER+ votes, or its rows are not those of `dataset`.
    """
    usages_R, votes_RV = _read(path)
    rows = sum(len(split) for split in dataset.splits.values())
    if len(votes_RV) != rows:
        raise DataError(
            f"{path}: has {len(votes_RV):,} rows of votes, but {dataset.source} has {rows:,} faces; "
            "the two are joined by row, so both must have the same rows in the same order"
        )
    errors = RowErrors(path, "row")
    for name, split in dataset.splits.items():
        for row in split.rows_N[usages_R[split.rows_N] != name]:
            errors.add(int(row), f"votes for the split {usages_R[row]}, but {dataset.source} has a {name} face there")
    errors.raise_if_any("cannot be joined")
    splits = {name: replace(split, votes_NV=votes_RV[split.rows_N]) for name, split in dataset.splits.items()}
    return replace(dataset, splits=splits)


def _read(path: Path) -> tuple[NDArray[np.str_], NDArray[np.uint8]]:
    """Return the split of each row, [R], and its votes, uint8 [R,10]."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except OSError as error:
        raise unreadable(path, error) from None
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{path}: is not text, expected a csv with the header {','.join(_HEADER)}") from None
    if not lines:
        raise DataError(f"{path}: is empty, expected a csv with the header {','.join(_HEADER)}")
    header = [name.strip().lower() for name in lines[0]]
    missing = [name for name in _HEADER if name.lower() not in header and name != "Image name"]
    if missing:
        raise DataError(f"{path}: lacks the columns {', '.join(missing)} of the FER+ header {','.join(_HEADER)}")
    columns = [header.index(name.lower()) for name in FERPLUS_COLUMNS]
    usage = header.index("usage")

    errors = RowErrors(path, "row")
    usages_R: list[str] = []
    votes_RV = np.zeros((len(lines) - 1, len(FERPLUS_COLUMNS)), np.uint8)
    for row, line in enumerate(lines[1:]):
        problem = _row_error(line, usage, columns, len(header))
        if problem is not None:
            errors.add(row, problem)
            continue
        usages_R.append(USAGE[line[usage].strip()])
        votes_RV[row] = [int(line[i]) for i in columns]
    errors.raise_if_any()
    return np.array(usages_R), votes_RV


def _row_error(line: list[str], usage: int, columns: list[int], fields: int) -> str | None:
    """Return why `line` is not a row of votes, None if it is one."""
    if len(line) != fields:
        return f"{len(line)} fields, expected {fields}"
    if line[usage].strip() not in USAGE:
        return f"Usage {line[usage][:40]!r}, expected one of {', '.join(USAGE)}"
    for name, i in zip(FERPLUS_COLUMNS, columns, strict=True):
        votes = line[i].strip()
        if not (votes.isascii() and votes.isdigit() and len(votes) <= 3 and int(votes) <= 255):
            return f"{name} is {line[i][:40]!r}, expected a number of votes"
    return None
