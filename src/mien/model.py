"""An ONNX model: find it, verify it against its card, predict probabilities.

A model is a folder with `model.onnx` and `card.json`. N faces, K classes, C maps of h by w.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError, ModelError
from mien.model_card import TTAS, Card
from mien.prior import Prior, adjusted, parse_prior
from mien.threads import of_one

FORMAT = "mien model 1"  # in the graph, under `mien.format`
FORMER_FORMAT = "mien net 1"  # the same format under the name that earlier exports wrote
GRAPH, CARD = "model.onnx", "card.json"
FACES, PROBABILITIES, MAPS = "faces", "probabilities", "maps"
SHIPPED = Path(__file__).parent / "assets"
BATCH = 256  # faces that go through a model at once
_FATAL = 4  # onnxruntime's level of what it logs; what goes wrong, its exceptions tell

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Model:
    """A model that is open. Several threads may ask one at the same time.

    Attributes:
        card: what is to be known of it.
        source: the file that its graph was read from.
        labels: its classes, in the order of the probabilities.
        prior: the class frequencies that all probabilities are adjusted to; None for those that the graph gives.
        class_weights_KC: what each of the last maps adds to each class, float32 [K,C]; None where the model's logits
            are no linear function of the maps' means.
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
        """Open the model in `graph`, the content of an ONNX file.

        Args:
            card: of that file.
            source: what to call the file in errors.
            threads: of one forward; default `mien.threads.threads()`.
            prior: class frequencies that the probabilities are adjusted to, as of `mien.prior.parse_prior`; default the
                probabilities as the graph gives them.

        Raises:
            ModelError: the bytes are not those that the card is of, or no model of mien's, or their inputs, outputs or
                labels are not as the card says; or a prior is given and the card has no class frequencies.
            MienError: `prior` is not valid for these classes.
        """
        _check_sha256(card, graph, source)
        self.card, self.source, self.labels = card, source, card.labels
        self._session = open_session(graph, source, threads)
        self.class_weights_KC = _fit(self._session, card, source)
        self.prior = _prior(prior, card, source)

    def with_threads(self, threads: int) -> Model:
        """The same model, opened anew to use so many threads; itself where its file is not there any more."""
        file = Path(self.source)
        graph = file.read_bytes() if file.is_file() else b""
        whole = hashlib.sha256(graph).hexdigest() == self.card.sha256
        prior = None if self.prior is None else self.prior.option
        return Model(self.card, graph, source=self.source, threads=threads, prior=prior) if whole else self

    def __repr__(self) -> str:
        return f"<mien.model.Model '{self.card.name}': {', '.join(self.labels.names)}>"

    def probabilities(self, faces_NHW: Pixels, *, tta: str = "none", batch: int = BATCH) -> Floats:
        """How likely each class is for each face, float32 [N,K], rows sum to 1.

        Args:
            faces_NHW: grey faces, uint8 [N,48,48].
            tta: `none`, one forward a face, or `flip`, the mean of that and of the mirror image. A prior is applied
                once, to the mean.
            batch: faces that go through the model at once.

        Raises:
            ModelError: faces of another type or shape, an unknown `tta`, or no batch.
        """
        if tta not in TTAS:
            raise ModelError(f"tta is one of {', '.join(TTAS)}, got {tta!r}")
        probs_NK = self._run(faces_NHW, [PROBABILITIES], batch)[0]
        if tta == "flip":
            mirrored_NK = self._run(faces_NHW[:, :, ::-1], [PROBABILITIES], batch)[0]
            probs_NK = (probs_NK + mirrored_NK) * np.float32(0.5)
        return self._adjusted(probs_NK)

    def maps(self, faces_NHW: Pixels, *, batch: int = BATCH) -> tuple[Floats, Floats]:
        """Probabilities [N,K] and the last feature maps, float32 [N,C,h,w]; else as `probabilities`."""
        probs_NK, maps_NCHW = self._run(faces_NHW, [PROBABILITIES, MAPS], batch)
        return self._adjusted(probs_NK), maps_NCHW

    def _adjusted(self, p_NK: Floats) -> Floats:
        """`p_NK` with the prior applied, if there is one."""
        if self.prior is None or self.card.class_frequencies is None:
            return p_NK
        return adjusted(p_NK, self.card.class_frequencies.assumed, tuple(self.prior.shares.values()))

    def _run(self, faces_NHW: Pixels, outputs: list[str], batch: int) -> list[Floats]:
        side = self.card.side
        if batch < 1:
            raise ModelError(f"batch is 1 or more, got {batch}")
        if not isinstance(faces_NHW, np.ndarray) or faces_NHW.dtype != np.uint8 or faces_NHW.ndim != 3:
            raise ModelError(f"faces must be uint8 [N,{side},{side}], got {_in_words(faces_NHW)}")
        n = len(faces_NHW)
        if faces_NHW.shape != (n, side, side):
            raise ModelError(f"faces must be uint8 [N,{side},{side}], got {_in_words(faces_NHW)}")
        if n == 0:  # the shapes of nothing: those of one face, cut to none
            return [out[:0] for out in self._run(np.zeros((1, side, side), np.uint8), outputs, batch)]
        parts = [
            self._session.run(outputs, {FACES: np.ascontiguousarray(faces_NHW[i : i + batch])})
            for i in range(0, n, batch)
        ]
        return [np.concatenate(of_one) for of_one in zip(*parts, strict=True)]


