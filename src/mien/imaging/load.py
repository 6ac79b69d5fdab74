"""`read_image`: a path, bytes, a PIL image or an array as BGR pixels, within limits.

H rows, W columns, C channels. Pixels are those of the image as it is seen, EXIF turned.
"""

from __future__ import annotations

import stat
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError, MienError
from mien.imaging.crop import CropRule, crop
from mien.imaging.decode import Pixels, decode, to_bgr
from mien.imaging.formats import FORMATS, HEIC, VIDEO, Header, format_of, read_header

__all__ = ["COLOR_ORDERS", "MAX_BYTES", "MAX_PIXELS", "CropRule", "ImageSource", "crop", "name_of", "read_image"]

MAX_PIXELS = 50_000_000  # of an image, as its header tells before anything is decoded
MAX_BYTES = 100_000_000  # of its file
COLOR_ORDERS = ("bgr", "rgb", "grey")

ImageSource = Any  # a path, bytes, a PIL image, or an array [H,W] or [H,W,C]


def read_image(
    source: ImageSource,
    *,
    order: str | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    name: str | None = None,
) -> Pixels:
    """An image as it is seen, BGR uint8 [H,W,3].

    EXIF's orientation is applied, alpha laid over white, 16 bits brought to 8; of an animated file the first frame is
    read. An array that is a BGR image already is given back as it is, not copied.

    Args:
        source: a path; the bytes of a file; a PIL image; or an array [H,W] or [H,W,C] of uint8 or uint16.
        order: of an array's colors: `bgr`, as OpenCV has them, `rgb`, as Pillow and most others, or `grey`. Colors
            need it, as nothing in them tells; alpha may come last. Not looked at for other sources.
        max_pixels: width times height; what has more is refused, a file before it is decoded.
        max_bytes: of a file.
        name: what to call it in errors; default its path, or "the image".

    Raises:
        ImageError: it cannot be read; one sentence says what it is and what to do.
        MienError: `source` or `order` is of no known kind.
    """
    name = name or name_of(source) or "the image"
    if isinstance(source, str | Path | bytes | bytearray | memoryview):
        data = encoded(source, name, max_bytes)
        return decode(data, checked_header(data, name, max_pixels), name)
    if isinstance(source, np.ndarray):
        return _from_array(source, order, name, max_pixels)
    if _is_pil(source):
        return _from_pil(source, name, max_pixels)
    raise MienError(
        f"an image is a path, the bytes of a file, a PIL image or a numpy array, got {type(source).__name__}"
    )


def name_of(source: ImageSource) -> str:
    """What an image is called: its path, or nothing where it has none."""
    return str(source) if isinstance(source, str | Path) else ""


def encoded(source: str | Path | bytes | bytearray | memoryview, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of an image's file; `ImageError` where it cannot be read or is too long."""
    if isinstance(source, str | Path):
        return _read(Path(source), name, max_bytes)
    data = bytes(source)
    if len(data) > max_bytes:
        raise _too_long(name, len(data), max_bytes)
    return data


def checked_header(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Header:
    """What an image's bytes tell before they are decoded; `ImageError` where they are none or it is too large."""
    if not data:
        raise ImageError(f"{name}: is empty, 0 bytes; get the file anew")
    kind = format_of(data)
    if kind == HEIC:
        raise ImageError(
            f"{name}: is a HEIC image, which mien does not read; save it as JPEG (on an iPhone: Settings, Camera, "
            "Formats, Most Compatible), or give its pixels as an array"
        )
    if kind not in FORMATS:
        what = f"is {kind}" if kind else f"begins like no image ({data[:8].hex(' ')})"
        what = "is a video, which `mien video` reads" if kind == VIDEO else what
        raise ImageError(f"{name}: {what}; expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    header = read_header(data)
    if header is None:
        raise ImageError(f"{name}: is a {kind} image that is damaged or cut off; get the file anew")
    if header.pixels > max_pixels:
        raise _too_large(name, header.width, header.height, max_pixels)
    return header


def _read(path: Path, name: str, max_bytes: int) -> bytes:
    """The bytes of a regular file that is not too long."""
    try:
        there = path.stat()
        if stat.S_ISDIR(there.st_mode):
            raise ImageError(f"{name}: is a folder, expected an image")
        if not stat.S_ISREG(there.st_mode):
            raise ImageError(f"{name}: is no file but a device or a pipe, expected an image")
        if there.st_size > max_bytes:
            raise _too_long(name, there.st_size, max_bytes)
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{name}: there is no such file") from None
    except PermissionError:
        raise ImageError(f"{name}: cannot be read, permission is denied") from None
    except OSError as error:
        raise ImageError(f"{name}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a null byte, or no text that a file could be called by
        raise ImageError(f"{name!r}: is no path: {error}") from None


def _from_array(pixels: NDArray[Any], order: str | None, name: str, max_pixels: int) -> Pixels:
    if order is not None and order not in COLOR_ORDERS:
        raise MienError(f"an array's order is one of {', '.join(COLOR_ORDERS)}, got {order!r}")
    coloured = pixels.ndim == 3 and pixels.shape[2] > 2
    if coloured and order is None:
        raise MienError(
            "an array does not tell how its colors are ordered: say order='bgr' (OpenCV's) or order='rgb' (Pillow's "
            "and most others')"
        )
    if coloured and order == "grey":
        raise MienError(f"a grey image is an array [H,W] or [H,W,1], got {list(pixels.shape)} with order='grey'")
    if pixels.ndim > 1 and pixels.shape[0] * pixels.shape[1] > max_pixels:
        raise _too_large(name, pixels.shape[1], pixels.shape[0], max_pixels)
    return to_bgr(pixels, name, rgb=order == "rgb")


def _is_pil(source: object) -> bool:
    """Whether it is an image of Pillow's, which then has been imported by whoever made it."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(source, pillow.Image)


def _from_pil(image: Any, name: str, max_pixels: int) -> Pixels:
    from PIL import ImageOps

    if image.width * image.height > max_pixels:
        raise _too_large(name, image.width, image.height, max_pixels)
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            return to_bgr(np.asarray(image).astype(np.uint16), name)
        if image.mode in ("I", "F"):
            return to_bgr(np.asarray(image), name)  # which says that their range cannot be told
        alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
        return to_bgr(np.asarray(image.convert("RGBA" if alpha else "RGB")), name, rgb=True)
    except (OSError, ValueError, SyntaxError, TypeError, struct.error, MemoryError) as error:  # Pillow decodes only now
        raise ImageError(f"{name}: cannot be read: {error}") from None


def _too_long(name: str, size: int, limit: int) -> ImageError:
    return ImageError(
        f"{name}: has {size / 1e6:,.1f} MB, above the limit of {limit / 1e6:,.1f}; make it smaller or raise the limit"
    )


def _too_large(name: str, width: int, height: int, limit: int) -> ImageError:
    return ImageError(
        f"{name}: has {width} x {height} pixels, {width * height / 1e6:,.1f} megapixels, above the limit of "
        f"{limit / 1e6:,.1f}; make it smaller or raise the limit"
    )
