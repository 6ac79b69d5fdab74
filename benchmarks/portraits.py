"""Photos for benchmarks, generated from the sample portrait of the package."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from mien.imaging.load import read_image
from mien.recognition import sample


def photos(
    count: int, wide: tuple[int, int], several: float, most: int, nobody_each: int | None = None
) -> Iterator[bytes]:
    """Yield `count` different JPEGs, the same at each call.

    Args:
        count: Number of photos.
        wide: Range of widths in pixels, the second excluded.
        several: Share of photos with several faces.
        most: Largest number of faces in a photo.
        nobody_each: Period of photos without a face, None for no such photos.
    """
    portrait_HW3, rng = read_image(sample()), np.random.default_rng(0)
    for number in range(count):
        image_HW3 = portrait_HW3[: rng.integers(330, 512), rng.integers(0, 110) : rng.integers(350, 512)]
        if rng.random() < 0.5:
            image_HW3 = image_HW3[:, ::-1]
        if rng.random() < several:
            image_HW3 = np.hstack([image_HW3] * int(rng.integers(2, most + 1)))
        if nobody_each is not None and number % nobody_each == nobody_each - 1:
            image_HW3 = image_HW3[:12, :12]
        width = int(rng.integers(*wide))
        size = width, max(1, round(width * image_HW3.shape[0] / image_HW3.shape[1]))
        image_HW3 = cv2.convertScaleAbs(cv2.resize(image_HW3, size), alpha=rng.uniform(0.6, 1.2))
        quality = int(rng.integers(60, 96))
        yield cv2.imencode(".jpg", image_HW3, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
