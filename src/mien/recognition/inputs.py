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
# What is taken for an image within a folder; HEIC too, so that a row says what to do about it.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm",
    ".jp2", ".avif", ".heic", ".heif",
)  # fmt: skip
_SAME_FORMAT = (".jpg", ".jpeg", ".png")  # annotated images are written as these, others as PNG


@dataclass(frozen=True, slots=True)
class Source:
    """One image to be read.

    Attributes:
        name: what it is called in results: its path, as it was named or found.
        relative: where it lies under the folder that was named; a file's own name.
        data: its bytes, where it came by standard input or out of a table.
        error: why it cannot be read, where that is known before.
        fetch: gets its bytes, at most as many as it is told, where its name is no path of this process; raises a
            `ImageError` where it cannot.
    """

    name: str
    relative: Path
    data: bytes | None = None
    error: str = ""
    fetch: Callable[[int], bytes] | None = None


def find_sources(
    named: Iterable[str | Path], *, exclude: Path | None = None, max_bytes: int = MAX_BYTES
) -> list[Source]:
    """All images meant by `named`, in its order; of a folder those in it and below it, by name.

    An image that is meant twice is there once. Hidden files and folders are left out; links to folders are followed
    where they are named or matched by `*`, and neither below a folder nor by `**`. What is not there is a source with
    an error, as is a folder that may not be entered.

    Args:
        named: files, folders, patterns such as `photos/**/*.jpg`, or `-` for the bytes of one image on
            standard input.
        exclude: a folder that is left out where it lies below a folder that is named or is matched by a pattern.
        max_bytes: of standard input; of more, only enough is taken to tell that it is too much.

    Raises:
        MienError: nothing is named, or there is no image in all that is named.
    """
    words = [os.fspath(word) for word in named]
    if not words:
        raise MienError("name images, folders or patterns to be read, or - for an image on standard input")
    found: dict[str, Source] = {}
    for word in words:
        for source in _meant(word, exclude, max_bytes):
            found.setdefault(source.name if source.name == STDIN else os.path.abspath(source.name), source)
    if not found:
        raise MienError(f"no images in {', '.join(words)}: none ends with {', '.join(SUFFIXES)}")
    return list(found.values())


def iter_sources(named: str, *, exclude: Path | None = None) -> Iterator[Source]:
    """The images of one folder, file or pattern, in the order of `find_sources`, of which none is held."""
    return _meant(named, exclude, 0)


def pattern_matches(pattern: str) -> bool:
    """Whether a pattern matches anything, be it a folder without an image."""
    return next(_expanded(pattern), None) is not None


def places(sources: Iterable[Source], folder: Path) -> dict[str, Path]:
    """Where each source's annotated image goes, by its name: laid out in `folder` as the sources are, no two alike.

    Raises:
        MienError: a source itself would be overwritten.
    """
    sources = list(sources)
    given = {_key(Path(source.name)): source.name for source in sources if source.data is None}
    taken: set[str] = set()
    found: dict[str, Path] = {}
    for source in sources:
        if source.error:
            continue
        name = source.relative
        if name.suffix.lower() not in _SAME_FORMAT:
            name = name.with_name(name.name + ".png")
        place, count = folder / name, 1
        while _key(place) in taken:
            count += 1
            place = folder / name.with_name(f"{name.stem}-{count}{name.suffix}")
        if _key(place) in given:
            raise MienError(f"{place} would be overwritten with its annotated copy; name another folder")
        taken.add(_key(place))
        found[source.name] = place
    return found


def check_not_overwriting(sources: Iterable[Source], out: Path, annotated: Iterable[Path] = ()) -> None:
    """Raise a `MienError` where the file of results would take the place of an image, or of an annotated copy."""
    if any(source.data is None and _key(Path(source.name)) == _key(out) for source in sources):
        raise MienError(f"{out} is one of the images to be read; write the results to another file")
    if any(_key(place) == _key(out) for place in annotated):
        raise MienError(f"{out} is where an annotated image goes; write the results to another file")


def _key(path: Path) -> str:
    """The same for two names of one file, even where the disk does not tell capitals from small letters."""
    return os.path.realpath(path).casefold()


def _lies_in(path: str, folder: Path | None) -> bool:
    """Whether `path` is `folder` or lies below it."""
    return folder is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _meant(word: str, exclude: Path | None, max_bytes: int) -> Iterator[Source]:
    if word == STDIN:
        yield Source(STDIN, Path("stdin"), data=sys.stdin.buffer.read(max_bytes + 1))
    elif os.path.isdir(word):
        yield from _below(word, exclude)
    elif os.path.lexists(word) or not glob.has_magic(word):
        yield Source(word, Path(os.path.basename(word) or word))
    else:
        yield from _matching(word, exclude)


def _matching(pattern: str, exclude: Path | None) -> Iterator[Source]:
    """What a pattern matches; the layout is kept from the first folder on that it leaves open."""
    matches = sorted(match for match in set(_expanded(pattern)) if not _lies_in(match, exclude))
    if not matches:
        yield Source(pattern, Path("none"), error=f"{pattern}: no file matches")
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed]) if fixed else Path()
    for match in matches:
        if not os.path.isdir(match):
            yield Source(match, Path(os.path.relpath(match, root)))
        elif "**" not in parts:  # of `**` folders are matches too, beside all that is in them
            for source in _below(match, exclude):
                yield replace(source, relative=Path(os.path.relpath(source.name, root)))


def _expanded(pattern: str) -> Iterator[str]:
    """What a pattern matches, some of it more than once; as `glob` has it, but that `**` leads through no link.

    Of two links that lead upwards, `glob` would make more names than there is time to look at.
    """
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    at = parts.index("**")
    head, rest = str(Path(*parts[:at])), parts[at + 1 :]
    for top in glob.iglob(head):
        for here, folders, names in os.walk(top):
            folders[:] = [folder for folder in folders if not folder.startswith(".")]
            place = Path(here)
            if rest:
                inside = _expanded(str(Path(glob.escape(here), *rest)))
                yield from (match for match in inside if not _through_a_link(Path(match), place))
            else:
                yield from (str(place / name) for name in names if not name.startswith("."))


def _through_a_link(match: Path, top: Path) -> bool:
    """Whether a folder between `top` and `match` is a link."""
    return any(folder.is_symlink() for folder in match.parents if folder != top and folder.is_relative_to(top))


def _below(folder: str, exclude: Path | None) -> Iterator[Source]:
    failed: list[OSError] = []
    left_out = None if exclude is None else os.path.realpath(exclude)
    for here, folders, names in os.walk(folder, onerror=failed.append):
        for error in failed:
            yield Source(
                str(error.filename), Path("none"), error=f"{error.filename}: cannot be entered: {error.strerror}"
            )
        failed.clear()
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and os.path.realpath(os.path.join(here, f)) != left_out
        )
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                path = os.path.join(here, name)
                yield Source(path, Path(os.path.relpath(path, folder)))
    for error in failed:
        yield Source(str(error.filename), Path("none"), error=f"{error.filename}: cannot be entered: {error.strerror}")
