"""`read_image`: a path, bytes, a PIL image or an array as BGR pixels, within limits.

H rows, W columns, C channels. Pixels are those of the image as it is displayed, after EXIF orientation.
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
from mien.imaging.formats import FORMATS, HEIC, VIDEO, Header, detect_format, read_header

__all__ = ["COLOR_ORDERS", "MAX_BYTES", "MAX_PIXELS", "CropRule", "ImageSource", "crop", "read_image", "source_name"]

MAX_PIXELS = 50_000_000  # of an image, by its header, before anything is decoded
MAX_BYTES = 100_000_000  # of an image file
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
    """Read an image as it is displayed, BGR uint8 [H,W,3].

    EXIF orientation is applied, transparent pixels are blended with white, 16 bits are reduced to 8, and of an
    animation the first frame is read. An array that is a BGR image already is returned without a copy.

    Args:
        source: Path of an image file; content of one; PIL image; or array [H,W] or [H,W,C] of uint8 or uint16.
        order: Channel order of an array: `bgr` (OpenCV), `rgb` (Pillow and most other libraries) or `grey`. Color
            arrays need it, alpha may be the last channel; other sources ignore it.
        max_pixels: Number of pixels above which an image is refused, before it is decoded.
        max_bytes: Number of bytes above which an image file is refused.
        name: Name of the image in errors; default its path, or "the image".

    Raises:
        ImageError: The image cannot be read; the message says why and what to do.
        MienError: `source` or `order` is not supported.

    Example:
        >>> from mien.recognition import sample
        >>> read_image(sample()).shape
        (512, 512, 3)
    """
    name = name or source_name(source) or "the image"
    if isinstance(source, str | Path | bytes | bytearray | memoryview):
        data = read_encoded(source, name, max_bytes)
        return decode(data, checked_header(data, name, max_pixels), name)
    if isinstance(source, np.ndarray):
        return _from_array(source, order, name, max_pixels)
    if _is_pil(source):
        return _from_pil(source, name, max_pixels)
    raise MienError(
        f"an image must be a path, the bytes of a file, a PIL image or a numpy array, got {type(source).__name__}"
    )


def source_name(source: ImageSource) -> str:
    """Return the path of an image source, or an empty string if it is not a path."""
    return str(source) if isinstance(source, str | Path) else ""


def read_encoded(source: str | Path | bytes | bytearray | memoryview, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of an image file.

    Args:
        source: Path of the file, or its content.
        name: Name of the image in errors.
        max_bytes: Number of bytes above which the file is refused.

    Raises:
        ImageError: The file cannot be read or is too large.
    """
    if isinstance(source, str | Path):
        return _read(Path(source), name, max_bytes)
    data = bytes(source)
    if len(data) > max_bytes:
        raise _file_too_large(name, len(data), max_bytes)
    return data


def _first_bytes(data: bytes) -> str:
    """Return the first eight bytes as hexadecimal numbers, and as text if they are ASCII text."""
    first = data[:8]
    readable = all(32 <= byte < 127 or byte in b"\t\n\r" for byte in first)
    return first.hex(" ") + (f", {first.decode()!r}" if readable else "")


def checked_header(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Header:
    """Return the header of an image file that may be decoded.

    Args:
        data: Content of the file.
        name: Name of the image in errors.
        max_pixels: Number of pixels above which the image is refused.

    Raises:
        ImageError: The file is empty, of another format or damaged, or the image is too large.
    """
    if not data:
        raise ImageError(f"{name}: the file is empty; download or copy it again")
    kind = detect_format(data)
    if kind == HEIC:
        raise ImageError(
            f"{name}: HEIC images are not supported; save it as JPEG (on an iPhone: Settings, Camera, Formats, Most "
            "Compatible), or pass its pixels as an array"
        )
    if kind not in FORMATS:
        problem = f"{kind} files are not supported" if kind else f"not an image file (starts with {_first_bytes(data)})"
        if kind == VIDEO:
            problem = "not an image file but a video; use `mien video`"
        raise ImageError(f"{name}: {problem}; supported formats: {', '.join(FORMATS)}")
    header = read_header(data)
    if header is None:
        raise ImageError(f"{name}: damaged or truncated {kind} image; download or copy it again")
    if header.pixels > max_pixels:
        raise _image_too_large(name, header.width, header.height, max_pixels)
    return header


def _read(path: Path, name: str, max_bytes: int) -> bytes:
    """Return the content of a regular file within the limit."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{name}: is a folder, expected an image file")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name}: is a device or a pipe, expected an image file")
        if status.st_size > max_bytes:
            raise _file_too_large(name, status.st_size, max_bytes)
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{name}: there is no such file") from None
    except PermissionError:
        raise ImageError(f"{name}: cannot be read: permission denied") from None
    except OSError as error:
        raise ImageError(f"{name}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a null byte, or text that cannot be encoded
        raise ImageError(f"{name!r}: not a valid path: {error}") from None


def _from_array(pixels: NDArray[Any], order: str | None, name: str, max_pixels: int) -> Pixels:
    if order is not None and order not in COLOR_ORDERS:
        raise MienError(f"order must be one of {', '.join(COLOR_ORDERS)}, got {order!r}")
    has_color = pixels.ndim == 3 and pixels.shape[2] > 2
    if has_color and order is None:
        raise MienError(
            "a color array needs its channel order: pass order='bgr' (OpenCV) or order='rgb' (Pillow and most other "
            "libraries)"
        )
    if has_color and order == "grey":
        raise MienError(f"a grey image must have the shape [H,W] or [H,W,1], got {list(pixels.shape)}")
    if pixels.ndim > 1 and pixels.shape[0] * pixels.shape[1] > max_pixels:
        raise _image_too_large(name, pixels.shape[1], pixels.shape[0], max_pixels)
    return to_bgr(pixels, name, rgb=order == "rgb")


def _is_pil(source: object) -> bool:
    """Return whether an object is a PIL image, without importing Pillow: only an imported Pillow can have made one."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(source, pillow.Image)


def _from_pil(image: Any, name: str, max_pixels: int) -> Pixels:
    from PIL import ImageOps

    if image.width * image.height > max_pixels:
        raise _image_too_large(name, image.width, image.height, max_pixels)
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            return to_bgr(np.asarray(image).astype(np.uint16), name)
        if image.mode in ("I", "F"):
            return to_bgr(np.asarray(image), name)  # raises: the type is not supported
        alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
        return to_bgr(np.asarray(image.convert("RGBA" if alpha else "RGB")), name, rgb=True)
    except (OSError, ValueError, SyntaxError, TypeError, struct.error, MemoryError) as error:  # Pillow decodes lazily
        raise ImageError(f"{name}: cannot be read: {error}") from None


def _file_too_large(name: str, size: int, limit: int) -> ImageError:
    return ImageError(
        f"{name}: has {size / 1e6:,.1f} MB, above the limit of {limit / 1e6:,.1f}; use a smaller one or raise the limit"
    )


def _image_too_large(name: str, width: int, height: int, limit: int) -> ImageError:
    return ImageError(
        f"{name}: has {width} x {height} pixels, {width * height / 1e6:,.1f} megapixels, above the limit of "
        f"{limit / 1e6:,.1f}; use a smaller copy or raise the limit"
    )