def load(
    name_or_path: str | Path, *, threads: int | None = None, prior: str | Mapping[str, float] | None = None
) -> Model:
    """Open the model called `name_or_path`, once its files are proven to be whole and to belong together.

    Args:
        name_or_path: a shipped model's name; or a folder with `model.onnx` and `card.json`; or one of these two files.
            A folder that is called like a shipped model is `./NAME`, or a `Path`.
        threads: of one forward; default `mien.threads.threads()`.
        prior: as of `Model`.

    Raises:
        ModelError: nothing is called so, or a file lacks, cannot be read, is damaged, or does not fit the other one; or
            a prior is given and the card has no class frequencies.
        MienError: `threads` is no number of threads, or `prior` is not valid for these classes.
    """
    graph, card = find(name_or_path)
    return Model(_card(card), _read(graph), source=str(graph), threads=threads, prior=prior)


def read_card(name_or_path: str | Path) -> Card:
    """The card of what `load` would open; the model itself is left closed and unproven.

    Raises:
        ModelError: as `load`, for what concerns the card.
    """
    return _card(find(name_or_path)[1])


def read_model(name_or_path: str | Path) -> tuple[Card, bytes]:
    """The card and the content of the graph of what `load` would open, once they are proven to belong together.

    Raises:
        ModelError: a file lacks, cannot be read or is damaged, or the graph is not that of the card.
    """
    graph, card_file = find(name_or_path)
    card, content = _card(card_file), _read(graph)
    _check_sha256(card, content, str(graph))
    return card, content


def shipped_models() -> tuple[str, ...]:
    """The names of the models that come with the package."""
    return tuple(sorted(f.parent.name for f in SHIPPED.glob(f"*/{CARD}") if (f.parent / GRAPH).is_file()))


def is_model(name_or_path: str | Path) -> bool:
    """Whether `load` is the one to ask: for all but what torch reads, runs and files of weights.

    So a name that stands for nothing at all is told by `load`; a folder with a card is a model whatever else it holds.
    """
    if name_or_path in shipped_models():
        return True
    path = Path(name_or_path)
    try:
        if path.is_dir():
            return (path / CARD).exists() or (path / GRAPH).exists()
        if path.exists():
            return path.suffix in (".onnx", ".json")
    except OSError:  # a name too long, a folder that may not be entered
        return True
    return str(name_or_path) not in _weights()


def find(name_or_path: str | Path) -> tuple[Path, Path]:
    """The files of graph and card of what `load` would open; raises as `load`, for what concerns finding them."""
    if name_or_path in shipped_models():  # text alone: of a Path, "./NAME" has become "NAME"
        return SHIPPED / name_or_path / GRAPH, SHIPPED / name_or_path / CARD
    path = Path(name_or_path)
    try:
        if path.is_dir():
            return _both(path / GRAPH, path / CARD)
        if path.is_file():
            return _both(path.parent / GRAPH if path.suffix == ".json" else path, path.parent / CARD)
    except OSError as error:
        raise ModelError(f"cannot read {name_or_path}: {error.strerror or error}") from None
    names, weights = ", ".join(shipped_models()) or "none yet", ", ".join(_weights())
    raise ModelError(
        f"no file, no folder and no shipped model is called {name_or_path}; shipped are: {names}"
        f"{'; as weights, to be trained further: ' if weights else ''}{weights}; "
        f"a model of your own is a folder that holds {GRAPH} and {CARD}"
    )


def _weights() -> list[str]:
    """The names of what the package ships for torch alone."""
    return sorted({f.stem for f in SHIPPED.glob("*.safetensors")} - set(shipped_models()))


def _both(graph: Path, card: Path) -> tuple[Path, Path]:
    lacking = [file.name for file in (graph, card) if not file.is_file()]
    if lacking:
        raise ModelError(
            f"{card.parent} holds no {' and no '.join(lacking)}; a model is {GRAPH} and {CARD} side by side"
        )
    return graph, card


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror or error}") from None


