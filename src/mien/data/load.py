"""`load`: a data set from a csv file, a folder or a name."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mien.data.dataset import TEST, TRAIN, Dataset
from mien.data.fer2013 import read_csv
from mien.data.ferplus import with_votes
from mien.data.folders.read import FolderOptions, is_image_folder, read_folder
from mien.data.row_errors import unreadable
from mien.errors import DataError, MienError
from mien.imaging.suffixes import SUFFIXES
from mien.paths import expand_user, is_url, not_found

# Files that a folder is searched for, the most complete first.
CSV_NAMES = ("fer2013.csv", "icml_face_data.csv", "train.csv", "test.csv")

BUILT_IN = ("sketch",)


@dataclass(frozen=True)
class DatasetReader:
    """Reader of one kind of source.

    Attributes:
        matches: Function that returns whether a source, as the user wrote it, is of this kind; it reads nothing.
        read: Function that returns the data set of a source of this kind; the flag says whether to use the cache.
    """

    matches: Callable[[str], bool]
    read: Callable[[Path, bool], Dataset]


DATASETS: dict[str, DatasetReader] = {}


def dataset(
    matches: Callable[[str], bool],
) -> Callable[[Callable[[Path, bool], Dataset]], Callable[[Path, bool], Dataset]]:
    """Register a reader under its function's name; a second one of that name is an error.

    Args:
        matches: Function that returns whether a source is of this kind.
    """

    def register(read: Callable[[Path, bool], Dataset]) -> Callable[[Path, bool], Dataset]:
        name = read.__name__
        if name in DATASETS:
            raise MienError(f"two data sets are called '{name}'")
        DATASETS[name] = DatasetReader(matches, read)
        return read

    return register


def load(
    source: str | Path,
    *,
    votes: str | Path | None = None,
    cache: bool = True,
    layout: str = "auto",
    crop: str = "auto",
    on_error: str = "warn",
    labels: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read a data set.

    What was decided while a folder was read is in `Dataset.reading`; images that were left out are also a
    `UserWarning`.

    Args:
        source: Path of a csv file in a published format of FER2013, or in another one whose meaning is clear (the note
            of the data set says how it was read); of a folder that contains one (`train.csv` and `test.csv` are read
            together); or of a folder of images `train/<label>/*.png`, optionally with `val` and
            `test`, or `<label>/*.png`. Without a validation split, a fifth of training is held out as `val`. `sketch`
            is the built-in synthetic data set (a file or folder of that name is `./sketch`).
        votes: Path of FER+'s fer2013new.csv, which is joined by row; only for a csv with a column Usage.
        cache: Whether to keep the arrays of a csv for the next call (see `data.cache`).
        layout: Layout of an image folder, one of `data.folders.layouts.LAYOUTS`; `auto` recognizes it.
        crop: Whether faces in images of a folder are detected and cropped: `auto` for images that are larger than a
            face crop, `always` or `never`.
        on_error: `warn` to leave out images of a folder that cannot be read, `fail` to raise an error.
        labels: Path of a csv with the labels of the images of a folder: file, label and optionally rater and split.
        progress: Function that is called with the number of images read and of all images of a folder.

    Raises:
        DataError: The source is missing or invalid; the message names file, row and what was expected. Or an option
            for folders is given for another source.

    Example:
        >>> import tempfile
        >>> from mien.data import load, sketch, write_csv
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_csv(folder + "/faces.csv", sketch(train=8, val=4, test=4))
        ...     data = load(path, cache=False)
        >>> list(data.splits), data["train"].pixels_NHW.shape
        (['train', 'val', 'test'], (8, 48, 48))
    """
    path = expand_user(Path(source))
    source = path if str(source).startswith("~") else source
    try:
        options = FolderOptions(layout, crop, on_error, None if labels is None else Path(labels), progress)
        kind = next((name for name, reader in DATASETS.items() if reader.matches(str(source))), None)
        if options != FolderOptions() and path.is_dir() and is_image_folder(path):
            kind = "folder"
        if kind is None:
            raise _no_data_error(path)
        if path.suffix.lower() in SUFFIXES and path.is_file():
            raise DataError(f"{path}: is an image; give the folder of the data set, or analyze it with `mien analyze`")
        if votes is not None and kind != "fer2013":
            raise DataError(f"{votes}: votes are joined to the rows of a csv, but {source} is not a csv")
        if kind == "folder":
            result = read_folder(path, options)
        else:
            _check_no_folder_options(options, path)
            result = DATASETS[kind].read(path, cache)
    except OSError as error:
        raise unreadable(path, error) from None
    for loss in result.reading.losses:
        warnings.warn(f"{path}: {loss}", UserWarning, stacklevel=2)
    return result if votes is None else with_votes(result, expand_user(Path(votes)))


