"""Reading images: all formats against Pillow, and one-line errors for everything that is not an image."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import images
from mien.errors import ImageError, MienError
from mien.imaging.decode import STRIP_PIXELS, _unpremultiply, decode, to_bgr
from mien.imaging.formats import FORMATS, detect_format, read_header
from mien.imaging.load import read_image
from mien.recognition import sample

KINDS = sorted(images.images_of_all_formats())
WITH_EXIF = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")


def assert_refused(source: object, *says: str, **options: object) -> None:
    """Assert that the error is one line with these words."""
    with pytest.raises(ImageError) as error:
        read_image(source, **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    for words in says:
        assert words in str(error.value), str(error.value)


def assert_same(bgr: np.ndarray, rgb: np.ndarray, most: float = 1) -> None:
    """Assert that two images are equal except for rounding."""
    assert bgr.dtype == np.uint8
    assert bgr.flags.c_contiguous
    assert bgr.shape == rgb.shape
    assert np.abs(bgr[:, :, ::-1].astype(int) - rgb).max() <= most


@pytest.mark.parametrize("kind", KINDS)
def test_read_image_all_formats_equals_pillow(kind: str) -> None:
    data = images.images_of_all_formats()[kind]
    assert_same(read_image(data), images.read_with_pillow(data))


@pytest.mark.parametrize("kind", KINDS)
def test_read_header_all_formats_has_size(kind: str) -> None:
    header = read_header(images.images_of_all_formats()[kind])
    assert header is not None
    assert header.format in FORMATS
    assert (header.width, header.height, header.orientation) == (images.WIDTH, images.HEIGHT, 1)


@pytest.mark.parametrize("kind", sorted(images.images_16_bit()))
def test_read_image_16_bits_returns_8_bits(kind: str) -> None:
    data, shown = images.images_16_bit()[kind]
    assert_same(read_image(data), shown)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", WITH_EXIF)
def test_read_image_applies_exif_orientation(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    sources = [images.color()] if form == "JPEG" else [images.color(), images.translucent_image()]
    for source in sources:
        lossless = {"lossless": True, "exact": True} if form == "WEBP" else {}
        data = images.encode(source, form, exif=exif, **lossless)
        assert_same(read_image(data), images.read_with_pillow(data), most=2)
        assert_same(read_image(Image.open(io.BytesIO(data))), images.read_with_pillow(data))


def test_exif_both_byte_orders_and_damaged() -> None:
    plain = images.encode(images.color(), "JPEG")
    for order, name in (("<", b"II"), (">", b"MM")):
        tiff = name + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 274, 3, 1, 6, 0, 0)
        for exif, turned in ((tiff, True), (tiff[:12], False), (b"Rubbish", False), (tiff.replace(name, b"XX"), False)):
            segment = b"Exif\0\0" + exif
            data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
            height, width = read_image(data).shape[:2]
            assert (width > height) != turned


def test_read_image_all_sources_are_equal(tmp_path: Path) -> None:
    data = sample().read_bytes()
    bgr = read_image(sample())
    assert bgr.shape == (512, 512, 3)
    np.testing.assert_array_equal(cv2.imread(str(sample())), bgr)
    odd = tmp_path / "Ünïcode 写真 ' \\.txt"
    odd.write_bytes(data)
    rgb = np.ascontiguousarray(bgr[:, :, ::-1])
    for source, order in (
        (str(sample()), None), (odd, None), (data, None), (bytearray(data), None), (memoryview(data), None),
        (bgr, "bgr"), (rgb, "rgb"), (bgr[:, :, ::-1], "rgb"), (Image.fromarray(rgb), None),
        (bgr.astype(np.uint16) * 257, "bgr"), (np.dstack([rgb, np.full((512, 512), 255, np.uint8)]), "rgb"),
    ):  # fmt: skip
        np.testing.assert_array_equal(read_image(source, order=order), bgr)


def test_read_image_grey_array_needs_no_order() -> None:
    grey = cv2.imread(str(sample()), cv2.IMREAD_GRAYSCALE)
    shown = np.dstack([grey] * 3)
    for source, order in ((grey, None), (grey[:, :, None], "grey"), (grey, "bgr"), (Image.fromarray(grey), None)):
        np.testing.assert_array_equal(read_image(source, order=order), shown)


def test_read_image_does_not_change_the_array() -> None:
    rgb = np.asarray(images.color()).copy()
    before = rgb.copy()
    read_image(rgb, order="rgb")[:] = 0
    np.testing.assert_array_equal(rgb, before)


def test_read_image_alpha_is_blended_with_white() -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:, :2, 3] = 255
    shown = read_image(clear, order="bgr")
    assert (shown[:, :2] == 0).all()
    assert (shown[:, 2:] == 255).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_to_bgr_alpha_in_strips_equals_whole(depth: int) -> None:
    """The image has several strips, the last one incomplete; the expected values are computed at once."""
    height, width = 2 * STRIP_PIXELS // 500 + 7, 500
    rng = np.random.default_rng(depth)
    stored = rng.integers(0, 1 << depth, (height, width, 4)).astype(np.uint8 if depth == 8 else np.uint16)
    bits8 = stored if depth == 8 else np.rint(stored / 257)
    share = bits8[:, :, 3:] / 255
    over_white = np.rint(bits8[:, :, :3] * share + 255 * (1 - share))
    assert np.abs(read_image(stored, order="bgr") - over_white).max() <= 1
    grey = np.ascontiguousarray(stored[:, :, 2:])
    assert np.abs(read_image(grey) - over_white[:, :, 2:]).max() <= 1


@pytest.mark.parametrize("kind", ["alpha", "premultiplied", "16 bits"])
def test_to_bgr_alpha_needs_little_memory(kind: str) -> None:
    """Blending a whole photo of 50 megapixels would take more than a gigabyte."""
    stored = np.full((1500, 2000, 4), 127, np.uint16 if kind == "16 bits" else np.uint8)
    tracemalloc.start()
    try:
        shown = to_bgr(_unpremultiply(stored) if kind == "premultiplied" else stored, "the image").image_HW3
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3.5 * shown.nbytes


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I;16"])
def test_read_image_pil_all_modes(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.asarray(images.color().convert("L")).astype(np.uint16) * 257)
    elif mode == "LAB":
        image = Image.new("LAB", (20, 10))
    else:
        image = images.translucent_image().convert(mode)
    assert read_image(image).shape == (image.height, image.width, 3)


def test_read_image_truncated_pil_raises() -> None:
    for kind in ("jpeg color", "png color", "gif"):
        data = images.images_of_all_formats()[kind]
        with Image.open(io.BytesIO(data[: len(data) // 2])) as image:
            assert_refused(image, "the image: cannot be read")


def test_read_image_wrong_arrays_raise() -> None:
    colors = np.zeros((5, 6, 3), np.uint8)
    assert_refused(colors.astype(np.float32) / 255, "float32", "expected uint8", order="rgb")
    assert_refused(np.zeros((5, 6, 5), np.uint8), "[5, 6, 5]", order="rgb")
    assert_refused(np.zeros(7, np.uint8), "[7]")
    assert_refused(np.zeros((2, 5, 6, 3), np.uint8), "[2, 5, 6, 3]")
    assert_refused(np.zeros((0, 6), np.uint8), "[0, 6]")
    assert_refused(Image.new("F", (5, 5)), "float32")
    for wrong, says in (
        ((colors, None), "pass order='bgr'"), ((colors, "BGR"), "one of bgr, rgb, grey"), ((colors, "grey"), "[H,W]"),
        ((colors.tolist(), None), "got list"), ((None, None), "got NoneType"), ((7, "rgb"), "got int"),
    ):  # fmt: skip
        with pytest.raises(MienError) as error:
            read_image(wrong[0], order=wrong[1])
        assert says in str(error.value)
        assert not isinstance(error.value, ImageError)


def test_read_image_wrong_files_raise(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    assert_refused(empty, str(empty), "the file is empty")
    assert_refused(b"", "the image: the file is empty")
    assert_refused(b"", "stdin: the file is empty", name="stdin")
    assert_refused(tmp_path, "is a folder")
    assert_refused(tmp_path / "none.jpg", "there is no such file")
    assert_refused(tmp_path / ("n" * 300), "cannot be read")
    assert_refused("nul\0byte.jpg", "not a valid path")
    assert_refused(empty / "below", "cannot be read")
    assert_refused("/dev/zero" if os.path.exists("/dev/zero") else tmp_path, "expected an image file")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"just text, called an image", "not an image file (starts with 6a 75 73 74"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf" + bytes(99), "save it as JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(99), "a video; use `mien video`; supported formats: JPEG"),
        (b"%PDF-1.7", "PDF files are not supported"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG files are not supported"),
        (b"<!DOCTYPE html><html>", "HTML files are not supported"),
        (b"PK\x03\x04" + bytes(40), "zip files are not supported"),
        (b"\xff\xd8\xff", "damaged or truncated JPEG image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(40), "truncated JPEG image"),
        (b"\x89PNG\r\n\x1a\n", "damaged or truncated PNG image"),
        (b"P6 a b 255\n", "truncated PNM image"),
        (b"GIF89a\0\0\0\0", "truncated GIF image"),
        (b"II*\0\xff\xff\xff\x7f", "truncated TIFF image"),
        (b"II+\0\x08\0\0\0" + b"\xff" * 40, "truncated TIFF image"),
    ],
)  # fmt: skip
def test_read_image_wrong_bytes_raise(data: bytes, says: str) -> None:
    assert_refused(data, says)


@pytest.mark.parametrize("kind", KINDS)
def test_read_image_truncated_file_raises(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = images.images_of_all_formats()[kind]
    in_part = kind.startswith("png") or (kind.startswith("jpeg ") and "2000" not in kind)  # see test_damaged
    assert_refused(data[:40], "the image: ")
    for share in (0.02, 0.1, 0.3, 0.9) if not in_part else ():
        if (kind, share) != ("tiff of two pages", 0.9):  # its first page is complete
            assert_refused(data[: int(len(data) * share)], "the image: ")
    assert capfd.readouterr().err == ""


def test_read_image_ignores_the_suffix(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(images.images_of_all_formats()["png color"])
    assert read_image(file).shape == (images.HEIGHT, images.WIDTH, 3)


def test_read_image_above_limits_raises() -> None:
    data = sample().read_bytes()
    read_image(data, max_pixels=512 * 512, max_bytes=len(data))
    assert_refused(data, "512 x 512", "megapixels", "raise the limit", max_pixels=512 * 512 - 1)
    assert_refused(sample(), "MB", "raise the limit", max_bytes=len(data) - 1)
    assert_refused(data, "MB", max_bytes=len(data) - 1)
    with Image.open(sample()) as image:
        assert_refused(image, "512 x 512", max_pixels=1000)
    assert_refused(np.zeros((30, 40), np.uint8), "40 x 30", max_pixels=1199)
    read_image(np.zeros((30, 40), np.uint8), max_pixels=1200)


def bomb(form: str) -> bytes:
    """Return a few bytes whose header says 65,000 x 65,000 pixels."""
    side = 65_000
    if form == "PNG":
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(999))), chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    if form == "GIF":
        return b"GIF89a" + struct.pack("<HH", side, side) + bytes(99)
    if form == "BMP":
        return b"BM" + bytes(12) + struct.pack("<IiiHH", 40, side, -side, 1, 24) + bytes(99)
    if form == "PNM":
        return b"P5\n# a comment\n65000 65000\n255\n" + bytes(99)
    if form == "WebP":
        extent = (side - 1).to_bytes(3, "little")
        return b"RIFF" + struct.pack("<I", 200) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + extent * 2 + bytes(99)
    if form == "TIFF":
        return b"II*\0" + struct.pack("<IHHHIIHHII", 8, 2, 256, 4, 1, side, 257, 4, 1, side) + bytes(99)
    if form == "JPEG 2000":
        return b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 47, 0, side, side, 0, 0) + bytes(99)
    if form == "AVIF":
        return b"\0\0\0\x10ftypavif\0\0\0\0\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", side, side) + bytes(99)
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHH", 17, 8, side, side) + bytes(99)


@pytest.mark.parametrize("form", FORMATS)
def test_read_image_bomb_is_refused_by_header(form: str) -> None:
    assert detect_format(bomb(form)) == form
    assert_refused(bomb(form), "65000 x 65000", "4,225.0 megapixels")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def two_sizes(form: str) -> bytes:
    """Return an image of 3,000 x 3,000 pixels with a second, small size before or after it."""
    side = 3_000
    if form.startswith("PNG"):
        head, rows = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), zlib.compress(bytes(side * (side + 1)))
        first = chunk(b"tEXt", struct.pack(">II", 1, 1)) if "text" in form else b""
        second = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) if "twice" in form else b""
        parts = chunk(b"IHDR", head), second, chunk(b"IDAT", rows), chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + first + b"".join(parts)
    if form == "TIFF":
        tags = [(256, side), (256, 1), (257, side), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1)]
        tags += [(278, side), (279, side * side)]
        at = 8 + side * side
        listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        return b"II*\0" + struct.pack("<I", at) + bytes(side * side) + struct.pack("<H", len(tags)) + listed + bytes(4)
    head = f"P7\nWIDTH {side}\nHEIGHT {side}\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n".encode()
    if form == "PAM, twice":
        head = head.replace(b"DEPTH", b"WIDTH 1\nHEIGHT 1\nDEPTH")
    return head + b"\nWIDTH 1\nHEIGHT 1\n" + bytes(side * side)


@pytest.mark.parametrize("form", ["PNG, text first", "PNG, twice", "TIFF", "PAM", "PAM, twice"])
def test_read_image_two_sizes_raises(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImageError) as error:
        read_image(two_sizes(form), max_pixels=1_000_000)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", images.images_with_tiny_parts(1))
def test_read_header_too_many_parts_returns_none(form: str) -> None:
    few, many = images.images_with_tiny_parts(1000)[form], images.images_with_tiny_parts(150_000)[form]
    assert read_header(few) == replace(read_header(sample().read_bytes()), format=form, width=8, height=8)
    assert read_header(many) is None


def progressive(scans: int, before: bytes = b"", behind: bytes = b"") -> bytes:
    """Return a JPEG whose last scan, of a few bytes for all pixels, is repeated until it has `scans` scans."""
    data = cv2.imencode(".jpg", np.full((64, 64, 3), 99, np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + before + last * (scans - data.count(b"\xff\xda")) + b"\xff\xd9" + behind


def test_read_image_jpeg_too_many_scans_raises() -> None:
    comment = b"\xff\xfe\0\x06\xff\xd9\xff\xd9"  # end markers in a comment
    short = b"\xff\x01"  # a marker without a length
    assert read_image(progressive(50)).shape == (64, 64, 3)
    assert read_image(progressive(20, behind=b"\xff\xda\0\2" * 99)).shape == (
        64,
        64,
        3,
    )  # data after the end of the photo, as in motion photos
    for data in (progressive(51), progressive(51, before=comment), progressive(51, before=short)):
        assert_refused(data, "damaged or truncated")


def test_decode_more_pixels_than_header_raises() -> None:
    data = cv2.imencode(".png", np.zeros((40, 40), np.uint8))[1].tobytes()
    with pytest.raises(ImageError, match="header says 4 x 4 pixels, the data has 40 x 40"):
        decode(data, replace(read_header(data), width=4, height=4), "it")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_read_image_damaged_bytes_read_or_raise(kind: str, draw: st.DataObject) -> None:
    data = bytearray(images.images_of_all_formats()[kind])
    for _ in range(draw.draw(st.integers(1, 8))):  # more often in headers
        early = draw.draw(st.booleans())
        at = draw.draw(st.integers(0, min(len(data), 200) - 1 if early else len(data) - 1))
        data[at] ^= 1 << draw.draw(st.integers(0, 7))
    end = draw.draw(st.integers(0, len(data))) if draw.draw(st.booleans()) else len(data)
    assert_read_or_one_line_error(bytes(data[:end]))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([data[:16] for data in images.images_of_all_formats().values()] + [b""]), st.binary(max_size=300)
)
def test_read_image_random_bytes_read_or_raise(begins: bytes, rubbish: bytes) -> None:
    assert_read_or_one_line_error(begins + rubbish)


def assert_read_or_one_line_error(data: bytes) -> None:
    try:
        image = read_image(data, max_pixels=1_000_000)
    except ImageError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 3
