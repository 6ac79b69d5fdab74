"""Writes the face crops of a folder of photos as files, to look at them or to read them faster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2

from mien.data.folders.class_folders import LabelledImage
from mien.data.folders.face_crops import AUTO, FaceCropper
from mien.data.folders.faces import FolderFaces, read_faces
from mien.data.folders.image_tree import scan
from mien.data.row_errors import unreadable, unwritable
from mien.errors import DataError


def write_crops(
    photos: str | Path,
    out: str | Path,
    *,
    crop: str = AUTO,
    on_error: str = "warn",
    progress: Callable[[int, int], None] | None = None,
) -> FolderFaces:
    """Write the face crops of all images in a folder as PNG, gray 48x48, as models are trained on them.

    The subfolders are the same, so a data set of photos becomes one of face crops. `a.jpg` becomes `a.png`; where there
    is an `a.png` too, they become `a.jpg.png` and `a.png.png`.

    Args:
        photos: Folder of images.
        out: Folder for the crops, which is created or empty.
        crop: `auto`, `always` or `never`, as in `data.load`.
        on_error: `warn` to leave out images that cannot be read, `fail` to raise an error.
        progress: Function that is called with the number of images read and of all images.

    Returns:
        The faces and what was left out.

    Raises:
        DataError: There are no images, none can be read, a file cannot be written, or `out` is not empty or is inside
            `photos`.

    Example:
        >>> import tempfile
        >>> from mien.recognition import sample
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     faces = write_crops(Path(sample()).parent, folder)
        ...     print([file.name for file in Path(folder).iterdir()])
        ['sample.png']
    """
    photos, out = Path(photos), Path(out)
    if not photos.is_dir():
        raise DataError(f"{photos}: is not a folder; give a folder of images")
    if out.resolve().is_relative_to(photos.resolve()):
        raise DataError(f"{out}: is inside {photos}, so the crops would be read as images of it; use another folder")
    try:
        if out.exists() and (not out.is_dir() or any(not file.name.startswith(".") for file in out.iterdir())):
            problem = "is not empty" if out.is_dir() else "is a file"
            raise DataError(f"{out}: {problem}; name a new or empty folder for the crops, or remove it first")
    except OSError as error:
        raise unreadable(out, error) from None
    try:
        images = scan(photos).all_images()
    except OSError as error:
        raise unreadable(Path(error.filename or photos), error) from None
    if not images:
        raise DataError(f"{photos}: has no images")
    labelled = [LabelledImage(image, "") for image in sorted(images)]
    faces = read_faces(photos, labelled, FaceCropper(crop), strict=on_error == "fail", progress=progress)
    names = _crop_names([image.path.relative_to(photos) for image in labelled])
    for image, face_HW in zip(faces.images, faces.faces_NHW, strict=True):
        file = out / names[image.path.relative_to(photos)]
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(cv2.imencode(".png", face_HW)[1].tobytes())
        except OSError as error:
            raise unwritable(file, error) from None
    return faces


def _crop_names(images: list[Path]) -> dict[Path, Path]:
    """Return a different file name for each image, the full one where two images have the same stem."""
    names = {image: image.with_suffix(".png") for image in images}
    while True:
        counts = Counter(name.as_posix().casefold() for name in names.values())
        full = {image: image.with_name(f"{image.name}.png") for image in images}
        same = [i for i, name in names.items() if counts[name.as_posix().casefold()] > 1 and name != full[i]]
        if not same:
            return names
        names |= {image: full[image] for image in same}
