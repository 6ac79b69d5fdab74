"""An ONNX model: open it, verify it against its card, predict probabilities.

A model takes gray faces and gives a probability for each class:

>>> import numpy as np
>>> model = load("base")
>>> faces_NHW = np.zeros((2, 48, 48), np.uint8)
>>> probs_NK = model.probabilities(faces_NHW)
>>> probs_NK.shape
(2, 7)
>>> model.labels.names
('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')

Axes of the arrays: N faces, H and W pixels, K classes, C feature maps of h by w.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.model_card import TTAS, Card
from mien.model_files import (
    CARD,
    GRAPH,
    SHIPPED,
    find_model_files,
    is_model,
    read_card,
    read_file,
    read_model,
    shipped_models,
    verify_sha256,
)
from mien.model_graph import FACES, FORMAT, MAPS, PROBABILITIES, check_graph, open_session
from mien.prior import Prior, apply_prior, parse_prior

__all__ = [
    "CARD",
    "FACES",
    "FORMAT",
    "GRAPH",
    "MAPS",
    "PROBABILITIES",
    "SHIPPED",
    "Model",
    "find_model_files",
    "is_model",
    "load",
    "open_session",
    "read_card",
    "read_model",
    "shipped_models",
]

BATCH = 256  # faces per forward pass

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Model:
    """An open ONNX model. It is thread-safe: several threads may call it at the same time.

    Attributes:
        card: Card of the model.
        source: Path of the ONNX file.
        labels: Classes, in the order of the probabilities.
        prior: Class frequencies that all probabilities are adjusted to; None for the probabilities of the graph.
        class_weights_KC: Weight of each feature map for each class, float32 [K,C]; None where the logits are not a
            linear function of the mean of each map.

    >>> model = load("nano")
    >>> model
    <mien.model.Model 'nano': angry, disgust, fear, happy, sad, surprise, neutral>
    >>> model.class_weights_KC.shape
    (7, 128)
    """

    def __init__(
        self,
        card: Card,
        graph: bytes,
        *,
        source: str = GRAPH,
        threads: int | None = None,
        prior: str | Mapping[str, float] | None = None,
    ) -> None:
        """Open a model from memory; see `load` for a model on disk.

        Args:
            card: Card of the model.
            graph: Content of the ONNX file.
            source: Path of the ONNX file, for error messages and for `with_threads`.
            threads: Number of threads of one forward pass; by default `mien.threads.threads()`.
            prior: Class frequencies that the probabilities are adjusted to, as in `mien.prior.parse_prior`; by default
                the probabilities are those of the graph.

        Raises:
            ModelError: The graph does not match the card: its SHA-256, inputs, outputs or labels differ. Or `prior` is
                given and the card has no class frequencies.
            MienError: `threads` or `prior` is not valid.
        """
        verify_sha256(card, graph, source)
        self.card, self.source, self.labels = card, source, card.labels
        self._session = open_session(graph, source, threads)
        self.class_weights_KC = check_graph(self._session, card, source)
        self.prior = _resolve_prior(prior, card, source)

    def __repr__(self) -> str:
        return f"<mien.model.Model '{self.card.name}': {', '.join(self.labels.names)}>"

    def with_threads(self, threads: int) -> Model:
        """Return the same model with another number of threads.

        The model is opened again from its file. If the file is gone or has changed, the result is this model itself.

        Args:
            threads: Number of threads of one forward pass.

        >>> load("nano", threads=2).with_threads(1).card.name
        'nano'
        """
        file = Path(self.source)
        graph = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(graph).hexdigest() != self.card.sha256:
            return self
        prior = None if self.prior is None else self.prior.option
        return Model(self.card, graph, source=self.source, threads=threads, prior=prior)

    def probabilities(self, faces_NHW: Pixels, *, tta: str = "none", batch: int = BATCH) -> Floats:
        """Predict the probability of each class for each face.

        Args:
            faces_NHW: Gray faces, uint8 [N,48,48].
            tta: Test-time augmentation: `none`, one forward pass per face; or `flip`, the mean of the face and its
                mirror image. A prior is applied once, to the mean.
            batch: Faces per forward pass.

        Returns:
            Probabilities, float32 [N,K]; each row sums to 1.

        Raises:
            ModelError: The faces have another type or shape, `tta` is unknown, or `batch` is less than 1.

        >>> import numpy as np
        >>> probs_NK = load("nano").probabilities(np.zeros((3, 48, 48), np.uint8), tta="flip")
        >>> probs_NK.shape, probs_NK.sum(axis=1).round(4).tolist()
        ((3, 7), [1.0, 1.0, 1.0])
        """
        if tta not in TTAS:
            raise ModelError(f"tta must be one of {', '.join(TTAS)}, got {tta!r}")
        probs_NK = self._run(faces_NHW, [PROBABILITIES], batch)[0]
        if tta == "flip":
            mirrored_NK = self._run(faces_NHW[:, :, ::-1], [PROBABILITIES], batch)[0]
            probs_NK = (probs_NK + mirrored_NK) * np.float32(0.5)
        return self._apply_prior(probs_NK)

    def maps(self, faces_NHW: Pixels, *, batch: int = BATCH) -> tuple[Floats, Floats]:
        """Predict probabilities and return the last feature maps too, for class activation maps.

        Args:
            faces_NHW: Gray faces, uint8 [N,48,48].
            batch: Faces per forward pass.

        Returns:
            Probabilities, float32 [N,K], and feature maps, float32 [N,C,h,w].

        Raises:
            ModelError: As in `probabilities`.

        >>> import numpy as np
        >>> probs_NK, maps_NCHW = load("nano").maps(np.zeros((2, 48, 48), np.uint8))
        >>> maps_NCHW.shape
        (2, 128, 3, 3)
        """
        probs_NK, maps_NCHW = self._run(faces_NHW, [PROBABILITIES, MAPS], batch)
        return self._apply_prior(probs_NK), maps_NCHW

    def _apply_prior(self, probs_NK: Floats) -> Floats:
        if self.prior is None or self.card.class_frequencies is None:
            return probs_NK
        return apply_prior(probs_NK, self.card.class_frequencies.assumed, tuple(self.prior.fractions.values()))

    def _run(self, faces_NHW: Pixels, outputs: list[str], batch: int) -> list[Floats]:
        """Run the graph in batches and return its `outputs`, each [N,...]."""
        side = self.card.side
        if batch < 1:
            raise ModelError(f"batch must be 1 or more, got {batch}")
        is_array = isinstance(faces_NHW, np.ndarray) and faces_NHW.dtype == np.uint8 and faces_NHW.ndim == 3
        if not is_array or faces_NHW.shape[1:] != (side, side):
            raise ModelError(f"faces must be uint8 [N,{side},{side}], got {_describe(faces_NHW)}")
        n = len(faces_NHW)
        if n == 0:  # run one face, to have the shapes, and return no rows
            return [output[:0] for output in self._run(np.zeros((1, side, side), np.uint8), outputs, batch)]
        batches = [
            self._session.run(outputs, {FACES: np.ascontiguousarray(faces_NHW[i : i + batch])})
            for i in range(0, n, batch)
        ]
        return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


def load(
    name_or_path: str | Path, *, threads: int | None = None, prior: str | Mapping[str, float] | None = None
) -> Model:
    """Open a model by name or path; its files are verified first.

    Args:
        name_or_path: Name of a shipped model; or path of a folder with `model.onnx` and `card.json`; or path of one of
            these two files. For a folder with the name of a shipped model, write `./NAME` or pass a `Path`.
        threads: Number of threads of one forward pass; by default `mien.threads.threads()`.
        prior: Class frequencies that the probabilities are adjusted to: `training`, `balanced`, `CLASS=FRACTION,...` or
            a mapping (`mien.prior.parse_prior`); by default the probabilities are those of the graph.

    Raises:
        ModelError: The model was not found, one of its files is missing, damaged or does not match the other; or
            `prior` is given and the card has no class frequencies.
        MienError: `threads` or `prior` is not valid.

    >>> load("base").card.side
    48
    >>> load("base", prior="balanced").prior.name
    'balanced'
    """
    file = find_model_files(name_or_path)[0]
    return Model(read_card(name_or_path), read_file(file), source=str(file), threads=threads, prior=prior)


def _resolve_prior(prior: str | Mapping[str, float] | None, card: Card, source: str) -> Prior | None:
    if prior is None:
        return None
    if card.class_frequencies is None:
        raise ModelError(
            f"{source}: cannot apply a prior: the card '{card.name}' has no class frequencies; export the model "
            "again with: mien export"
        )
    return parse_prior(prior, card.labels, card.class_frequencies.training)


def _describe(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
