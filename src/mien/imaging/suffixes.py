"""File name suffixes of images."""

from __future__ import annotations

# HEIC is one of them, so that users read why such a file is not supported.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm",
    ".jp2", ".j2k", ".avif", ".mpo", ".apng", ".dib", ".pam", ".heic", ".heif",
)  # fmt: skip
