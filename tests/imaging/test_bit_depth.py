"""Images of 8 to 16 bits per sample in files of 16 bits."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

import images
from mien.imaging.load import read_image_and_notes
from mien.imaging.tiff import bits_per_sample, ends_early, max_sample_value

GREY = np.asarray(images.color().convert("L"))
BGR = np.ascontiguousarray(np.asarray(images.color())[:, :, ::-1])


def samples(bits: int, pixels: np.ndarray = GREY) -> np.ndarray:
    """Return pixels of 8 bits as samples of `bits` bits in 16."""
    return np.rint(pixels / 255 * ((1 << bits) - 1)).astype(np.uint16)


def with_chunk(png: bytes, kind: bytes, content: bytes) -> bytes:
    """Return a PNG with a chunk after its header."""
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return png[:33] + chunk + png[33:]


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def pnm(pixels: np.ndarray, largest: int, magic: bytes = b"P5") -> bytes:
    height, width = pixels.shape[:2]
    head = b"%s\n# a comment 9 9\n%d %d\n%d\n" % (magic, width, height, largest)
    if magic == b"P7":
        head = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 1\nMAXVAL %d\nTUPLTYPE GRAYSCALE\nENDHDR\n" % (width, height, largest)
    return head + pixels.astype(">u2" if largest > 255 else np.uint8).tobytes()


def assert_reads(source: object, expected_HW3: np.ndarray, note: str = "", most: int = 1) -> None:
    image_HW3, notes, complete = read_image_and_notes(source, order="bgr")
    assert complete
    assert notes == ((note,) if note else ())
    assert np.abs(image_HW3.astype(int) - expected_HW3).max() <= most


GREY3 = np.dstack([GREY] * 3)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("form", [".png", ".tiff", "array", "pil", ".jp2"])
def test_bits_without_metadata_follow_from_the_maximum(form: str, bits: int) -> None:
    for pixels in (GREY, BGR):
        stored = samples(bits, pixels)
        shown = GREY3 if pixels is GREY else BGR
        if form in ("pil", ".jp2") and pixels is BGR:
            continue
        source: object = stored if form == "array" else Image.fromarray(stored) if form == "pil" else None
        if form == ".jp2":
            source = images.encode(Image.fromarray(stored), "JPEG2000", irreversible=False)
        largest = f"{int(stored.max()):,}"
        note = f"the values of this 16-bit image end at {largest}: read as {bits} bits" if bits < 16 else ""
        assert_reads(encoded(stored, form) if source is None else source, shown, note, most=1)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_alpha_has_its_own_range(bits: int) -> None:
    alpha = np.zeros(GREY.shape, np.uint16)
    alpha[:, 60:] = 65535
    white = BGR.copy()
    white[:, :60] = 255
    for opaque in (65535, (1 << bits) - 1):
        stored = np.dstack([samples(bits, BGR), np.minimum(alpha, opaque)])
        image_HW3, notes, _ = read_image_and_notes(encoded(stored, ".png"))
        assert f"read as {bits} bits" in notes[0]
        assert np.abs(image_HW3.astype(int) - white).max() <= 1


def test_png_significant_bits_are_used() -> None:
    dark = GREY // 8  # without sBIT these would be 8 or 10 bits
    png = encoded(samples(12, dark), ".png")
    assert "read as" in read_image_and_notes(png).notes[0]
    assert_reads(with_chunk(png, b"sBIT", bytes([12])), np.dstack([dark] * 3))
    assert_reads(with_chunk(png, b"sBIT", bytes([16])), np.dstack([samples(12, dark) // 257] * 3))
    scaled = encoded(samples(12) << 4, ".png")  # as the specification asks
    assert_reads(with_chunk(scaled, b"sBIT", bytes([12])), GREY3)
    color = encoded(samples(12, BGR // 8), ".png")
    assert_reads(with_chunk(color, b"sBIT", bytes([12, 12, 12])), BGR // 8)
    eight = encoded(GREY, ".png")  # files of 8 bits are not scaled
    assert_reads(with_chunk(eight, b"sBIT", bytes([5])), GREY3, most=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_tiff_max_sample_value_is_used(channels: int) -> None:
    dark = (BGR if channels == 3 else GREY) // 8
    shown = dark if channels == 3 else np.dstack([dark] * 3)
    for order in "<>":
        for largest, expected in ((4095, shown), (65535, shown // 16), (100, shown // 16)):
            data = tiff(samples(12, dark), (largest,) * channels, order)
            image_HW3, notes, _ = read_image_and_notes(data)
            assert notes == ()
            assert np.abs(image_HW3[:, :, ::-1].astype(int) - expected).max() <= 1
    assert "read as" in read_image_and_notes(tiff(samples(12, dark), (), "<")).notes[0]


def tiff(pixels: np.ndarray, largest: tuple[int, ...], order: str, bits: int = 16) -> bytes:
    """Return an uncompressed TIFF with the tag MaxSampleValue."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3
    content = pixels.astype(order + "u2").tobytes() if bits == 16 else packed_12(pixels)
    after, tail = 8 + len(content), b""

    def entry(tag: int, kind: int, *values: int) -> bytes:
        nonlocal tail
        form = {3: "H", 4: "I"}[kind]
        packed = struct.pack(f"{order}{len(values)}{form}", *values)
        if len(packed) > 4:
            tail, packed = tail + packed, struct.pack(order + "I", after + len(tail))
        return struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")

    entries = [
        entry(256, 4, width), entry(257, 4, height), entry(258, 3, *[bits] * channels), entry(259, 3, 1),
        entry(262, 3, 1 if channels == 1 else 2), entry(273, 4, 8), entry(277, 3, channels), entry(278, 4, height),
        entry(279, 4, len(content)), *([entry(281, 3, *largest)] if largest else []),
    ]  # fmt: skip
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, after + len(tail))
    return head + content + tail + directory


