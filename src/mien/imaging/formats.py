"""Image headers: format, size and orientation, before anything is decoded.

Sources: the specifications of the formats, and EXIF 2.32 for the orientation. Bytes are not trusted: a header that
cannot be parsed is None.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from mien.imaging.jpeg import JpegStructure, parse_jpeg
from mien.imaging.png import SIGNATURE, parse_png
from mien.imaging.tiff import UPRIGHT, ends_early, exif_orientation, tiff_size

JPEG, PNG, GIF, WEBP, TIFF = "JPEG", "PNG", "GIF", "WebP", "TIFF"
BMP, PNM, JP2, AVIF = "BMP", "PNM", "JPEG 2000", "AVIF"
FORMATS = (JPEG, PNG, GIF, WEBP, TIFF, BMP, PNM, JP2, AVIF)
HEIC, VIDEO = "HEIC", "video"

_MAX_PARTS = 100_000  # chunks or boxes; a file with more would only take time
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_OTHER_FORMATS = (  # files that are often taken for images, and the pattern of their first bytes
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

Size = tuple[int, int, int]  # width, height, orientation


@dataclass(frozen=True)
class Header:
    """Header of an image file.

    Attributes:
        format: Format, one of `FORMATS`.
        width: Width in pixels as stored, before the orientation is applied.
        height: Height in pixels as stored, before the orientation is applied.
        orientation: EXIF orientation, 1 to 8; 1 for an image that is stored as it is displayed.
        jpeg: Structure of a JPEG; None for other formats.
    """

    format: str
    width: int
    height: int
    orientation: int = UPRIGHT
    jpeg: JpegStructure | None = field(default=None, compare=False)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height


def detect_format(data: bytes) -> str | None:
    """Return the format of a file by its first bytes: one of `FORMATS`, another known format, or None.

    Example:
        >>> detect_format(b"GIF89a"), detect_format(b"%PDF-1.7"), detect_format(b"text")
        ('GIF', 'PDF', None)
    """
    head = data[:1024]
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(SIGNATURE):
        return PNG
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return GIF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return TIFF
    bmp_header_sizes = (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    if head[:2] == b"BM" and len(head) > 18 and head[14:18] in bmp_header_sizes:
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
    matches = (name for name, pattern in _OTHER_FORMATS if re.match(pattern, head, re.DOTALL | re.IGNORECASE))
    return next(matches, None)


def read_header(data: bytes) -> Header | None:
    """Return the header of an image file; None if it is damaged or not one of `FORMATS`.

    Args:
        data: Content of the file.
    """
    kind = detect_format(data)
    if kind is None or kind not in FORMATS:
        return None
    structure = None
    try:
        if kind == JPEG:
            structure = parse_jpeg(data)
            width, height, orientation = structure[:3]
        else:
            width, height, orientation = _PARSERS[kind](data)
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return None
    if width < 1 or height < 1:
        return None
    return Header(kind, width, height, orientation if 1 <= orientation <= 8 else UPRIGHT, structure)


def is_truncated(data: bytes, header: Header) -> bool:
    """Return whether a file is shorter than it says, as far as its format says it.

    Args:
        data: Content of the file.
        header: Its header.
    """
    try:
        return _TRUNCATIONS[header.format](data) if header.format in _TRUNCATIONS else False
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return True


def jp2_bits(data: bytes) -> int:
    """Return the bits of a sample of the first channel of a JPEG 2000; 0 if it cannot be parsed."""
    at = data.find(b"\xff\x4f\xff\x51")
    return (data[at + 42] & 0x7F) + 1 if 0 <= at < len(data) - 42 else 0


def _gif(data: bytes) -> Size:
    return *struct.unpack_from("<HH", data, 6), UPRIGHT


def _webp(data: bytes) -> Size:
    kind, at, orientation = data[12:16], 12, UPRIGHT
    if kind == b"VP8X":
        width, height = data[24] | data[25] << 8 | data[26] << 16, data[27] | data[28] << 8 | data[29] << 16
        size = width + 1, height + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = struct.unpack_from("<HH", data, 26)
        size = width & 0x3FFF, height & 0x3FFF
    for _ in range(_MAX_PARTS):
        if at + 8 > len(data):
            break
        (length,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"EXIF":
            orientation = exif_orientation(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return *size, orientation


def _bmp(data: bytes) -> Size:
    if data[14] == 12:
        return *struct.unpack_from("<HH", data, 18), UPRIGHT
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height), UPRIGHT  # a negative height: rows are stored from top to bottom


def _pnm(data: bytes) -> Size:
    head = data[:4096]
    if head[:2] == b"P7":
        lines = re.findall(rb"^(WIDTH|HEIGHT)\s+(\d{1,9})\s*$", head.partition(b"ENDHDR")[0], re.MULTILINE)
        size = dict(lines)
        if len(lines) != len(size):
            raise ValueError("more than one size")
        return int(size[b"WIDTH"]), int(size[b"HEIGHT"]), UPRIGHT
    numbers = re.match(rb"P[1-6]\s+(\d{1,9})\s+(\d{1,9})\s", re.sub(rb"#[^\n]*", b"", head))
    if numbers is None:
        raise ValueError("no size")
    return int(numbers[1]), int(numbers[2]), UPRIGHT


def _jp2(data: bytes) -> Size:
    """Parse the SIZ marker of the codestream, which follows the boxes: right and lower edge, left and upper edge."""
    at = 0
    for _ in range(_MAX_PARTS):
        if data.startswith(b"\xff\x4f\xff\x51", at):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"jp2c":
            at += 16 if length == 1 else 8
        elif length < 8:
            raise ValueError("box expected")
        else:
            at += length
    else:
        raise ValueError("too many parts")
    right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
    return right - left, bottom - top, UPRIGHT


def _avif(data: bytes) -> Size:
    """Parse the largest size, and the boxes that rotate and mirror; EXIF does not count here (ISO 23008-12)."""
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


def _ends_within_box(data: bytes) -> bool:
    """Return whether a file of boxes (JPEG 2000, AVIF) ends within one; a bare codestream has an end marker."""
    if data.startswith(b"\xff\x4f"):
        return not data.rstrip(b"\0").endswith(b"\xff\xd9")
    at = 0
    for _ in range(_MAX_PARTS):
        if at >= len(data):
            break
        (length,) = struct.unpack_from(">I", data, at)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if length == 0:  # up to the end of the file
            return data[at + 4 : at + 8] == b"jp2c" and not data.rstrip(b"\0").endswith(b"\xff\xd9")
        at += max(length, 8)
    return at > len(data)


_PARSERS = {
    PNG: parse_png, GIF: _gif, WEBP: _webp, TIFF: tiff_size, BMP: _bmp, PNM: _pnm, JP2: _jp2, AVIF: _avif,
}  # fmt: skip
_TRUNCATIONS: dict[str, Callable[[bytes], bool]] = {
    GIF: lambda data: not data.rstrip(b"\0").endswith(b";"),
    WEBP: lambda data: int.from_bytes(data[4:8], "little") + 8 > len(data),
    BMP: lambda data: int.from_bytes(data[2:6], "little") > len(data),
    TIFF: ends_early,
    JP2: _ends_within_box,
    AVIF: _ends_within_box,
}