def _check_no_folder_options(options: FolderOptions, path: Path) -> None:
    names = {"--label-file": options.labels is not None}
    names |= {f"--{name.replace('_', '-')}": getattr(options, name) != getattr(FolderOptions(), name)
              for name in ("layout", "crop", "on_error")}  # fmt: skip
    given = [name for name, is_given in names.items() if is_given]
    if given:
        raise DataError(f"{path}: {', '.join(given)} applies to folders of images only; leave it out")


def _no_data_error(path: Path) -> DataError:
    if path.is_dir():
        return DataError(
            f"{path}: has neither images as train/<label>/*.png or <label>/*.png (or .jpg, .jpeg) "
            f"nor one of the files {', '.join(CSV_NAMES)}"
        )
    if is_url(path):
        return DataError(f"{path}: {not_found(path)}")
    names = " or ".join(f"'{name}'" for name in BUILT_IN)
    return DataError(f"{path}: no such file or folder; the built-in data set is called {names}")


@dataset(matches=lambda source: source in BUILT_IN)
def sketch(source: Path, cache: bool) -> Dataset:
    """Return the built-in synthetic data set, which is drawn at each call."""
    from mien.data.synthetic import sketch as draw

    return draw()


@dataset(matches=lambda source: _find_csv(Path(source)) is not None)
def fer2013(source: Path, cache: bool) -> Dataset:
    """Read a csv file, or the most complete one in a folder; Kaggle's `train.csv` and `test.csv` are one data set."""
    path = _find_csv(source)
    assert path is not None
    test = path.with_name("test.csv")
    if path == source or path.name != "train.csv" or not test.is_file():
        result = read_csv(path, cache=cache)
        from mien.data.synthetic import is_synthetic

        return replace(result, name="sketch") if is_synthetic(result) else result
    return _combine(source, read_csv(path, cache=cache), read_csv(test, cache=cache))


@dataset(matches=lambda source: is_image_folder(Path(source)))
def folder(source: Path, cache: bool) -> Dataset:
    """Read images in label folders, which may be in split folders."""
    return read_folder(source)


def _find_csv(source: Path) -> Path | None:
    """Return the csv that `source` is or contains."""
    if source.is_dir():
        return next((source / name for name in CSV_NAMES if (source / name).is_file()), None)
    return source if source.exists() else None


def _combine(source: Path, train: Dataset, test: Dataset) -> Dataset:
    """Return one data set of two files; the row numbers of the second continue those of the first."""
    for part, split in ((train, TRAIN), (test, TEST)):
        if len(part.splits) != 1:
            raise DataError(f"{part.source}: expected a file without a Usage column, all of it for {split}")
    if any(split.labelled for split in test.splits.values()) and test.labels.names != train.labels.names:
        raise DataError(
            f"{source}: train.csv has the classes {', '.join(train.labels.names)}, but test.csv has "
            f"{', '.join(test.labels.names)}"
        )
    (train_split,), (test_split,) = train.splits.values(), test.splits.values()
    splits = {
        TRAIN: replace(train_split, name=TRAIN),
        TEST: replace(test_split, name=TEST, rows_N=test_split.rows_N + len(train_split)),
    }
    digest = hashlib.md5((train.digest + test.digest).encode(), usedforsecurity=False).hexdigest()
    known_as = f"{train.known_as} and {test.known_as}" if train.known_as and test.known_as else None
    note = " ".join(f"{part.source.name}: {part.note}" for part in (train, test) if part.note)
    return Dataset("fer2013", source, digest, train.labels, splits, known_as, note or None)
