"""Scores of label noise, ranked, in a file.

Source: confident learning, Northcutt et al. 2021, arXiv 1911.00068. A face counts as mislabelled where some class other
than its label is at least as likely as that class is, on average, on the faces that carry it; the most one-sided of
these come first.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mien.errors import RunError
from mien.train.runs.checkpoint import write_atomically

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """What models say of training faces that they did not learn from.

    Attributes:
        data: digest of the data set that the faces are of.
        labels: names of the K classes, in order.
        rows_N: where each face stands in its source, int64 [N].
        probs_NK: probabilities of the classes, float32 [N,K], rows sum to 1.
    """

    data: str
    labels: tuple[str, ...]
    rows_N: Ints
    probs_NK: Floats

    def __post_init__(self) -> None:
        if self.probs_NK.shape != (len(self.rows_N), len(self.labels)):
            raise RunError(
                f"doubts about {len(self.rows_N)} faces of {len(self.labels)} classes need as many probabilities, "
                f"got {list(self.probs_NK.shape)}"
            )

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, as hex, for the record of a run that goes by it."""
        about = hashlib.sha256("\n".join((self.data, *self.labels)).encode())
        for array in (self.rows_N, self.probs_NK):
            about.update(np.ascontiguousarray(array).tobytes())
        return about.hexdigest()

    def of(self, rows_M: Ints) -> Floats:
        """The probabilities of the faces that stand at these rows of the source, [M,K].

        Raises:
            RunError: some are not among them.
        """
        order_N = np.argsort(self.rows_N)
        place_M = np.searchsorted(self.rows_N, rows_M, sorter=order_N)
        known_M = place_M < len(self.rows_N)
        known_M[known_M] = self.rows_N[order_N[place_M[known_M]]] == rows_M[known_M]
        if not known_M.all():
            raise RunError(f"the doubts say nothing of {int((~known_M).sum()):,} of the training faces: make them anew")
        return self.probs_NK[order_N[place_M]]

    def write(self, file: str | Path) -> None:
        """Write them as an .npz that `read_label_noise` reads; `RunError` where that cannot be done."""
        array = io.BytesIO()
        np.savez(array, data=self.data, labels=np.array(self.labels), rows=self.rows_N, probs=self.probs_NK)
        write_atomically(Path(file), array.getvalue())


def read_label_noise(file: str | Path) -> LabelNoise:
    """The doubts that `LabelNoise.write` wrote; `RunError` where `file` is none such."""
    try:
        with np.load(io.BytesIO(Path(file).read_bytes()), allow_pickle=False) as kept:
            labels = tuple(str(name) for name in kept["labels"])
            return LabelNoise(
                str(kept["data"]), labels, kept["rows"].astype(np.int64), kept["probs"].astype(np.float32)
            )
    except FileNotFoundError:
        raise RunError(f"no file of doubts is called {file}; mien.train.out_of_fold makes one") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, BadZipFile) as error:
        raise RunError(f"{file} holds no doubts ({error}); mien.train.out_of_fold makes such a file") from None


def rank_by_confident_learning(labels_N: Ints, probs_NK: Floats) -> Ints:
    """Places of the faces, the least believable label first, int64 [N], by confident learning.

    Args:
        labels_N: the class of each face, int64 [N], every one at least 0.
        probs_NK: what models that did not learn these labels say, float32 [N,K].
    """
    at = np.arange(len(labels_N))
    usual_K = np.array(
        [probs_NK[labels_N == k, k].mean() if (labels_N == k).any() else np.inf for k in range(len(probs_NK[0]))]
    )
    sure_NK = np.where(probs_NK >= usual_K, probs_NK, 0.0)
    accused_N = (sure_NK.max(1) > 0) & (sure_NK.argmax(1) != labels_N)
    others_NK = probs_NK.copy()
    others_NK[at, labels_N] = -np.inf
    margin_N = probs_NK[at, labels_N] - others_NK.max(1)
    return np.lexsort((margin_N, ~accused_N))


def rank_by_self_confidence(labels_N: Ints, probs_NK: Floats) -> Ints:
    """Places of the faces, the one with the least likely label first, int64 [N]: the plain way, for comparison."""
    return np.argsort(probs_NK[np.arange(len(labels_N)), labels_N], kind="stable")
