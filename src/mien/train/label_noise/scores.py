"""Label noise scores: out-of-fold predictions, by which labels are ranked, in a file.

Source: confident learning, Northcutt et al. 2021, arXiv 1911.00068. A face counts as mislabeled if a class other than
its label is at least as likely as that class is, on average, for the faces labeled with it. Among these, the face
whose label loses to another class by the largest margin comes first.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mien.errors import RunError
from mien.train.runs.checkpoint import write_atomically

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

PROBS, FORMER_PROBS = "probs", "told"  # name of the probabilities in a file, and in files of run version 1


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """Predictions for training faces by models that were not trained on them.

    Attributes:
        data: Digest of the data set.
        labels: Names of the K classes, in order.
        rows_N: Row of each face in its data set, int64 [N].
        probs_NK: Probabilities of the classes, float32 [N,K]; each row sums to 1.

    Raises:
        RunError: The shapes do not match.

    >>> noise = LabelNoise("digest", ("sad", "happy"), np.array([4, 7]), np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))
    >>> noise.of(np.array([7])).argmax(axis=1).tolist()
    [1]
    """

    data: str
    labels: tuple[str, ...]
    rows_N: Ints
    probs_NK: Floats

    def __post_init__(self) -> None:
        expected = (len(self.rows_N), len(self.labels))
        if self.probs_NK.shape != expected:
            raise RunError(
                f"label noise scores of {expected[0]} faces and {expected[1]} classes need probabilities "
                f"{list(expected)}, got {list(self.probs_NK.shape)}"
            )

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all fields, as hex, for the record of a run."""
        sha256 = hashlib.sha256("\n".join((self.data, *self.labels)).encode())
        for array in (self.rows_N, self.probs_NK):
            sha256.update(np.ascontiguousarray(array).tobytes())
        return sha256.hexdigest()

    def of(self, rows_M: Ints) -> Floats:
        """Return the probabilities of the faces in some rows of the data set.

        Args:
            rows_M: Rows of the data set, int64 [M].

        Returns:
            Probabilities, float32 [M,K].

        Raises:
            RunError: There are no predictions for some of the rows.
        """
        order_N = np.argsort(self.rows_N)
        position_M = np.searchsorted(self.rows_N, rows_M, sorter=order_N)
        known_M = position_M < len(self.rows_N)
        known_M[known_M] = self.rows_N[order_N[position_M[known_M]]] == rows_M[known_M]
        if not known_M.all():
            raise RunError(
                f"label noise scores are missing for {int((~known_M).sum()):,} of the training faces; compute them "
                "again with mien.train.out_of_fold"
            )
        return self.probs_NK[order_N[position_M]]

    def write(self, file: str | Path) -> None:
        """Write the predictions as an .npz file, which `read_label_noise` reads.

        Args:
            file: Path of the file.

        Raises:
            RunError: The file cannot be written.
        """
        arrays: dict[str, Any] = {
            "data": self.data,
            "labels": np.array(self.labels),
            "rows": self.rows_N,
            PROBS: self.probs_NK,
        }
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_atomically(Path(file), content.getvalue())


def read_label_noise(file: str | Path) -> LabelNoise:
    """Read label noise scores from a file that `LabelNoise.write` wrote.

    Args:
        file: Path of the file.

    Raises:
        RunError: The file does not exist or has another format.
    """
    try:
        with np.load(io.BytesIO(Path(file).read_bytes()), allow_pickle=False) as arrays:
            labels = tuple(str(name) for name in arrays["labels"])
            probs = FORMER_PROBS if FORMER_PROBS in arrays else PROBS
            rows_N, probs_NK = arrays["rows"].astype(np.int64), arrays[probs].astype(np.float32)
            return LabelNoise(str(arrays["data"]), labels, rows_N, probs_NK)
    except FileNotFoundError:
        raise RunError(f"file of label noise scores not found: {file}; mien.train.out_of_fold writes one") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, BadZipFile) as error:
        raise RunError(
            f"{file} is not a file of label noise scores ({error}); mien.train.out_of_fold writes one"
        ) from None


def rank_by_confident_learning(labels_N: Ints, probs_NK: Floats) -> Ints:
    """Rank faces by confident learning, the most likely mislabeled first.

    Args:
        labels_N: Class of each face, int64 [N].
        probs_NK: Probabilities by models that were not trained on these faces, float32 [N,K].

    Returns:
        Indices of the faces, int64 [N].

    >>> rank_by_confident_learning(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]], np.float32))
    array([1, 2, 0])
    """
    index_N = np.arange(len(labels_N))
    threshold_K = np.array(
        [probs_NK[labels_N == k, k].mean() if (labels_N == k).any() else np.inf for k in range(len(probs_NK[0]))]
    )
    confident_NK = np.where(probs_NK >= threshold_K, probs_NK, 0.0)
    mislabelled_N = (confident_NK.max(1) > 0) & (confident_NK.argmax(1) != labels_N)
    others_NK = probs_NK.copy()
    others_NK[index_N, labels_N] = -np.inf
    margin_N = probs_NK[index_N, labels_N] - others_NK.max(1)
    return np.lexsort((margin_N, ~mislabelled_N))


def rank_by_self_confidence(labels_N: Ints, probs_NK: Floats) -> Ints:
    """Rank faces by the probability of their own label, the least likely label first; the baseline.

    Args:
        labels_N: Class of each face, int64 [N].
        probs_NK: Probabilities by models that were not trained on these faces, float32 [N,K].

    Returns:
        Indices of the faces, int64 [N].

    >>> rank_by_self_confidence(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]], np.float32))
    array([1, 2, 0])
    """
    return np.argsort(probs_NK[np.arange(len(labels_N)), labels_N], kind="stable")
