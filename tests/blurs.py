"""Unrelated images with smooth structure, as faces have."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Faces = NDArray[np.uint8]


def fields(count: int, seed: int = 0) -> Faces:
    """Return `count` images of blurred noise, uint8 [N,48,48]."""
    rng = np.random.default_rng(seed)
    rough = [cv2.GaussianBlur(rng.normal(size=(60, 60)), (0, 0), 3)[6:54, 6:54] for _ in range(count)]
    return np.stack([cv2.normalize(r, None, 10, 245, cv2.NORM_MINMAX).round().astype(np.uint8) for r in rough])


def jpeg(face_HW: Faces, quality: int) -> Faces:
    """Return a face [48,48] after JPEG compression."""
    return cv2.imdecode(cv2.imencode(".jpg", face_HW, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
