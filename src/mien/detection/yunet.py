"""YuNet face detector in onnxruntime: decoding and non-maximum suppression.

Wu, Peng & Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector", doi 10.1007/s11633-023-1423-y. The boxes equal
those of cv2.FaceDetectorYN to a thousandth of a pixel, which a test checks.

H rows, W columns, N faces, M cells.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.model_files import SHIPPED, read_asset
from mien.model_graph import open_session

FILE = SHIPPED / "yunet.onnx"
SHA256 = "21642bd2e3f563a5ff4245f72ff8411c590e764ed8a301b9a9f8111ef551348d"
STRIDES = (8, 16, 32)  # pixels per cell, of the three grids of cells
NMS_IOU = 0.3  # intersection over union above which the box with the lower score is removed
MAX_CANDIDATES = 5000  # boxes that enter non-maximum suppression, those with the highest scores
_OUTPUTS = [f"{output}_{stride}" for stride in STRIDES for output in ("cls", "obj", "bbox", "kps")]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class YuNet:
    """The YuNet model. Several threads may call one at the same time.

    Args:
        threads: Number of threads of one forward pass; default `mien.threads.threads()`.

    Raises:
        ModelError: The shipped model file is missing or damaged.

    Example:
        >>> YuNet()(np.zeros((60, 80, 3), np.uint8), threshold=0.65).shape
        (0, 15)
    """

    def __init__(self, *, threads: int | None = None) -> None:
        self._session = open_session(read_asset(FILE, SHA256), str(FILE), threads, dynamic_shapes=True)

    def with_threads(self, threads: int) -> YuNet:
        """Return the same model, loaded again with `threads` threads."""
        return YuNet(threads=threads)

    def __call__(self, image_HW3: Pixels, threshold: float) -> Floats:
        """Return the faces in a BGR image, uint8 [H,W,3], highest score first, float32 [N,15].

        A row has left, top, width and height of the box, then x and y of right eye, left eye, nose tip, right and left
        corner of the mouth (the person's own right and left), all in pixels, then the score from 0 to 1.
        """
        height, width = image_HW3.shape[:2]
        pad_bottom, pad_right = -height % STRIDES[-1], -width % STRIDES[-1]
        if pad_bottom or pad_right:
            padded = cv2.copyMakeBorder(image_HW3, 0, pad_bottom, 0, pad_right, cv2.BORDER_CONSTANT, value=0)
            image_HW3 = np.asarray(padded, np.uint8)
        planes_3HW = np.empty((3, *image_HW3.shape[:2]), np.uint8)
        cv2.split(image_HW3, list(planes_3HW))
        outputs = self._session.run(_OUTPUTS, {"input": planes_3HW.astype(np.float32)[None]})
        faces_N15 = _decode(outputs, width + pad_right, threshold)
        return faces_N15[nms(faces_N15[:, :4], faces_N15[:, 14], NMS_IOU)]


def _decode(outputs: list[Floats], width: int, threshold: float) -> Floats:
    """Return the faces in the outputs of the model, float32 [N,15].

    Args:
        outputs: For each grid of cells two scores [1,M,1], boxes [1,M,4] and landmarks [1,M,10].
        width: Columns of the image.
        threshold: Least score of a face.
    """
    faces, least = [np.empty((0, 15), np.float32)], 0.999 * threshold * threshold
    for i, stride in enumerate(STRIDES):
        cls, obj, box, points = outputs[4 * i : 4 * i + 4]
        cell_N = np.flatnonzero(cls[0, :, 0] * obj[0, :, 0] >= least)  # removes nearly all cells at little cost
        if not len(cell_N):
            continue
        score_N = np.sqrt(cls[0, cell_N, 0].clip(0, 1) * obj[0, cell_N, 0].clip(0, 1))
        columns = width // stride
        at_N2 = np.stack([cell_N % columns, cell_N // columns], 1).astype(np.float32)
        center_N2 = (at_N2 + box[0, cell_N, :2]) * stride
        size_N2 = np.exp(box[0, cell_N, 2:]) * stride
        points_N52 = (points[0, cell_N].reshape(-1, 5, 2) + at_N2[:, None]) * stride
        parts = [center_N2 - size_N2 / 2, size_N2, points_N52.reshape(-1, 10), score_N[:, None]]
        faces.append(np.concatenate(parts, 1).astype(np.float32)[score_N >= threshold])
    return np.concatenate(faces)


def nms(boxes_N4: Floats, scores_N: Floats, max_iou: float) -> NDArray[np.intp]:
    """Return the indices of the boxes that non-maximum suppression keeps, highest score first.

    A box is removed if its intersection over union with a kept box is above `max_iou`. Boxes are truncated to whole
    pixels before they are compared, as OpenCV does.

    Args:
        boxes_N4: Left, top, width and height, float32 [N,4].
        scores_N: Scores, float32 [N].
        max_iou: Largest intersection over union of two boxes that are both kept.

    Example:
        >>> boxes_N4 = np.array([[0, 0, 10, 10], [1, 1, 10, 10], [30, 0, 10, 10]], np.float32)
        >>> nms(boxes_N4, np.array([0.8, 0.9, 0.7], np.float32), 0.3).tolist()
        [1, 2]
    """
    order = np.argsort(-scores_N, kind="stable")[:MAX_CANDIDATES]
    x_N, y_N, w_N, h_N = np.trunc(boxes_N4[order]).astype(np.float64).T
    keep_N = np.ones(len(order), bool)
    for i in range(len(order)):
        if not keep_N[i]:
            continue
        width_N = np.minimum(x_N[i] + w_N[i], x_N + w_N) - np.maximum(x_N[i], x_N)
        height_N = np.minimum(y_N[i] + h_N[i], y_N + h_N) - np.maximum(y_N[i], y_N)
        intersection_N = width_N.clip(0) * height_N.clip(0)
        union_N = w_N[i] * h_N[i] + w_N * h_N - intersection_N
        suppressed_N = intersection_N > max_iou * union_N
        suppressed_N[: i + 1] = False
        keep_N &= ~suppressed_N
    return order[keep_N]
