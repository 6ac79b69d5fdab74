"""TIFF tags, in TIFF files and in EXIF blocks: image size and orientation."""

from __future__ import annotations

import struct
from typing import NamedTuple

UPRIGHT = 1  # EXIF orientation of an image that is stored as it is displayed
_ORIENTATION = 274  # tag number, in EXIF and in TIFF
_WIDTH, _HEIGHT, _BITS, _MAX_SAMPLE = 256, 257, 258, 281  # tag numbers in TIFF
_MOST_CHANNELS = 4096  # whose values are read; a file may state millions


class _Tag(NamedTuple):
    """A whole number in a TIFF directory."""

    value: int
    offset: int  # in bytes
    format: str  # of `struct`
    values: int  # number of values


def tiff_size(data: bytes) -> tuple[int, int, int]:
    """Return width, height and orientation of a TIFF.

    Raises:
        ValueError, KeyError, struct.error: The file cannot be parsed.
    """
    tags = _tags(data)
    return tags[_WIDTH].value, tags[_HEIGHT].value, tags[_ORIENTATION].value if _ORIENTATION in tags else UPRIGHT


def max_sample_value(data: bytes) -> int | None:
    """Return the largest sample value that a TIFF states, of all its channels; None if it does not state one."""
    try:
        tags = _tags(data)
        return max(_values(data, tags[_MAX_SAMPLE])) if _MAX_SAMPLE in tags else None
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return None


def bits_per_sample(data: bytes) -> int:
    """Return the bits of a sample of a TIFF; 1 if it does not state them."""
    try:
        tags = _tags(data)
        return max(_values(data, tags[_BITS])) if _BITS in tags else 1
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return 1


def ends_early(data: bytes) -> bool:
    """Return whether the last strip or tile of the first image of a TIFF is beyond the end of the file."""
    tags = _tags(data)
    for offsets, counts in ((273, 279), (324, 325)):
        if offsets in tags and counts in tags:
            return _last_value(data, tags[offsets]) + _last_value(data, tags[counts]) > len(data)
    return False


def reset_tiff_orientation(data: bytes) -> bytes:
    """Return a TIFF with its orientation set to 1, because not all decoders apply it; `tiff_size` must accept it."""
    tag = _tags(data).get(_ORIENTATION)
    if tag is None:
        return data
    return data[: tag.offset] + struct.pack(tag.format, UPRIGHT) + data[tag.offset + struct.calcsize(tag.format) :]


def exif_orientation(data: bytes) -> int:
    """Return the orientation in an EXIF block, which is a TIFF without pixels; 1 if it cannot be parsed."""
    try:
        return _tags(data.removeprefix(b"Exif\0\0"))[_ORIENTATION].value
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return UPRIGHT


def _tags(data: bytes) -> dict[int, _Tag]:
    """Return the whole numbers in the first directory of a TIFF."""
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    big = struct.unpack_from(order + "H", data, 2)[0] == 43  # BigTIFF: 8 bytes where TIFF has 4
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    first, step, value_offset = (start + 8, 20, 12) if big else (start + 2, 12, 8)
    tags: dict[int, _Tag] = {}
    for at in range(first, len(data), step)[: min(count, 4096)]:
        number, kind = struct.unpack_from(order + "HH", data, at)
        form = order + {3: "H", 4: "I", 16: "Q"}.get(kind, "")
        if form != order and number in tags and number in (_WIDTH, _HEIGHT):
            raise ValueError("more than one size")  # decoders differ in which one they use
        if form != order and number not in tags:
            (count,) = struct.unpack_from(order + ("Q" if big else "I"), data, at + 4)
            tags[number] = _Tag(struct.unpack_from(form, data, at + value_offset)[0], at + value_offset, form, count)
    return tags


def _values(data: bytes, tag: _Tag) -> tuple[int, ...]:
    """Return the values of a tag for each channel, at most `_MOST_CHANNELS`."""
    return struct.unpack_from(
        f"{tag.format[0]}{min(tag.values, _MOST_CHANNELS)}{tag.format[1]}", data, _first_value(data, tag)
    )


def _last_value(data: bytes, tag: _Tag) -> int:
    """Return the last value of a tag; raises `struct.error` if it is beyond the end of the file."""
    at = _first_value(data, tag) + max(tag.values - 1, 0) * struct.calcsize(tag.format)
    return int(struct.unpack_from(tag.format, data, at)[0])


def _first_value(data: bytes, tag: _Tag) -> int:
    """Return the offset of the values of a tag; those that do not fit into the directory are elsewhere in the file."""
    order = tag.format[0]
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    if tag.values * struct.calcsize(tag.format) <= (8 if big else 4):
        return tag.offset
    return int(struct.unpack_from(order + ("Q" if big else "I"), data, tag.offset)[0])
