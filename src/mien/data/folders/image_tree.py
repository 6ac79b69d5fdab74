"""The files of an image folder: images, other files, and the folder in which the data set begins."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mien.imaging.suffixes import SUFFIXES

MAX_DEPTH = 8  # of folders below the root
_JUNK_FOLDERS = {"__macosx", "$recycle.bin", "system volume information", "lost+found"}
_JUNK_FILES = {"thumbs.db", "desktop.ini"}


@dataclass
class ImageTree:
    """A folder with its images and subfolders.

    Attributes:
        path: Path of the folder.
        images: Paths of the images directly in it, sorted.
        folders: Its subfolders, sorted by name.
        other_files: Paths of other files directly in it, sorted.

    Example:
        >>> from mien.recognition import sample
        >>> [image.name for image in scan(Path(sample()).parent).images]
        ['sample.jpg']
    """

    path: Path
    images: list[Path] = field(default_factory=list)
    folders: list[ImageTree] = field(default_factory=list)
    other_files: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def has_images(self) -> bool:
        """Whether there are images in the folder or below it."""
        return bool(self.images) or any(folder.has_images for folder in self.folders)

    @property
    def filled(self) -> list[ImageTree]:
        """The subfolders with images in or below them."""
        return [folder for folder in self.folders if folder.has_images]

    def walk(self) -> Iterator[ImageTree]:
        """Yield this folder and all folders below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def all_images(self) -> list[Path]:
        """Return the images in this folder, then those below it."""
        return [image for folder in self.walk() for image in folder.images]

    def get(self, *names: str) -> ImageTree | None:
        """Return a folder below this one by the names on the way to it, in any case; None if there is none."""
        if not names:
            return self
        found = next((folder for folder in self.folders if folder.name.casefold() == names[0].casefold()), None)
        return found and found.get(*names[1:])


def scan(path: Path, *, depth: int = MAX_DEPTH) -> ImageTree:
    """Return the tree of a folder; hidden files and what operating systems leave behind are not in it.

    Args:
        path: Path of the folder.
        depth: Levels of folders below it that are read.

    Raises:
        OSError: A folder cannot be read.
    """
    tree = ImageTree(path)
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        lower = entry.name.casefold()
        if entry.name.startswith(".") or lower in _JUNK_FILES:
            continue
        if entry.is_dir():
            if depth and lower not in _JUNK_FOLDERS and not _leads_up(entry, path):
                tree.folders.append(scan(Path(entry.path), depth=depth - 1))
        elif lower.endswith(SUFFIXES):
            tree.images.append(Path(entry.path))
        else:
            tree.other_files.append(Path(entry.path))
    return tree


def has_images(path: Path, *, depth: int = MAX_DEPTH) -> bool:
    """Return whether there is an image in a folder or below it; a folder that cannot be read has none.

    Args:
        path: Path of the folder.
        depth: Levels of folders below it that are searched.
    """
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.is_dir())
    except OSError:
        return False
    for entry in entries:
        if entry.name.startswith(".") or entry.name.casefold() in _JUNK_FOLDERS:
            continue
        if _is_image(entry) or (entry.is_dir() and depth and has_images(Path(entry.path), depth=depth - 1)):
            return True
    return False


def count_by_ending(files: list[Path]) -> str:
    """Return how many files have each ending, in words.

    Example:
        >>> count_by_ending([Path("a.txt"), Path("b.TXT"), Path("c.csv"), Path("d")])
        '2 .txt, 1 .csv, 1 without an ending'
    """
    counts = Counter(file.suffix.lower() or "without an ending" for file in files)
    return ", ".join(f"{count:,} {ending}" for ending, count in counts.most_common())


def _is_image(entry: os.DirEntry[str]) -> bool:
    return not entry.is_dir() and entry.name.casefold().endswith(SUFFIXES)


def _leads_up(entry: os.DirEntry[str], path: Path) -> bool:
    """Return whether an entry of a folder is a link to this folder or to one above it."""
    return entry.is_symlink() and path.resolve().is_relative_to(Path(entry.path).resolve())