def packed_12(pixels: np.ndarray) -> bytes:
    text = "".join(f"{value:012b}" for value in pixels.ravel())
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def test_packed_tiff_of_12_bits_is_not_scaled_twice() -> None:
    dark = GREY // 8
    assert_reads(tiff(samples(12, dark), (), "<", bits=12), np.dstack([dark] * 3))


@pytest.mark.parametrize("largest", [15, 100, 255, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("magic", [b"P5", b"P7"])
def test_pnm_maximum_is_used(magic: bytes, largest: int) -> None:
    stored = np.rint(GREY / 8 / 255 * largest)
    shown = np.dstack([np.rint(stored / largest * 255)] * 3)
    assert_reads(pnm(stored, largest, magic), shown)


def test_pnm_as_text_is_read() -> None:
    for largest in (15, 255, 1023):
        stored = np.rint(GREY / 255 * largest).astype(int)
        head = f"P2\n{GREY.shape[1]} {GREY.shape[0]}\n{largest}\n"
        data = (head + "\n".join(" ".join(map(str, row)) for row in stored) + "\n").encode()
        assert_reads(data, np.dstack([np.rint(stored / largest * 255)] * 3))


def test_black_image_has_no_note() -> None:
    assert_reads(np.zeros((4, 5), np.uint16), np.zeros((4, 5, 3)))


def tiff_with_many_values(number: int, count: int) -> bytes:
    """Return a TIFF of 16x16 samples of 16 bits, of which a tag has many values."""
    tags = {256: (3, 1, 16), 257: (3, 1, 16), 258: (3, 1, 16), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8)}
    tags |= {277: (3, 1, 1), 278: (3, 1, 16), 279: (4, 1, 512), number: (3, count, 1000)}
    directory = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    pixels = (np.arange(256, dtype="<u2") * 200).tobytes()
    head = b"II*\0" + struct.pack("<I", 520) + pixels + struct.pack("<H", len(tags)) + directory + bytes(4)
    return head.ljust(1000, b"\0") + count * struct.pack("<H", 16)


@pytest.mark.parametrize("number", [258, 273, 279, 281])  # bits, offsets and lengths of strips, largest value
def test_tiff_tag_with_many_values_needs_no_memory(number: int) -> None:
    data = tiff_with_many_values(number, 200_000)
    tracemalloc.start()
    try:
        max_sample_value(data), bits_per_sample(data), ends_early(data)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 200_000
    assert max_sample_value(data) == (16 if number == 281 else None)
    assert bits_per_sample(data) == 16
    assert not ends_early(data)
