"""Structure of PNG files: size, orientation, bit depth, and the rows of a damaged file.

Source: Portable Network Graphics (PNG) Specification, third edition.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from mien.imaging.tiff import UPRIGHT, exif_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PARTS = 100_000  # chunks; a file with more would only take time
_IMAGE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by color type
_FILTERS = 5  # types of filters, the first byte of each row
_BLOCK = 4096  # bytes that are decompressed at once: what comes before an error is kept
_ZEROS = 1 << 20  # bytes of missing rows that are added at once
_MOST = 256_000_000  # bytes of the rows of a damaged image


class Chunk(NamedTuple):
    """A chunk of a PNG.

    Attributes:
        kind: Type, four letters.
        start: Number of bytes before the chunk.
        end: Number of bytes before the next one; more than the file has if it is truncated.
    """

    kind: bytes
    start: int
    end: int


class SavedRows(NamedTuple):
    """The rows of a damaged PNG that can be read.

    Attributes:
        data: Complete PNG, whose other rows are 0.
        rows: Number of rows that were read.
    """

    data: bytes
    rows: int


def parse_png(data: bytes) -> tuple[int, int, int]:
    """Return width, height and orientation of a PNG.

    Raises:
        ValueError, struct.error: The file has no header, or two, or too many chunks.
    """
    chunks = read_chunks(data)
    headers = [(chunk.start, chunk.end) for chunk in chunks if chunk.kind == b"IHDR"]
    if headers != [(8, 8 + 12 + 13)]:  # one header, first and of its fixed length, so that decoders read the same size
        raise ValueError("not one header")
    width, height = struct.unpack_from(">II", data, 16)
    exif = [data[chunk.start + 8 : chunk.end - 4] for chunk in chunks if chunk.kind == b"eXIf"]
    return width, height, exif_orientation(exif[0]) if exif else UPRIGHT


def read_chunks(data: bytes) -> list[Chunk]:
    """Return the chunks of a PNG up to its end or to where it is truncated.

    Raises:
        ValueError: There are too many chunks.
    """
    chunks: list[Chunk] = []
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        if len(chunks) == _MAX_PARTS:
            raise ValueError("too many parts")
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append(Chunk(data[at + 4 : at + 8], at, at + 12 + length))
        if chunks[-1].kind == b"IEND":
            break
        at = chunks[-1].end
    return chunks


def strip_metadata(data: bytes) -> bytes:
    """Return a PNG with only the chunks that its first frame needs, and with its end marker.

    Decoders write warnings about odd color profiles and comments to stderr.
    """
    view = memoryview(data)  # the data is copied once
    kept = [view[c.start : c.end] for c in read_chunks(data) if c.kind in _IMAGE_CHUNKS and c.kind != b"IEND"]
    return b"".join((SIGNATURE, *kept, _chunk(b"IEND", b"")))


def is_cut(data: bytes) -> bool:
    """Return whether a PNG ends before its end marker."""
    chunks = read_chunks(data)
    return not chunks or chunks[-1].kind != b"IEND"


def significant_bits(data: bytes) -> int | None:
    """Return the number of significant bits of the colors, as chunk sBIT states it; None if it does not."""
    chunk = next((chunk for chunk in read_chunks(data) if chunk.kind == b"sBIT"), None)
    if chunk is None:
        return None
    bits = data[chunk.start + 8 : chunk.end - 4][: 1 if data[25] in (0, 4) else 3]
    return max(bits, default=None)


def save_rows(data: bytes) -> SavedRows | None:
    """Return the rows of a truncated or damaged PNG up to the first one that cannot be decompressed.

    Returns:
        The rows; None if there are none, or if the rows are interlaced.
    """
    width, height, bits, color, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if interlaced or color not in _CHANNELS:
        return None
    length = 1 + (width * bits * _CHANNELS[color] + 7) // 8
    if length * height > _MOST:
        return None
    chunks = read_chunks(data)
    content = b"".join(data[c.start + 8 : min(c.end - 4, len(data))] for c in chunks if c.kind == b"IDAT")
    pixels = _decompress(content, length * height)
    complete = len(pixels) // length
    rows = next((row for row in range(complete) if pixels[row * length] >= _FILTERS), complete)
    if not rows:
        return None
    del pixels[rows * length :]
    packer = zlib.compressobj(0)  # compressing would take longer than decoding
    packed, missing = [packer.compress(pixels)], length * height - len(pixels)
    del pixels
    packed += [packer.compress(bytes(min(missing - at, _ZEROS))) for at in range(0, missing, _ZEROS)]
    packed.append(packer.flush())
    head = [_chunk(c.kind, data[c.start + 8 : c.end - 4]) for c in chunks if c.kind in (b"IHDR", b"PLTE", b"tRNS")]
    parts = (SIGNATURE, *head, _chunk(b"IDAT", b"".join(packed)), _chunk(b"IEND", b""))
    return SavedRows(b"".join(parts), rows)


def _decompress(content: bytes, most: int) -> bytearray:
    """Return what can be decompressed before an error, at most `most` bytes."""
    pixels, stream = bytearray(), zlib.decompressobj()
    try:
        for at in range(0, len(content), _BLOCK):
            pixels += stream.decompress(content[at : at + _BLOCK], max(most - len(pixels), 1))
            if len(pixels) >= most or stream.eof:
                break
            while stream.unconsumed_tail:
                pixels += stream.decompress(stream.unconsumed_tail, max(most - len(pixels), 1))
                if len(pixels) >= most:
                    break
    except zlib.error:
        pass
    del pixels[most:]
    return pixels


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
