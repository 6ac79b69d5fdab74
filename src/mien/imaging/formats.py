"""Image headers: format, size and orientation, before anything is decoded.

Sources: the formats' specifications; EXIF 2.32 for the orientation. Bytes are not trusted: what does not parse is None.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import NamedTuple

JPEG, PNG, GIF, WEBP, TIFF, BMP, PNM, JP2, AVIF = (
    "JPEG",
    "PNG",
    "GIF",
    "WebP",
    "TIFF",
    "BMP",
    "PNM",
    "JPEG 2000",
    "AVIF",
)
FORMATS = (JPEG, PNG, GIF, WEBP, TIFF, BMP, PNM, JP2, AVIF)
HEIC, VIDEO = "HEIC", "video"

_UPRIGHT = 1  # EXIF's number of an image that is stored as it is seen
_ORIENTATION = 274  # the tag, in EXIF and in TIFF
_WIDTH, _HEIGHT = 256, 257  # tags of TIFF
_PARTS = 100_000  # segments, chunks or boxes that are looked at; what has more means to take time
_SCANS = 50  # of a JPEG; writers make ten or so, and each goes over all pixels, be it a few bytes
_NO_FILL = re.compile(rb"[^\xff]")
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # of a JPEG, with a length behind it; what ends coded pixels
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_OTHERS = (  # what people take for images, and how its bytes begin
    ("PDF", rb"%PDF-"),
    ("Photoshop", rb"8BPS"),
    ("icon", rb"\x00\x00[\x01\x02]\x00[^\x00]\x00"),
    ("JPEG XL", rb"\xff\x0a|\x00\x00\x00\x0cJXL "),
    ("OpenEXR", rb"\x76\x2f\x31\x01"),
    ("Radiance HDR", rb"#\?R"),
    ("SVG", rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg"),
    ("HTML", rb"\s*<(!doctype html|html|head|body)"),
    ("zip", rb"PK\x03\x04"),
    ("gzip", rb"\x1f\x8b"),
    (VIDEO, rb"....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI "),
)


@dataclass(frozen=True)
class Header:
    """What an image says of itself.

    Attributes:
        format: one of `FORMATS`.
        width, height: in pixels as stored, before it is turned.
        orientation: EXIF's number, 1 to 8; 1 for an image that is stored as it is seen.
    """

    format: str
    width: int
    height: int
    orientation: int = _UPRIGHT

    @property
    def pixels(self) -> int:
        return self.width * self.height


def format_of(data: bytes) -> str | None:
    """What kind of file begins with these bytes: one of `FORMATS`, another kind's name, or None for an unknown one."""
    head = data[:1024]
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return GIF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return TIFF
    if (
        head[:2] == b"BM"
        and len(head) > 18
        and head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    ):
        return BMP
    if re.match(rb"P[1-7]\s", head):
        return PNM
    if head.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return JP2
    if head[4:8] == b"ftyp":
        brands = re.findall(b"....", head[8 : int.from_bytes(head[:4], "big")], re.DOTALL)
        if b"avif" in brands or b"avis" in brands:
            return AVIF
        if any(brand in _HEIC_BRANDS for brand in brands):
            return HEIC
    kinds = (kind for kind, begins in _OTHERS if re.match(begins, head, re.DOTALL | re.IGNORECASE))
    return next(kinds, None)


def read_header(data: bytes) -> Header | None:
    """What the image in `data` says of itself; None where that is damaged, or no image of `FORMATS`."""
    kind = format_of(data)
    if kind not in _READERS:
        return None
    try:
        width, height, orientation = _READERS[kind](data)
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return None
    if width < 1 or height < 1:
        return None
    return Header(kind, width, height, orientation if 1 <= orientation <= 8 else _UPRIGHT)


Told = tuple[int, int, int]  # width, height, orientation


def _jpeg(data: bytes) -> Told:
    """The segments before the pixels: the size is in the frame's, the orientation in EXIF's."""
    at, orientation = 2, _UPRIGHT
    for _ in range(_PARTS):
        marked = _NO_FILL.search(data, at + 1)  # behind fill bytes, of which there may be any number
        at = marked.start() - 1 if marked else len(data)
        if data[at] != 0xFF:
            raise ValueError("no marker where one belongs")
        marker = data[at + 1]
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            _count_scans(data, at + 2 + length)
            return width, height, orientation
        if marker in (0xD9, 0xDA) or length < 2:
            raise ValueError("no frame before the pixels")
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _exif(data[at + 10 : at + 2 + length])
        at += 2 + length
    raise ValueError("too many parts")


def _count_scans(data: bytes, at: int) -> None:
    """ValueError where more than `_SCANS` stand between `at` and a JPEG's end, behind which is something else."""
    scans = 0
    for _ in range(_PARTS):
        marked = _MARKER.search(data, at)
        if marked is None or len(data) < marked.end() + 2 or data[marked.start() + 1] == 0xD9:
            return
        scans += data[marked.start() + 1] == 0xDA
        if scans > _SCANS:
            break
        at = marked.end() + int.from_bytes(data[marked.end() : marked.end() + 2], "big")
    raise ValueError("too many scans")


def _png(data: bytes) -> Told:
    chunks = _chunks(data)
    heads = [(start, end - start) for kind, start, end in chunks if kind == b"IHDR"]
    if heads != [(8, 12 + 13)]:  # first, of its one length, and told once: what a decoder goes by is what is read here
        raise ValueError("no header")
    width, height = struct.unpack_from(">II", data, 16)
    exif = [data[start + 8 : end - 4] for kind, start, end in chunks if kind == b"eXIf"]
    return width, height, _exif(exif[0]) if exif else _UPRIGHT


