"""The synthetic data set `sketch`: faces drawn from random parameters.

Each face is an expression of one of the seven classes, more or less strong and mixed with a little of another, on a
head whose owner, pose, light and lens are drawn at random. Weak expressions overlap, so no model reads all of them.
What says nothing about the class is lopsided (turned heads, light from one side, a parting, one brow higher than the
other): two thousand faces do not cover it, a model that sees them as they are learns them by heart, and mirroring
helps.

It is always called sketch, and figures on it are never put beside figures on FER2013.
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
from mien.data.synthetic_face import Look, Mood, draw
from mien.errors import DataError
from mien.labels import FER7

SIZES = {TRAIN: 2000, VAL: 500, TEST: 500}

# Per class, at full strength: brow_in, brow_out, lid, cheek, corner, wide, gape, sneer, teeth (see `portrait.Mood`).
_FULL = {
    "angry": (-0.17, 0.06, 0.80, 0.20, -0.10, 0.95, 0.05, 0.25, 0.50),
    "disgust": (-0.12, -0.02, 0.50, 0.45, -0.09, 0.92, 0.04, 1.00, 0.55),
    "fear": (0.17, 0.02, 1.45, 0.00, -0.05, 1.15, 0.16, 0.00, 0.45),
    "happy": (0.02, 0.03, 0.80, 0.60, 0.20, 1.28, 0.14, 0.05, 0.95),
    "sad": (0.14, -0.12, 0.60, 0.10, -0.15, 0.88, 0.00, 0.00, 0.00),
    "surprise": (0.18, 0.17, 1.50, 0.00, 0.00, 0.72, 0.36, 0.00, 0.10),
    "neutral": (0.00, 0.00, 1.00, 0.05, 0.00, 1.00, 0.00, 0.00, 0.20),
}
# In the last pixels of the last row of each face, so that sketch is known for what it is when it comes back from a csv.
_SIGNATURE = np.frombuffer(b"sketch", np.uint8)
_FACES = np.array([_FULL[name] for name in FER7.names])
_REST = np.array(_FULL["neutral"])
_SPREAD = np.array((0.025, 0.025, 0.10, 0.06, 0.02, 0.05, 0.015, 0.05, 0.15))  # of one person beside another
# How common each class is: FER2013's order of frequency, with disgust common enough to be learned.
_SHARE = np.array((0.14, 0.08, 0.14, 0.21, 0.15, 0.12, 0.16))


def sketch(train: int = SIZES[TRAIN], val: int = SIZES[VAL], test: int = SIZES[TEST], seed: int = 0) -> Dataset:
    """Draw the data set; the same numbers give the same pixels, and a larger split begins with a smaller one's faces.

    Args:
        train, val, test: how many faces each split has; 0 leaves it out.
        seed: which faces. Splits never share a stream of random numbers.

    Raises:
        DataError: a negative size, or no faces at all.
    """
    sizes = dict(zip(SPLITS, (train, val, test), strict=True))
    if min(sizes.values()) < 0 or not any(sizes.values()):
        raise DataError(f"a sketch needs at least one face, and no split of fewer than 0; got {sizes}")
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
    """Write a sketch as a real `fer2013.csv` (emotion,pixels,Usage), whole or not at all; the path is returned.

    Args:
        path: the file; one that is there is replaced.
        dataset: what to write, by default `sketch()`.

    Raises:
        DataError: the file cannot be written.
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
    """One face, uint8 [48,48], and its class."""
    label = int(rng.choice(len(FER7), p=_SHARE))
    pixels_HW = draw(_mood(label, rng), _look(rng), rng)
    pixels_HW[-1, -len(_SIGNATURE) :] = _SIGNATURE
    return pixels_HW, label


def is_synthetic(dataset: Dataset) -> bool:
    """Whether every face bears the signature of this data set: then it is sketch, whatever its file is called."""
    return all((s.pixels_NHW[:, -1, -len(_SIGNATURE) :] == _SIGNATURE).all() for s in dataset.splits.values())


def _mood(label: int, rng: np.random.Generator) -> Mood:
    """An expression of class `label`, of some strength, with a trace of another class and of the person's own habit."""
    strength = 0.45 + 0.7 * rng.beta(1.8, 1.3)
    other, trace = int(rng.integers(len(FER7))), 0.2 * rng.beta(1, 2)
    value = _REST + strength * (_FACES[label] - _REST) + trace * (_FACES[other] - _REST)
    value += _SPREAD * rng.normal(size=len(value))
    if FER7.names[label] in ("angry", "happy") and rng.random() < 0.4:  # a shout or its lack: lips open or shut
        value[6] = 0.0 if FER7.names[label] == "happy" else value[6] + 0.12 * strength
    brow_in, brow_out, lid, cheek, corner, wide, gape, sneer, teeth = (float(v) for v in value)
    brow, wink, smirk = rng.normal(0, (0.045, 0.09, 0.04))
    return Mood(
        (brow_in + brow, brow_in - brow),
        (brow_out + brow, brow_out - brow),
        (lid + wink, lid - wink),
        float(np.clip(cheek, 0, 1)),
        (corner + smirk, corner - smirk),
        max(0.5, wide),
        float(np.clip(gape, 0, 0.45)) if gape > 0.02 else 0.0,
        float(np.clip(sneer, 0, 1.1)),
        float(np.clip(teeth, 0, 1)),
    )


def _look(rng: np.random.Generator) -> Look:
    """A person, a pose and a light that have nothing to do with the expression."""
    skin = rng.uniform(130, 220)
    hair = rng.choice((22, 45, 80, 130, 190)) + rng.uniform(-12, 12)
    # Seldom from the front: light falls from the left or from the right.
    side = rng.choice((-1, 1)) * rng.uniform(0.25, 0.9)
    back = rng.uniform(20, 235)
    lean = rng.uniform(-70, 70)
    return Look(
        yaw=float(rng.choice((-1, 1)) * rng.beta(1.6, 1.6) * 0.6),
        pitch=float(rng.normal(0, 0.09)),
        roll=float(rng.normal(0, 0.1)),
        size=float(rng.uniform(16.5, 19.0)),
        centre=(24 + float(rng.normal(0, 1.3)), 24 + float(rng.normal(0, 1.3))),
        jaw=float(rng.uniform(0.85, 1.15)),
        tall=float(rng.uniform(0.95, 1.06)),
        skin=float(skin),
        hair=float(hair),
        back=(float(back + lean), float(back - lean)),
        cloth=float(rng.uniform(20, 230)),
        eye=float(rng.uniform(0.6, 1.2)),
        brow=float(rng.uniform(0.6, 1.35)),
        lip=float(rng.uniform(0.2, 1.1)),
        parting=float(rng.choice((-1, 1)) * rng.uniform(0.15, 0.7)),
        fringe=float(rng.uniform(-0.1, 1.0)),
        long=bool(rng.random() < 0.4),
        glasses=bool(rng.random() < 0.15),
        moustache=bool(rng.random() < 0.08),
        beard=bool(rng.random() < 0.1),
        gaze=float(rng.uniform(-0.9, 0.9)),
        light=(float(side), float(rng.uniform(-0.5, 0.1)), float(rng.uniform(0.35, 0.85))),
        blur=float(rng.uniform(0, 0.5)),
        contrast=float(rng.uniform(0.8, 1.15)),
        grain=float(rng.uniform(1, 4)),
    )
