"""`load`: a data set from a csv file, a folder or a name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mien.data.dataset import TEST, TRAIN, Dataset
from mien.data.fer2013 import read_csv
from mien.data.ferplus import with_votes
from mien.data.folder import is_image_folder, read_folder
from mien.data.row_errors import unreadable
from mien.errors import DataError, MienError
from mien.labels import FER7

# Looked for in a folder, the fullest first.
CSV_NAMES = ("fer2013.csv", "icml_face_data.csv", "train.csv", "test.csv")

EMBEDDED = ("sketch",)


@dataclass(frozen=True)
class Reader:
    """One kind of source.

    Attributes:
        claims: whether the source, as the user wrote it, is of this kind; looks, but reads nothing.
        read: the data set behind a source of this kind; the flag says whether arrays may be kept in the cache.
    """

    claims: Callable[[str], bool]
    read: Callable[[Path, bool], Dataset]


DATASETS: dict[str, Reader] = {}


def dataset(
    claims: Callable[[str], bool],
) -> Callable[[Callable[[Path, bool], Dataset]], Callable[[Path, bool], Dataset]]:
    """Register a reader under its function's name; a second one of that name is an error."""

    def register(read: Callable[[Path, bool], Dataset]) -> Callable[[Path, bool], Dataset]:
        name = read.__name__
        if name in DATASETS:
            raise MienError(f"two data sets are called '{name}'")
        DATASETS[name] = Reader(claims, read)
        return read

    return register


def load(source: str | Path, *, votes: str | Path | None = None, cache: bool = True) -> Dataset:
    """Read a data set.

    Args:
        source: a csv file in one of FER2013's forms; a folder that holds one (`train.csv` and `test.csv` are read
            together); a folder of images `train/<label>/*.png`, with `val` or `validation` and `test` beside it, or
            `<label>/*.png`, of which a fifth is held out as `val`; or the name of an embedded data set: `sketch` (a
            file or folder of that name is `./sketch`).
        votes: FER+'s fer2013new.csv, to be joined by row; only for a csv that has a Usage column.
        cache: keep a csv's arrays for the next time (`data.cache` says where).

    Raises:
        DataError: the source is not there or cannot be read as what it seems to be; the text names file, row and
            what was expected.
    """
    path = Path(source)
    try:
        kind = next((name for name, reader in DATASETS.items() if reader.claims(str(source))), None)
        if kind is None:
            raise _nothing_at(path)
        if votes is not None and kind != "fer2013":
            raise DataError(f"{votes}: votes are joined to the rows of a csv, and {source} is not one")
        found = DATASETS[kind].read(path, cache)
    except OSError as error:
        raise unreadable(path, error) from None
    return found if votes is None else with_votes(found, Path(votes))


def _nothing_at(path: Path) -> DataError:
    if path.is_dir():
        return DataError(
            f"{path}: has neither images as train/<label>/*.png or <label>/*.png (or .jpg, .jpeg) "
            f"nor one of the files {', '.join(CSV_NAMES)}"
        )
    words = " or ".join(f"'{name}'" for name in EMBEDDED)
    return DataError(f"{path}: there is no such file or folder; the embedded data set is called {words}")


@dataset(claims=lambda source: source in EMBEDDED)
def sketch(source: Path, cache: bool) -> Dataset:
    """The embedded data set, drawn anew each time."""
    from mien.data.synthetic import sketch as synthetic

    return synthetic()


@dataset(claims=lambda source: _csv_in(Path(source)) is not None)
def fer2013(source: Path, cache: bool) -> Dataset:
    """A csv file, or the fullest in a folder; Kaggle's `train.csv` and `test.csv` make one data set."""
    path = _csv_in(source)
    assert path is not None
    test = path.with_name("test.csv")
    if path == source or path.name != "train.csv" or not test.is_file():
        found = read_csv(path, cache=cache)
        from mien.data.synthetic import is_synthetic

        return replace(found, name="sketch") if is_synthetic(found) else found
    return _together(source, read_csv(path, cache=cache), read_csv(test, cache=cache))


@dataset(claims=lambda source: is_image_folder(Path(source)))
def folder(source: Path, cache: bool) -> Dataset:
    """Images in folders named after labels, within folders named after splits where there are any."""
    return read_folder(source)


def _csv_in(source: Path) -> Path | None:
    """The csv that `source` is or holds."""
    if source.is_dir():
        return next((source / name for name in CSV_NAMES if (source / name).is_file()), None)
    return source if source.exists() else None


def _together(source: Path, train: Dataset, test: Dataset) -> Dataset:
    """Two files that are one data set; the rows of the second are counted on from those of the first."""
    for half, split in ((train, TRAIN), (test, TEST)):
        if len(half.splits) != 1:
            raise DataError(f"{half.source}: expected a file without a Usage column, all of it for {split}")
    (train_split,), (test_split,) = train.splits.values(), test.splits.values()
    splits = {
        TRAIN: replace(train_split, name=TRAIN),
        TEST: replace(test_split, name=TEST, rows_N=test_split.rows_N + len(train_split)),
    }
    digest = hashlib.md5((train.digest + test.digest).encode(), usedforsecurity=False).hexdigest()
    known_as = f"{train.known_as} and {test.known_as}" if train.known_as and test.known_as else None
    return Dataset("fer2013", source, digest, FER7, splits, known_as)