def strip_png_metadata(data: bytes) -> bytes:
    """A PNG that `read_header` could read without all that does not bear on its first frame's pixels.

    So no color profile or comment, however odd, comes before a decoder, which would write its doubts to stderr.
    """
    return data[:8] + b"".join(data[start:end] for kind, start, end in _chunks(data) if kind in _PNG_PIXELS)


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Kind, start and end of a PNG's chunks; ValueError or struct.error where the last one is missing or far away."""
    found, at = [], 8
    for _ in range(_PARTS):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if len(data) < end:
            raise ValueError("cut off")
        found.append((kind, at, end))
        if kind == b"IEND":
            return found
        at = end
    raise ValueError("too many parts")


def _gif(data: bytes) -> Told:
    return *struct.unpack_from("<HH", data, 6), _UPRIGHT


def _webp(data: bytes) -> Told:
    kind, at, orientation = data[12:16], 12, _UPRIGHT
    if kind == b"VP8X":
        wide, high = data[24] | data[25] << 8 | data[26] << 16, data[27] | data[28] << 8 | data[29] << 16
        size = wide + 1, high + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        wide, high = struct.unpack_from("<HH", data, 26)
        size = wide & 0x3FFF, high & 0x3FFF
    for _ in range(_PARTS):
        if at + 8 > len(data):
            break
        (length,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"EXIF":
            orientation = _exif(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return *size, orientation


def _bmp(data: bytes) -> Told:
    if data[14] == 12:
        return *struct.unpack_from("<HH", data, 18), _UPRIGHT
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height), _UPRIGHT  # a height below 0: stored from the top


def _pnm(data: bytes) -> Told:
    head = data[:4096]
    if head[:2] == b"P7":
        lines = re.findall(rb"^(WIDTH|HEIGHT)\s+(\d{1,9})\s*$", head.partition(b"ENDHDR")[0], re.MULTILINE)
        told = dict(lines)
        if len(lines) != len(told):
            raise ValueError("a size told twice")
        return int(told[b"WIDTH"]), int(told[b"HEIGHT"]), _UPRIGHT
    numbers = re.match(rb"P[1-6]\s+(\d{1,9})\s+(\d{1,9})\s", re.sub(rb"#[^\n]*", b"", head))
    if numbers is None:
        raise ValueError("no size")
    return int(numbers[1]), int(numbers[2]), _UPRIGHT


def _jp2(data: bytes) -> Told:
    """The codestream's SIZ says how far the image reaches and where it begins; boxes stand before it."""
    at = 0
    for _ in range(_PARTS):
        if data.startswith(b"\xff\x4f\xff\x51", at):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"jp2c":
            at += 16 if length == 1 else 8
        elif length < 8:
            raise ValueError("no box")
        else:
            at += length
    else:
        raise ValueError("too many parts")
    right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
    return right - left, bottom - top, _UPRIGHT


def _avif(data: bytes) -> Told:
    """The largest of the sizes told; turned and mirrored by boxes of its own, not by EXIF (ISO 23008-12)."""
    sizes = [struct.unpack_from(">II", data, m.end() + 4) for m in re.finditer(b"ispe", data[:65536])]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    turn, mirror = (
        re.search(b"\x09irot(.)", data[:65536], re.DOTALL),
        re.search(b"\x09imir(.)", data[:65536], re.DOTALL),
    )
    angle = turn[1][0] & 3 if turn else 0  # quarters, anticlockwise
    if not mirror:
        return width, height, (1, 8, 3, 6)[angle]
    upside = (4, 5, 2, 7)[angle]  # then top and bottom exchanged
    sideways = (2, 7, 4, 5)[angle]  # or left and right
    return width, height, sideways if mirror[1][0] & 1 else upside


def _tiff(data: bytes) -> Told:
    tags = _tags(data)
    return tags[_WIDTH].value, tags[_HEIGHT].value, tags[_ORIENTATION].value if _ORIENTATION in tags else _UPRIGHT


def reset_tiff_orientation(data: bytes) -> bytes:
    """A TIFF that `read_header` could read, said to be upright, as decoders differ in which TIFFs they turn."""
    tag = _tags(data).get(_ORIENTATION)
    if tag is None:
        return data
    return data[: tag.at] + struct.pack(tag.form, _UPRIGHT) + data[tag.at + struct.calcsize(tag.form) :]


def _exif(data: bytes) -> int:
    """The orientation in a block of EXIF, which is a TIFF without pixels; upright where it does not parse."""
    try:
        return _tags(data.removeprefix(b"Exif\0\0"))[_ORIENTATION].value
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return _UPRIGHT


class _Tag(NamedTuple):
    value: int
    at: int  # where it stands
    form: str  # as `struct` has it


def _tags(data: bytes) -> dict[int, _Tag]:
    """The whole numbers in a TIFF's first directory."""
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    big = struct.unpack_from(order + "H", data, 2)[0] == 43  # BigTIFF: 8 bytes where TIFF has 4
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    first, step, value_at = (start + 8, 20, 12) if big else (start + 2, 12, 8)
    told: dict[int, _Tag] = {}
    for at in range(first, len(data), step)[: min(count, 4096)]:
        number, kind = struct.unpack_from(order + "HH", data, at)
        form = order + {3: "H", 4: "I", 16: "Q"}.get(kind, "")
        if form != order and number in told and number in (_WIDTH, _HEIGHT):
            raise ValueError("a size told twice")  # decoders differ in which they believe
        if form != order and number not in told:
            told[number] = _Tag(struct.unpack_from(form, data, at + value_at)[0], at + value_at, form)
    return told


_READERS = {
    JPEG: _jpeg, PNG: _png, GIF: _gif, WEBP: _webp, TIFF: _tiff, BMP: _bmp, PNM: _pnm, JP2: _jp2, AVIF: _avif,
}  # fmt: skip