def _card(file: Path) -> Card:
    try:
        return Card.from_json(_read(file).decode("utf-8"), str(file))
    except UnicodeDecodeError:
        raise ModelError(f"{file}: is no card: not text") from None
    except ModelError:
        raise
    except MienError as error:
        raise ModelError(str(error)) from None


def open_session(graph: bytes, source: str, threads: int | None = None, *, dynamic_shapes: bool = False) -> Any:
    """An onnxruntime session of the ONNX file in `graph`, on the CPU.

    Args:
        source: what to call the file in errors.
        threads: of one forward; default `mien.threads.threads()`.
        dynamic_shapes: whether images of many sizes go in, for each of which a plan of its memory would be kept.

    Raises:
        ModelError: onnxruntime cannot open it.
        MienError: `threads` is no number of threads.
    """
    # From 1.29 on it would number this machine, write that into the home, and tell its maker which models run here.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # here, as it takes longer than all else that `import mien` brings

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = of_one(threads)
    options.log_severity_level = _FATAL
    options.enable_mem_pattern = not dynamic_shapes
    # Between two forwards its threads would wait by spinning, and take the core from whatever comes in between.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise ModelError(f"{source} is no ONNX file that onnxruntime can open: {_first_line(error)}") from None


def _fit(session: Any, card: Card, source: str) -> Floats | None:
    """The class weights [K,C] in the graph, if any; `ModelError` where the graph is not what the card is of."""
    notes, k = session.get_modelmeta().custom_metadata_map, len(card.labels)
    if notes.get("mien.format") not in (FORMAT, FORMER_FORMAT):
        raise ModelError(
            f"{source} is no model of this mien: its format is {notes.get('mien.format')!r}, expected '{FORMAT}'; "
            "export it with: mien export"
        )
    inputs = {p.name: (p.type, list(p.shape)) for p in session.get_inputs()}
    outputs = {p.name: (p.type, list(p.shape)) for p in session.get_outputs()}
    n_side_side, any_maps = [None, card.side, card.side], [None, "C", "h", "w"]
    for name, there, kind, shape in (
        (FACES, inputs, "tensor(uint8)", n_side_side),
        (PROBABILITIES, outputs, "tensor(float)", [None, k]),
        (MAPS, outputs, "tensor(float)", any_maps),
    ):
        got_kind, got = there.get(name, ("none", []))
        if got_kind != kind or len(got) != len(shape) or not all(map(_agree, shape, got)):
            raise _unfit(source, card, f"its {name} are {got_kind} {got}, expected {kind} {['N', *shape[1:]]}")
    if notes.get("mien.labels") != json.dumps(list(card.labels.names)):
        raise _unfit(
            source, card, f"it tells {notes.get('mien.labels')} apart, the card says {list(card.labels.names)}"
        )
    return _class_weights(notes.get("mien.class_weights"), k, outputs[MAPS][1][1], card, source)


def _prior(asked: str | Mapping[str, float] | None, card: Card, source: str) -> Prior | None:
    if asked is None:
        return None
    if card.class_frequencies is None:
        raise ModelError(
            f"{source}: no prior can be applied, as the card '{card.name}' has no class frequencies; export the model "
            "again with: mien export"
        )
    return parse_prior(asked, card.labels, card.class_frequencies.training)


def _check_sha256(card: Card, graph: bytes, source: str) -> None:
    """`ModelError` where `graph` is not the content of the file that `card` is of."""
    found = hashlib.sha256(graph).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{source} is damaged or not the model of its card '{card.name}': its sha256 begins with {found[:12]}, "
            f"the card's with {card.sha256[:12]}; get both files anew"
        )


def _agree(wanted: int | str | None, got: int | str) -> bool:
    """Whether a side of a shape is as it must be: None for any number of faces, a word for any one number."""
    if wanted is None:
        return not isinstance(got, int)
    return isinstance(wanted, str) or wanted == got


def _class_weights(text: str | None, classes: int, maps: int | str, card: Card, source: str) -> Floats | None:
    if text is None:
        return None
    try:
        weights_KC = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(classes, -1)
    except (binascii.Error, ValueError):
        raise _unfit(source, card, f"its class weights are no {classes} rows of numbers") from None
    if isinstance(maps, int) and weights_KC.shape[1] != maps:
        raise _unfit(source, card, f"it has class weights for {weights_KC.shape[1]} maps, and {maps} maps")
    return weights_KC.astype(np.float32)


def _unfit(source: str, card: Card, what: str) -> ModelError:
    return ModelError(f"{source} does not fit its card '{card.name}': {what}; export the model anew")


def _in_words(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
