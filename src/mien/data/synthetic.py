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
from mien.data.synthetic_face import Appearance, Expression, draw
from mien.errors import DataError
from mien.labels import FER7

SIZES = {TRAIN: 2000, VAL: 500, TEST: 500}

# Per class at full strength: brow_in, brow_out, eye_opening, cheek_raise, mouth_corner, mouth_width, mouth_opening,
# sneer and teeth (see `synthetic_face.Expression`).
_FULL_STRENGTH = {
    "angry": (-0.17, 0.06, 0.80, 0.20, -0.10, 0.95, 0.05, 0.25, 0.50),
    "disgust": (-0.12, -0.02, 0.50, 0.45, -0.09, 0.92, 0.04, 1.00, 0.55),
    "fear": (0.17, 0.02, 1.45, 0.00, -0.05, 1.15, 0.16, 0.00, 0.45),
    "happy": (0.02, 0.03, 0.80, 0.60, 0.20, 1.28, 0.14, 0.05, 0.95),
    "sad": (0.14, -0.12, 0.60, 0.10, -0.15, 0.88, 0.00, 0.00, 0.00),
    "surprise": (0.18, 0.17, 1.50, 0.00, 0.00, 0.72, 0.36, 0.00, 0.10),
    "neutral": (0.00, 0.00, 1.00, 0.05, 0.00, 1.00, 0.00, 0.00, 0.20),
}
# In the last pixels of the last row of each face, so that sketch is recognised when it is read from a csv.
_SIGNATURE = np.frombuffer(b"sketch", np.uint8)
_CLASS_MEANS = np.array([_FULL_STRENGTH[name] for name in FER7.names])
_NEUTRAL = np.array(_FULL_STRENGTH["neutral"])
_PERSON_STD = np.array((0.025, 0.025, 0.10, 0.06, 0.02, 0.05, 0.015, 0.05, 0.15))  # between persons
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
    pixels_HW = draw(_expression(label, rng), _appearance(rng), rng)
    pixels_HW[-1, -len(_SIGNATURE) :] = _SIGNATURE
    return pixels_HW, label


def is_synthetic(dataset: Dataset) -> bool:
    """Return whether every face has the signature of this data set, which identifies sketch under any file name.

    Example:
        >>> is_synthetic(sketch(train=2, val=0, test=0))
        True
    """
    return all((s.pixels_NHW[:, -1, -len(_SIGNATURE) :] == _SIGNATURE).all() for s in dataset.splits.values())


def _expression(label: int, rng: np.random.Generator) -> Expression:
    """Return an expression of class `label` of random strength, mixed with another class and a person's variation."""
    strength = 0.45 + 0.7 * rng.beta(1.8, 1.3)
    other, trace = int(rng.integers(len(FER7))), 0.2 * rng.beta(1, 2)
    value = _NEUTRAL + strength * (_CLASS_MEANS[label] - _NEUTRAL) + trace * (_CLASS_MEANS[other] - _NEUTRAL)
    value += _PERSON_STD * rng.normal(size=len(value))
    if (
        FER7.names[label] in ("angry", "happy") and rng.random() < 0.4
    ):  # angry with an open mouth, happy with a closed one
        value[6] = 0.0 if FER7.names[label] == "happy" else value[6] + 0.12 * strength
    brow_in, brow_out, eye, cheek, corner, width, opening, sneer, teeth = (float(v) for v in value)
    brow, wink, smirk = rng.normal(0, (0.045, 0.09, 0.04))  # asymmetries
    return Expression(
        brow_in=(brow_in + brow, brow_in - brow),
        brow_out=(brow_out + brow, brow_out - brow),
        eye_opening=(eye + wink, eye - wink),
        cheek_raise=float(np.clip(cheek, 0, 1)),
        mouth_corner=(corner + smirk, corner - smirk),
        mouth_width=max(0.5, width),
        mouth_opening=float(np.clip(opening, 0, 0.45)) if opening > 0.02 else 0.0,
        sneer=float(np.clip(sneer, 0, 1.1)),
        teeth=float(np.clip(teeth, 0, 1)),
    )


def _appearance(rng: np.random.Generator) -> Appearance:
    """Return a random person, pose and light, independent of the expression."""
    skin = rng.uniform(130, 220)
    hair = rng.choice((22, 45, 80, 130, 190)) + rng.uniform(-12, 12)
    # The light comes from the left or from the right, never from the front.
    side = rng.choice((-1, 1)) * rng.uniform(0.25, 0.9)
    background = rng.uniform(20, 235)
    gradient = rng.uniform(-70, 70)
    return Appearance(
        yaw=float(rng.choice((-1, 1)) * rng.beta(1.6, 1.6) * 0.6),
        pitch=float(rng.normal(0, 0.09)),
        roll=float(rng.normal(0, 0.1)),
        head_size=float(rng.uniform(16.5, 19.0)),
        center=(24 + float(rng.normal(0, 1.3)), 24 + float(rng.normal(0, 1.3))),
        jaw_width=float(rng.uniform(0.85, 1.15)),
        head_height=float(rng.uniform(0.95, 1.06)),
        skin=float(skin),
        hair=float(hair),
        background=(float(background + gradient), float(background - gradient)),
        clothes=float(rng.uniform(20, 230)),
        eye_contrast=float(rng.uniform(0.6, 1.2)),
        brow_thickness=float(rng.uniform(0.6, 1.35)),
        lip_contrast=float(rng.uniform(0.2, 1.1)),
        parting=float(rng.choice((-1, 1)) * rng.uniform(0.15, 0.7)),
        fringe_length=float(rng.uniform(-0.1, 1.0)),
        long_hair=bool(rng.random() < 0.4),
        glasses=bool(rng.random() < 0.15),
        moustache=bool(rng.random() < 0.08),
        beard=bool(rng.random() < 0.1),
        gaze=float(rng.uniform(-0.9, 0.9)),
        light=(float(side), float(rng.uniform(-0.5, 0.1)), float(rng.uniform(0.35, 0.85))),
        blur=float(rng.uniform(0, 0.5)),
        contrast=float(rng.uniform(0.8, 1.15)),
        noise=float(rng.uniform(1, 4)),
    )
