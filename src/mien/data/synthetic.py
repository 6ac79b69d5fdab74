"""The synthetic data set `sketch`: faces drawn from random parameters.

Each face has an expression of one of the seven classes, of random strength and mixed with a little of another class, on
a head with random appearance, pose, light and lens. Weak expressions overlap, so no model classifies all of them
correctly. Whatever is independent of the class is asymmetric (turned heads, light from one side, a parting, one brow
higher than the other): two thousand faces do not cover these variations, a model overfits without augmentation, and
mirroring helps.

The data set is always called sketch, and results on it are never shown beside results on FER2013.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien import files
from mien.data.dataset import SPLITS, TEST, TRAIN, USAGE, VAL, Dataset, Split
from mien.data.row_errors import unwritable
from mien.data.synthetic_face import draw
from mien.data.synthetic_parameters import random_appearance, random_expression
from mien.errors import DataError
from mien.labels import FER7

SIZES = {TRAIN: 2000, VAL: 500, TEST: 500}

# In the last pixels of the last row of each face, so that sketch is recognized when it is read from a csv.
_SIGNATURE = np.frombuffer(b"sketch", np.uint8)
# Class frequencies: in FER2013's order, with disgust frequent enough to be learned.
_CLASS_FREQUENCIES = np.array((0.14, 0.08, 0.14, 0.21, 0.15, 0.12, 0.16))


def sketch(train: int = SIZES[TRAIN], val: int = SIZES[VAL], test: int = SIZES[TEST], seed: int = 0) -> Dataset:
    """Draw the synthetic data set; the same arguments give the same pixels.

    A larger split begins with the faces of a smaller one.

    Args:
        train: Number of training faces; 0 omits the split.
        val: Number of validation faces; 0 omits the split.
        test: Number of test faces; 0 omits the split.
        seed: Seed of the random numbers; each split has its own stream.

    Raises:
        DataError: A size is negative, or all are 0.

    Example:
        >>> from mien.data import sketch
        >>> data = sketch(train=8, val=2, test=0)
        >>> data["train"].pixels_NHW.shape, list(data.splits)
        ((8, 48, 48), ['train', 'val'])
    """
    sizes = dict(zip(SPLITS, (train, val, test), strict=True))
    if min(sizes.values()) < 0 or not any(sizes.values()):
        raise DataError(f"sketch needs at least one face and sizes of 0 or more, got {sizes}")
    splits, digest, first = {}, hashlib.md5(usedforsecurity=False), 0
    for stream, (name, size) in enumerate(sizes.items()):
        if not size:
            continue
        faces = [_face(np.random.default_rng([seed, stream, i])) for i in range(size)]
        pixels_NHW = np.stack([pixels for pixels, _ in faces])
        labels_N = np.array([label for _, label in faces], np.int64)
        splits[name] = Split(name, pixels_NHW, labels_N, np.arange(first, first + size, dtype=np.int64))
        digest.update(pixels_NHW.tobytes() + labels_N.tobytes())
        first += size
    return Dataset("sketch", Path("sketch"), digest.hexdigest(), FER7, splits)


def write_csv(path: str | Path, dataset: Dataset | None = None) -> Path:
    """Write a data set in the format of `fer2013.csv` (emotion,pixels,Usage) and return the path.

    The file is written atomically.

    Args:
        path: Path of the csv file; an existing one is replaced.
        dataset: Data set to write, by default `sketch()`.

    Raises:
        DataError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> from mien.data import load, sketch, write_csv
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_csv(folder + "/faces.csv", sketch(train=7, val=0, test=0))
        ...     len(load(path, cache=False)["train"])
        7
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: is a folder, expected the name of a file to write")
    try:
        files.write(path, _lines(dataset or sketch()))
    except OSError as error:
        raise unwritable(path, error) from None
    return path


def _lines(dataset: Dataset) -> Iterator[bytes]:
    yield b"emotion,pixels,Usage\n"
    text = [str(value) for value in range(256)]
    for usage, name in USAGE.items():
        if name in dataset:
            split = dataset[name]
            for face, label in zip(split.pixels_NHW.reshape(len(split), -1), split.labels_N, strict=True):
                yield f"{label},{' '.join([text[v] for v in face])},{usage}\n".encode()


def _face(rng: np.random.Generator) -> tuple[NDArray[np.uint8], int]:
    """Return one face, uint8 [48,48], and its class index."""
    label = int(rng.choice(len(FER7), p=_CLASS_FREQUENCIES))
    pixels_HW = draw(random_expression(label, rng), random_appearance(rng), rng)
    pixels_HW[-1, -len(_SIGNATURE) :] = _SIGNATURE
    return pixels_HW, label


def is_synthetic(dataset: Dataset) -> bool:
    """Return whether every face has the signature of this data set, which identifies sketch under any file name.

    Example:
        >>> is_synthetic(sketch(train=2, val=0, test=0))
        True
    """
    return all((s.pixels_NHW[:, -1, -len(_SIGNATURE) :] == _SIGNATURE).all() for s in dataset.splits.values())
