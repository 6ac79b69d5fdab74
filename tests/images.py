"""One small image in every format and variant that Pillow and OpenCV write, and the pixels a reader should return."""

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
HEIGHT, WIDTH = 96, 120  # neither square nor a multiple of 32


@cache
def color() -> Image.Image:
    """Return the head of the sample, smaller."""
    with Image.open(sample()) as portrait:
        return portrait.crop((140, 20, 320, 164)).resize((WIDTH, HEIGHT)).convert("RGB")


@cache
def translucent_image() -> Image.Image:
    """Return the same image, transparent at the left and opaque at the right."""
    image = color().copy()
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))))
    return image


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def read_with_pillow(data: bytes) -> Pixels:
    """Return an image as Pillow reads it, RGB uint8 [H,W,3], oriented and blended with white."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    white.alpha_composite(image.convert("RGBA"))
    return np.asarray(white.convert("RGB"))


@cache
def images_of_all_formats() -> dict[str, bytes]:
    """Return images of 8 bits by format and variant, which Pillow reads correctly too."""
    rgb, rgba, other = color(), translucent_image(), Image.new("RGB", (WIDTH, HEIGHT), (0, 90, 200))
    grey, palette = rgb.convert("L"), rgb.quantize(64)
    animated: dict[str, Any] = {"save_all": True, "append_images": [other]}
    made = {
        "png color": encode(rgb, "PNG"),
        "png grey": encode(grey, "PNG"),
        "png of one bit": encode(rgb.convert("1"), "PNG"),
        "png with alpha": encode(rgba, "PNG"),
        "png grey with alpha": encode(rgba.convert("LA"), "PNG"),
        "png with a palette": encode(palette, "PNG"),
        "png with a palette and a transparent color": encode(palette, "PNG", transparency=3),
        "png with a transparent color": encode(rgb, "PNG", transparency=rgb.getpixel((50, 50))),
        "png animated": encode(rgb, "PNG", **animated),
        "jpeg color": encode(rgb, "JPEG"),
        "jpeg grey": encode(grey, "JPEG"),
        "jpeg cmyk": encode(rgb.convert("CMYK"), "JPEG"),
        "jpeg progressive": encode(rgb, "JPEG", progressive=True),
        "gif": encode(palette, "GIF"),
        "gif with a transparent color": encode(palette, "GIF", transparency=3),
        "gif animated": encode(palette, "GIF", save_all=True, append_images=[other.quantize(4)]),
        "webp lossy": encode(rgb, "WEBP"),
        "webp lossless": encode(rgb, "WEBP", lossless=True),
        "webp with alpha": encode(rgba, "WEBP", lossless=True, exact=True),
        "webp animated": encode(rgb, "WEBP", lossless=True, **animated),
        "tiff color": encode(rgb, "TIFF"),
        "tiff grey": encode(grey, "TIFF"),
        "tiff with alpha": encode(rgba, "TIFF"),
        "tiff cmyk": encode(rgb.convert("CMYK"), "TIFF"),
        "tiff with a palette": encode(palette, "TIFF"),
        "tiff lzw": encode(rgb, "TIFF", compression="tiff_lzw"),
        "tiff of a fax": encode(rgb.convert("1"), "TIFF", compression="group4"),
        "tiff of two pages": encode(rgb, "TIFF", **animated),
        "bmp color": encode(rgb, "BMP"),
        "bmp with a palette": encode(palette, "BMP"),
        "bmp of one bit": encode(rgb.convert("1"), "BMP"),
        "ppm": encode(rgb, "PPM"),
        "pgm": encode(grey, "PPM"),
        "jpeg 2000": encode(rgb, "JPEG2000"),
        "jpeg 2000 with alpha": encode(rgba, "JPEG2000"),
        "bare codestream of jpeg 2000": encode(rgb, "JPEG2000", no_jp2=True),
    }
    if has_avif():
        made |= {"avif": encode(rgb, "AVIF"), "avif with alpha": encode(rgba, "AVIF")}
    return made


@cache
def images_16_bit() -> dict[str, tuple[bytes, Pixels]]:
    """Return images of 16 bits written by OpenCV, with the expected pixels, RGB uint8 [H,W,3]."""
    rgb, rgba = np.asarray(color()), np.asarray(translucent_image())
    grey = np.asarray(color().convert("L"))
    bgra = np.dstack([rgba[:, :, 2::-1], rgba[:, :, 3]])
    white = Image.new("RGBA", (WIDTH, HEIGHT), (255, 255, 255, 255))
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
    """Return whether Pillow can write AVIF and OpenCV can read it."""
    try:
        data = encode(color(), "AVIF")
    except (KeyError, OSError):
        return False
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def images_with_tiny_parts(n: int) -> dict[str, bytes]:
    """Return the header of an image of 8x8 pixels after `n` empty parts, by format."""
    size, large = struct.pack(">HH", 8, 8), struct.pack(">IIII", 8, 8, 0, 0)
    head = b"\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0) + bytes(4)
    return {
        "JPEG": b"\xff\xd8" + b"\xff\xe2\0\2" * n + b"\xff\xc0\0\x11\x08" + size + bytes(20),
        "PNG": b"\x89PNG\r\n\x1a\n" + head + b"\0\0\0\0abcd\0\0\0\0" * n + b"\0\0\0\0IEND\0\0\0\0",
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x08abcd" * n + b"\xff\x4f\xff\x51" + bytes(4) + large,
    }
