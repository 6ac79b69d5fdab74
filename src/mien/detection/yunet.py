"""YuNet face detector in onnxruntime: decoding and non-maximum suppression.

Wu, Peng & Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector", doi 10.1007/s11633-023-1423-y. What comes out is
what cv2.FaceDetectorYN gives for the same image, to a thousandth of a pixel; a test holds that.

H rows, W columns, N faces, M cells.
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.model import SHIPPED, open_session

FILE = SHIPPED / "yunet.onnx"
SHA256 = "21642bd2e3f563a5ff4245f72ff8411c590e764ed8a301b9a9f8111ef551348d"
STRIDES = (8, 16, 32)  # pixels a cell, of the three grids of cells
OVERLAP = 0.3  # of two boxes, intersection over union; above it the less sure one goes
MOST = 5000  # boxes that are thinned out, the surest
_OUTPUTS = [f"{what}_{stride}" for stride in STRIDES for what in ("cls", "obj", "bbox", "kps")]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class YuNet:
    """The open model. Several threads may ask it at the same time.

    Args:
        threads: of one forward; default `mien.threads.threads()`.

    Raises:
        ModelError: the shipped file is not there or damaged.
    """

    def __init__(self, *, threads: int | None = None) -> None:
        try:
            graph = FILE.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read {FILE}: {error.strerror or error}; install mien anew") from None
        found = hashlib.sha256(graph).hexdigest()
        if found != SHA256:
            raise ModelError(
                f"{FILE} is damaged: its sha256 begins with {found[:12]}, expected {SHA256[:12]}; install mien anew"
            )
        self._session = open_session(graph, str(FILE), threads, dynamic_shapes=True)

    def with_threads(self, threads: int) -> YuNet:
        """The same model, opened anew to use so many threads."""
        return YuNet(threads=threads)

    def __call__(self, image_HW3: Pixels, threshold: float) -> Floats:
        """The faces in a BGR image, the surest first, float32 [N,15].

        A row is left, top, width and height of the box, then x and y of right eye, left eye, nose tip, right and left
        corner of the mouth (the person's own right and left), then the score from 0 to 1; all in pixels.
        """
        high, wide = image_HW3.shape[:2]
        below, beside = -high % STRIDES[-1], -wide % STRIDES[-1]
        if below or beside:
            border = cv2.copyMakeBorder(image_HW3, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=0)
            image_HW3 = np.asarray(border, np.uint8)
        planes_3HW = np.empty((3, *image_HW3.shape[:2]), np.uint8)
        cv2.split(image_HW3, list(planes_3HW))
        told = self._session.run(_OUTPUTS, {"input": planes_3HW.astype(np.float32)[None]})
        faces_N15 = _decode(told, wide + beside, threshold)
        return faces_N15[nms(faces_N15[:, :4], faces_N15[:, 14], OVERLAP)]


def _decode(told: list[Floats], wide: int, threshold: float) -> Floats:
    """The faces that the three grids of cells tell of, float32 [N,15].

    Args:
        told: for each grid how likely it is a face, [1,M,1] twice, and boxes [1,M,4] and points [1,M,10].
        wide: columns of the image.
        threshold: the score that a face needs.
    """
    found, least = [np.empty((0, 15), np.float32)], 0.999 * threshold * threshold
    for i, stride in enumerate(STRIDES):
        cls, obj, box, points = told[4 * i : 4 * i + 4]
        cell_N = np.flatnonzero(cls[0, :, 0] * obj[0, :, 0] >= least)  # nearly all are left out here, at little cost
        if not len(cell_N):
            continue
        score_N = np.sqrt(cls[0, cell_N, 0].clip(0, 1) * obj[0, cell_N, 0].clip(0, 1))
        columns = wide // stride
        at_N2 = np.stack([cell_N % columns, cell_N // columns], 1).astype(np.float32)
        middle_N2 = (at_N2 + box[0, cell_N, :2]) * stride
        size_N2 = np.exp(box[0, cell_N, 2:]) * stride
        points_N52 = (points[0, cell_N].reshape(-1, 5, 2) + at_N2[:, None]) * stride
        parts = [middle_N2 - size_N2 / 2, size_N2, points_N52.reshape(-1, 10), score_N[:, None]]
        found.append(np.concatenate(parts, 1).astype(np.float32)[score_N >= threshold])
    return np.concatenate(found)


def nms(boxes_N4: Floats, scores_N: Floats, overlap: float) -> NDArray[np.intp]:
    """Which boxes stay, the surest first: those that overlap no surer one by more than `overlap`.

    Boxes are cut to whole pixels before they are compared, as OpenCV does.
    """
    order = np.argsort(-scores_N, kind="stable")[:MOST]
    x_N, y_N, w_N, h_N = np.trunc(boxes_N4[order]).astype(np.float64).T
    stays_N = np.ones(len(order), bool)
    for i in range(len(order)):
        if not stays_N[i]:
            continue
        wide = np.minimum(x_N[i] + w_N[i], x_N + w_N) - np.maximum(x_N[i], x_N)
        high = np.minimum(y_N[i] + h_N[i], y_N + h_N) - np.maximum(y_N[i], y_N)
        shared = wide.clip(0) * high.clip(0)
        union = w_N[i] * h_N[i] + w_N * h_N - shared
        covered = shared > overlap * union
        covered[: i + 1] = False
        stays_N &= ~covered
    return order[stays_N]
