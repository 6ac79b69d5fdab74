"""Input paths: files, folders, glob patterns and standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mien.errors import MienError
from mien.imaging.load import MAX_BYTES

STDIN = "-"
# File name suffixes of images in a folder; HEIC is one of them, so that its row says that it cannot be read.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm",
    ".jp2", ".avif", ".heic", ".heif",
)  # fmt: skip
_SAME_FORMAT = (".jpg", ".jpeg", ".png")  # annotated copies of these keep the format, others are PNG


@dataclass(frozen=True, slots=True)
class Source:
    """One image to analyze.

    Attributes:
        name: Name in results: the path as given or found.
        relative: Path below the folder that was given; for a file its own name.
        data: Content of the file, if it came from standard input or from a table.
        error: Why it cannot be read, if that is known already.
        fetch: Function that returns the content, at most as many bytes as its argument, if `name` is not a path of
            this process; raises `ImageError`.
    """

    name: str
    relative: Path
    data: bytes | None = None
    error: str = ""
    fetch: Callable[[int], bytes] | None = None


def find_sources(
    paths: Iterable[str | Path], *, exclude: Path | None = None, max_bytes: int = MAX_BYTES
) -> list[Source]:
    """Return all images in files, folders and glob patterns.

    The paths keep their order, and the images in and below a folder are sorted by name. Each image occurs once. Hidden
    files and folders are skipped. Links to folders are followed if they are given or matched by `*`, but neither below
    a folder nor by `**`. A path that does not exist is a source with an error, and so is a folder that cannot be
    opened.

    Args:
        paths: Files, folders, glob patterns such as `photos/**/*.jpg`, or `-` for one image on standard input.
        exclude: Folder that is skipped where it is below a given folder or matched by a pattern.
        max_bytes: Maximum number of bytes of standard input; one byte more is read, so that the limit applies later.

    Raises:
        MienError: No path is given, or there are no images.

    Example:
        >>> from mien.recognition import sample
        >>> [source.relative.name for source in find_sources([sample()])]
        ['sample.jpg']
    """
    names = [os.fspath(path) for path in paths]
    if not names:
        raise MienError("no input; pass images, folders or patterns, or - for an image on standard input")
    sources: dict[str, Source] = {}
    for name in names:
        for source in _expand(name, exclude, max_bytes):
            sources.setdefault(source.name if source.name == STDIN else os.path.abspath(source.name), source)
    if not sources:
        supported = ", ".join(suffix for suffix in SUFFIXES if suffix not in (".heic", ".heif"))
        raise MienError(f"no images in {', '.join(names)}: no file name ends with {supported}")
    return list(sources.values())


def iter_sources(path: str, *, exclude: Path | None = None) -> Iterator[Source]:
    """Yield the images of one folder, file or pattern, in the order of `find_sources` and without holding them."""
    return _expand(path, exclude, 0)


def pattern_matches(pattern: str) -> bool:
    """Return whether a glob pattern matches anything, even a folder without images."""
    return next(_glob(pattern), None) is not None


def annotated_paths(sources: Iterable[Source], folder: Path) -> dict[str, Path]:
    """Return the path of each source's annotated copy in `folder`, by name, with the layout of the sources.

    Raises:
        MienError: A copy would overwrite a source.
    """
    sources = list(sources)
    originals = {_key(Path(source.name)) for source in sources if source.data is None}
    taken: set[str] = set()
    paths: dict[str, Path] = {}
    for source in sources:
        if source.error:
            continue
        name = source.relative
        if name.suffix.lower() not in _SAME_FORMAT:
            name = name.with_name(name.name + ".png")
        path, count = folder / name, 1
        while _key(path) in taken:
            count += 1
            path = folder / name.with_name(f"{name.stem}-{count}{name.suffix}")
        if _key(path) in originals:
            raise MienError(f"{path} would be overwritten with its annotated copy; use another folder")
        taken.add(_key(path))
        paths[source.name] = path
    return paths


def check_not_overwriting(sources: Iterable[Source], out: Path, annotated: Iterable[Path] = ()) -> None:
    """Raise a `MienError` if the output file is one of the images or of the annotated copies."""
    if any(source.data is None and _key(Path(source.name)) == _key(out) for source in sources):
        raise MienError(f"{out} is one of the input images; use another --out")
    if any(_key(path) == _key(out) for path in annotated):
        raise MienError(f"{out} is also the path of an annotated image; use another --out")


def _key(path: Path) -> str:
    """Return the same key for two names of one file, even on a file system that ignores case."""
    return os.path.realpath(path).casefold()


def _is_in(path: str, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _expand(path: str, exclude: Path | None, max_bytes: int) -> Iterator[Source]:
    if path == STDIN:
        yield Source(STDIN, Path("stdin"), data=sys.stdin.buffer.read(max_bytes + 1))
    elif os.path.isdir(path):
        yield from _images_below(path, exclude)
    elif os.path.lexists(path) or not glob.has_magic(path):
        yield Source(path, Path(os.path.basename(path) or path))
    else:
        yield from _matches(path, exclude)


def _matches(pattern: str, exclude: Path | None) -> Iterator[Source]:
    """Yield the images that a pattern matches, relative to its last folder without a wildcard."""
    matches = sorted(match for match in set(_glob(pattern)) if not _is_in(match, exclude))
    if not matches:
        yield Source(pattern, Path("none"), error=f"{pattern}: no file matches")
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed]) if fixed else Path()
    for match in matches:
        if not os.path.isdir(match):
            yield Source(match, Path(os.path.relpath(match, root)))
        elif "**" not in parts:  # `**` matches the files in a folder too
            for source in _images_below(match, exclude):
                yield replace(source, relative=Path(os.path.relpath(source.name, root)))


def _glob(pattern: str) -> Iterator[str]:
    """Yield what a pattern matches, possibly more than once, as `glob` does, but `**` does not follow links.

    With two links to a parent folder, `glob` would yield an endless number of names.
    """
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    index = parts.index("**")
    head, rest = str(Path(*parts[:index])), parts[index + 1 :]
    for top in glob.iglob(head):
        for path, folders, names in os.walk(top):
            folders[:] = [folder for folder in folders if not folder.startswith(".")]
            folder = Path(path)
            if rest:
                matches = _glob(str(Path(glob.escape(path), *rest)))
                yield from (match for match in matches if not _passes_link(Path(match), folder))
            else:
                yield from (str(folder / name) for name in names if not name.startswith("."))


def _passes_link(match: Path, top: Path) -> bool:
    """Return whether a folder between `top` and `match` is a link."""
    return any(folder.is_symlink() for folder in match.parents if folder != top and folder.is_relative_to(top))


def _images_below(top: str, exclude: Path | None) -> Iterator[Source]:
    errors: list[OSError] = []
    excluded = None if exclude is None else os.path.realpath(exclude)
    for path, folders, names in os.walk(top, onerror=errors.append):
        yield from _failed(errors)
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and os.path.realpath(os.path.join(path, f)) != excluded
        )
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                image = os.path.join(path, name)
                yield Source(image, Path(os.path.relpath(image, top)))
    yield from _failed(errors)


def _failed(errors: list[OSError]) -> Iterator[Source]:
    """Yield the folders that cannot be opened, and forget them."""
    for error in errors:
        message = f"{error.filename}: cannot be opened: {error.strerror}"
        yield Source(str(error.filename), Path("none"), error=message)
    errors.clear()
