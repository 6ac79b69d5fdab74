"""Finds the images of a folder by the names in a file, which may be paths from another place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mien.data.folders.class_names import split_for_folder
from mien.data.folders.image_tree import ImageTree
from mien.errors import DataError


class ImageFinder:
    """Finds images by paths below a folder; names without folders may be anywhere below it.

    Paths may begin above the folder or elsewhere: then one prefix is dropped from all of them, which either all paths
    have or ends with the name of the folder. Names may be in another case or have another ending, if no other image
    is meant.

    Args:
        tree: The folder.
        names: All names in the file.

    Raises:
        DataError: Two prefixes fit equally well.

    Example:
        >>> tree = ImageTree(Path("faces"), images=[Path("faces/a.png"), Path("faces/b.png")])
        >>> find = ImageFinder(tree, ["/home/ann/faces/a.jpg", "/home/ann/faces/c.jpg"])
        >>> find("/home/ann/faces/a.jpg").as_posix(), find("/home/ann/faces/c.jpg")
        ('faces/a.png', None)
    """

    def __init__(self, tree: ImageTree, names: Iterable[str]) -> None:
        images = tree.all_images()
        self._by_path = _Index((image.relative_to(tree.path).as_posix(), image) for image in images)
        paths = list(dict.fromkeys(map(tidy, names)))
        is_flat = not any("/" in path for path in paths)
        self._by_name = _Index((image.name, image) for image in images) if is_flat else _Index(())
        self._prefix = self._choose_prefix(paths, tree.path)

    def __call__(self, name: str) -> Path | None:
        """Return the path of an image, or None if it is not in the folder."""
        path = tidy(name)
        if not path.startswith(self._prefix):
            return None
        return self._by_path.find(path.removeprefix(self._prefix)) or self._by_name.find(path)

    def _choose_prefix(self, paths: list[str], root: Path) -> str:
        found: Counter[str] = Counter()
        for path in paths:
            parts = path.split("/")
            for start in range(len(parts)):
                if self._by_path.find("/".join(parts[start:])):
                    found["".join(f"{part}/" for part in parts[:start])] += 1
        folder = root.absolute().name
        fits = {
            prefix: (number, _last(prefix).casefold() == folder.casefold())
            for prefix, number in found.items()
            if all(path.startswith(prefix) for path in paths) or _last(prefix).casefold() == folder.casefold()
            if not _is_other_split(_last(prefix), folder)
        }
        best = [prefix for prefix, fit in fits.items() if fit == max(fits.values())]
        if len(best) > 1:
            raise DataError(
                f"{root}: paths like '{best[0]}...' and paths like '{best[1]}...' both fit its images; write paths "
                "that begin in this folder"
            )
        return best[0] if best else ""


class _Index:
    """Images by name: exactly, else as PNG, else in any case, else with any ending."""

    def __init__(self, images: Iterable[tuple[str, Path]]) -> None:
        self._tables: tuple[dict[str, Path | None], ...] = ({}, {}, {})
        for name, image in images:
            for table, key in zip(self._tables, (name, name.casefold(), _without_ending(name)), strict=True):
                table[key] = None if key in table else image

    def find(self, name: str) -> Path | None:
        exact, any_case, any_ending = self._tables
        folded = name.casefold()
        keys = [(exact, name), (exact, f"{name}.png"), (any_case, folded), (any_case, f"{folded}.png")]
        keys += [(any_ending, _without_ending(name)), (any_ending, folded)]
        for table, key in keys:
            if key in table:
                return table[key]
        return None


def tidy(name: str) -> str:
    """Return a path with `/` between folders and without `./` before it.

    Example:
        >>> tidy("./img/1.png")
        'img/1.png'
    """
    return name.replace("\\", "/").removeprefix("./")


def _without_ending(name: str) -> str:
    path = PurePosixPath(name.casefold())
    return path.with_suffix("").as_posix() if path.name else ""


def _last(prefix: str) -> str:
    return prefix.rstrip("/").rpartition("/")[2]


def _is_other_split(name: str, folder: str) -> bool:
    """Return whether a prefix ends with one split and the folder is another one."""
    split, other = split_for_folder(name), split_for_folder(folder)
    return split is not None and other is not None and split != other
