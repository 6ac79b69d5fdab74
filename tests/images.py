"""One small image in every format and kind that Pillow and OpenCV write, and what a reader should see in it."""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps

from mien.recognition import sample

Pixels = np.ndarray
HIGH, WIDE = 96, 120  # neither square nor a multiple of 32


@cache
def color() -> Image.Image:
    """The head of the sample, smaller."""
    with Image.open(sample()) as portrait:
        return portrait.crop((140, 20, 320, 164)).resize((WIDE, HIGH)).convert("RGB")


@cache
def translucent_image() -> Image.Image:
    """The same, clear at the left and solid at the right."""
    image = color().copy()
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, WIDE).astype(np.uint8), (HIGH, 1))))
    return image


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def read_with_pillow(data: bytes) -> Pixels:
    """RGB uint8 [H,W,3] of what Pillow sees: turned, over white."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    white.alpha_composite(image.convert("RGBA"))
    return np.asarray(white.convert("RGB"))


@cache
def images_of_all_formats() -> dict[str, bytes]:
    """Images by format and kind; all of 8 bits, so that Pillow sees them rightly too."""
    rgb, rgba, other = color(), translucent_image(), Image.new("RGB", (WIDE, HIGH), (0, 90, 200))
    grey, palette = rgb.convert("L"), rgb.quantize(64)
    animated: dict[str, Any] = {"save_all": True, "append_images": [other]}
    made = {
        "png color": encoded(rgb, "PNG"),
        "png grey": encoded(grey, "PNG"),
        "png of one bit": encoded(rgb.convert("1"), "PNG"),
        "png with alpha": encoded(rgba, "PNG"),
        "png grey with alpha": encoded(rgba.convert("LA"), "PNG"),
        "png with a palette": encoded(palette, "PNG"),
        "png with a palette and a clear color": encoded(palette, "PNG", transparency=3),
        "png with a clear color": encoded(rgb, "PNG", transparency=rgb.getpixel((50, 50))),
        "png animated": encoded(rgb, "PNG", **animated),
        "jpeg color": encoded(rgb, "JPEG"),
        "jpeg grey": encoded(grey, "JPEG"),
        "jpeg cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True),
        "gif": encoded(palette, "GIF"),
        "gif with a clear color": encoded(palette, "GIF", transparency=3),
        "gif animated": encoded(palette, "GIF", save_all=True, append_images=[other.quantize(4)]),
        "webp lossy": encoded(rgb, "WEBP"),
        "webp lossless": encoded(rgb, "WEBP", lossless=True),
        "webp with alpha": encoded(rgba, "WEBP", lossless=True, exact=True),
        "webp animated": encoded(rgb, "WEBP", lossless=True, **animated),
        "tiff color": encoded(rgb, "TIFF"),
        "tiff grey": encoded(grey, "TIFF"),
        "tiff with alpha": encoded(rgba, "TIFF"),
        "tiff cmyk": encoded(rgb.convert("CMYK"), "TIFF"),
        "tiff with a palette": encoded(palette, "TIFF"),
        "tiff lzw": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "tiff of a fax": encoded(rgb.convert("1"), "TIFF", compression="group4"),
        "tiff of two pages": encoded(rgb, "TIFF", **animated),
        "bmp color": encoded(rgb, "BMP"),
        "bmp with a palette": encoded(palette, "BMP"),
        "bmp of one bit": encoded(rgb.convert("1"), "BMP"),
        "ppm": encoded(rgb, "PPM"),
        "pgm": encoded(grey, "PPM"),
        "jpeg 2000": encoded(rgb, "JPEG2000"),
        "jpeg 2000 with alpha": encoded(rgba, "JPEG2000"),
        "bare codestream of jpeg 2000": encoded(rgb, "JPEG2000", no_jp2=True),
    }
    if has_avif():
        made |= {"avif": encoded(rgb, "AVIF"), "avif with alpha": encoded(rgba, "AVIF")}
    return made


@cache
def images_16_bit() -> dict[str, tuple[bytes, Pixels]]:
    """Images of 16 bits with what they show, RGB uint8 [H,W,3]; OpenCV wrote them."""
    rgb, rgba = np.asarray(color()), np.asarray(translucent_image())
    grey = np.asarray(color().convert("L"))
    bgra = np.dstack([rgba[:, :, 2::-1], rgba[:, :, 3]])
    white = Image.new("RGBA", (WIDE, HIGH), (255, 255, 255, 255))
    white.alpha_composite(translucent_image())
    over_white, in_grey = np.asarray(white.convert("RGB")), np.dstack([grey] * 3)
    return {
        f"{what} {ending}": (cv2.imencode(ending, pixels.astype(np.uint16) * 257)[1].tobytes(), shown)
        for ending in (".png", ".tiff")
        for what, pixels, shown in (
            ("grey", grey, in_grey),
            ("color", np.ascontiguousarray(rgb[:, :, ::-1]), rgb),
            ("alpha", bgra, over_white),
        )
    }


@cache
def has_avif() -> bool:
    """Whether both sides can: Pillow to write it, OpenCV to read it."""
    try:
        data = encoded(color(), "AVIF")
    except (KeyError, OSError):
        return False
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def images_with_tiny_parts(n: int) -> dict[str, bytes]:
    """The beginning of an image of 8x8 pixels behind `n` parts that hold nothing, by format."""
    size, large = struct.pack(">HH", 8, 8), struct.pack(">IIII", 8, 8, 0, 0)
    head = b"\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0) + bytes(4)
    return {
        "JPEG": b"\xff\xd8" + b"\xff\xe2\0\2" * n + b"\xff\xc0\0\x11\x08" + size + bytes(20),
        "PNG": b"\x89PNG\r\n\x1a\n" + head + b"\0\0\0\0abcd\0\0\0\0" * n + b"\0\0\0\0IEND\0\0\0\0",
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x08abcd" * n + b"\xff\x4f\xff\x51" + bytes(4) + large,
    }
