"""Reads the faces of the images of a folder, and says which images were left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SIDE
from mien.data.folders.class_folders import LabelledImage
from mien.data.folders.face_crops import FaceCropper
from mien.data.row_errors import RowErrors

SHOWN = 8  # names of files in a message


@dataclass(frozen=True, eq=False)
class FolderFaces:
    """The images of a folder that have a face.

    Attributes:
        images: These images.
        faces_NHW: Their faces, uint8 [N,48,48].
        keys: SHA-256 of the content of each.
        digest: MD5 of all names and contents as hex.
        losses: What was left out, one sentence for each reason.
        photos: Number of images in which faces were detected.
        faceless: Names of those without a face.
    """

    images: list[LabelledImage]
    faces_NHW: NDArray[np.uint8]
    keys: list[bytes]
    digest: str
    losses: tuple[str, ...]
    photos: int
    faceless: list[str]


def read_faces(
    root: Path,
    images: list[LabelledImage],
    cropper: FaceCropper,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FolderFaces:
    """Read all images of a folder.

    Args:
        root: The folder.
        images: Images in it.
        cropper: Function from image files to faces.
        strict: Whether an image that cannot be read is an error; otherwise it is left out.
        progress: Function that is called with the number of images read and of all images.

    Raises:
        DataError: Images cannot be read, and `strict` is true or there are no others.
    """
    digest = hashlib.md5(usedforsecurity=False)
    kept: list[LabelledImage] = []
    keys: list[bytes] = []
    faces_NHW = np.empty((len(images), SIDE, SIDE), np.uint8)
    errors, messages = RowErrors(root, "image"), []
    faceless: list[str] = []
    several, photos = [], 0
    for i, (image, face) in enumerate(zip(images, cropper.read_all(i.path for i in images), strict=True)):
        name = image.path.relative_to(root).as_posix()
        if progress is not None:
            progress(i + 1, len(images))
        if face.error:
            errors.add_message(i, f"{name}: {face.error}")
            messages.append(f"{name} ({face.error})")
            continue
        digest.update(f"{name}\n{len(face.data)}\n".encode("utf-8", "surrogateescape") + face.data)
        photos += face.detections is not None
        if face.face_HW is None:
            faceless.append(name)
            continue
        if face.detections is not None and len(face.detections) > 1:
            several.append(name)
        faces_NHW[len(kept)] = face.face_HW
        kept.append(image)
        keys.append(face.key)
    if strict or errors.count == len(images):
        errors.raise_if_any()
    if photos:
        digest.update(cropper.settings.encode())
    losses = []
    if messages:
        losses.append(f"Left out {count(len(messages), 'image')} that could not be read: {some(messages)}.")
    if faceless:
        losses.append(f"Left out {count(len(faceless), 'image')} without a detected face: {some(faceless)}.")
    if several:
        losses.append(f"Used the largest face of {count(len(several), 'image')} with several: {some(several)}.")
    return FolderFaces(kept, faces_NHW[: len(kept)], keys, digest.hexdigest(), tuple(losses), photos, faceless)


def count(number: int, unit: str) -> str:
    """Return a number and its unit: `1 image`, `2 images`."""
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def some(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
