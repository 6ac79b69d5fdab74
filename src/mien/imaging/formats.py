"""Image headers: format, size and orientation, before anything is decoded.

Sources: the specifications of the formats, and EXIF 2.32 for the orientation. Bytes are not trusted: a header that
cannot be parsed is None.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from mien.imaging.tiff import UPRIGHT, exif_orientation, tiff_size

JPEG, PNG, GIF, WEBP, TIFF = "JPEG", "PNG", "GIF", "WebP", "TIFF"
BMP, PNM, JP2, AVIF = "BMP", "PNM", "JPEG 2000", "AVIF"
FORMATS = (JPEG, PNG, GIF, WEBP, TIFF, BMP, PNM, JP2, AVIF)
HEIC, VIDEO = "HEIC", "video"

_MAX_PARTS = 100_000  # segments, chunks or boxes; a file with more would only take time
_MAX_SCANS = 50  # of a JPEG; writers use about ten, and each scan goes over all pixels even if it has a few bytes
_NO_FILL = re.compile(rb"[^\xff]")
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # JPEG marker with a length, which ends entropy-coded data
_PNG_IMAGE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
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
    """

    format: str
    width: int
    height: int
    orientation: int = UPRIGHT

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
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
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
    if kind not in _PARSERS:
        return None
    try:
        width, height, orientation = _PARSERS[kind](data)
    except (struct.error, IndexError, KeyError, ValueError, OverflowError):
        return None
    if width < 1 or height < 1:
        return None
    return Header(kind, width, height, orientation if 1 <= orientation <= 8 else UPRIGHT)


def _jpeg(data: bytes) -> Size:
    """Parse the segments before the pixels: the frame header has the size, the EXIF segment the orientation."""
    at, orientation = 2, UPRIGHT
    for _ in range(_MAX_PARTS):
        match = _NO_FILL.search(data, at + 1)  # after fill bytes, of which there may be any number
        at = match.start() - 1 if match else len(data)
        if data[at] != 0xFF:
            raise ValueError("marker expected")
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
            raise ValueError("no frame header before the pixels")
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[at + 10 : at + 2 + length])
        at += 2 + length
    raise ValueError("too many parts")


def _count_scans(data: bytes, at: int) -> None:
    """Raise ValueError if a JPEG has more than `_MAX_SCANS` scans between `at` and its end marker."""
    scans = 0
    for _ in range(_MAX_PARTS):
        match = _MARKER.search(data, at)
        if match is None or len(data) < match.end() + 2 or data[match.start() + 1] == 0xD9:
            return
        scans += data[match.start() + 1] == 0xDA
        if scans > _MAX_SCANS:
            break
        at = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    raise ValueError("too many scans")


def _png(data: bytes) -> Size:
    chunks = _chunks(data)
    headers = [(start, end - start) for kind, start, end in chunks if kind == b"IHDR"]
    if headers != [(8, 12 + 13)]:  # one header, first and of its fixed length, so that decoders read the same size
        raise ValueError("not one header")
    width, height = struct.unpack_from(">II", data, 16)
    exif = [data[start + 8 : end - 4] for kind, start, end in chunks if kind == b"eXIf"]
    return width, height, exif_orientation(exif[0]) if exif else UPRIGHT


def strip_png_metadata(data: bytes) -> bytes:
    """Return a PNG with only the chunks that its first frame needs; `read_header` must have accepted it.

    Decoders write warnings about odd color profiles and comments to stderr.
    """
    return data[:8] + b"".join(data[start:end] for kind, start, end in _chunks(data) if kind in _PNG_IMAGE_CHUNKS)


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return type, start and end of the chunks of a PNG.

    Raises:
        ValueError: The last chunk is missing or truncated, or there are too many chunks.
        struct.error: The file ends within a length.
    """
    chunks, at = [], 8
    for _ in range(_MAX_PARTS):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if len(data) < end:
            raise ValueError("truncated")
        chunks.append((kind, at, end))
        if kind == b"IEND":
            return chunks
        at = end
    raise ValueError("too many parts")


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


_PARSERS = {
    JPEG: _jpeg, PNG: _png, GIF: _gif, WEBP: _webp, TIFF: tiff_size, BMP: _bmp, PNM: _pnm, JP2: _jp2, AVIF: _avif,
}  # fmt: skip
