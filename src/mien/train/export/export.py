"""`export`: trained weights as an ONNX model with its card.

The graph is held against torch before anything is written, the temperature is fitted on validation, and every figure
on the card is measured on the very bytes that are written, by the code that `mien evaluate` uses.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch.utils.flop_counter import FlopCounterMode

from mien import files
from mien.data.dataset import SIDE, TRAIN, VAL, Dataset, Split
from mien.data.votes import NAME, votes_digest
from mien.errors import MienError, MissingSplit, ModelError, RunError
from mien.evaluation.protocols import evaluate_model
from mien.evaluation.statistics import calibration, metrics
from mien.imaging.crop import DEFAULT_CROP_RULE
from mien.labels import same_classes
from mien.model import BATCH, CARD, GRAPH, Model, read_card
from mien.model_card import MAJORITY_VOTE, OWN_LABELS, STORAGES, TTAS, Calibration, Card, Score
from mien.prior import ClassFrequencies, apply_prior
from mien.threads import threads, threads_from_environment
from mien.train.batches import normalize
from mien.train.checks import explain_out_of_memory
from mien.train.export.onnx_graph import (
    Reader,
    add_logit_shift,
    build_graph,
    quantize_int8,
    serialize_graph,
    set_temperature,
    to_float16,
)
from mien.train.imbalance import class_frequencies
from mien.train.models import build_model
from mien.train.models.base import ExpressionModel
from mien.train.recipe import Recipe
from mien.train.runs.weights import Weights, find_weights
from mien.train.targets.schemes import evaluation_dataset, training_targets

MAX_DIFFERENCE = 1e-4  # how far a probability may lie from torch's
LOSS = 0.2  # points of accuracy that a smaller file must not lose
INT8_FACES = 512  # training faces on which the ranges of int8 are measured
NOISE_FACES = 62
TIMES = ("seconds", "images_per_second")  # figures that differ between runs of equal weights
PARITY_FLOPS = 5e11  # floating-point operations that the comparison with torch may take: some seconds of a CPU
AUTO = "auto"
STRENGTHS = tuple(step / 20 for step in range(21))  # what `AUTO` chooses from
MIN_PARITY_FACES = 512  # faces that are compared whatever that takes


def export(
    source: str | Path,
    out: str | Path,
    dataset: Dataset,
    *,
    name: str | None = None,
    storage: str = "float32",
    overwrite: bool = False,
    prior_strength: float | str = 0.0,
) -> Card:
    """Write `model.onnx` and `card.json` into the folder `out`, both whole or neither, and return the card.

    The float32 graph must agree with torch to 1e-4 in every probability: on validation faces, noise, black and white,
    one by one, seven at once and in hundreds. A graph stored as float16 or computing in int8 is made from that one and
    must lose less than 0.2 points of accuracy on validation; `Card.parity` then says how far it lies from torch.

    With a prior strength S, the graph subtracts S * log(class frequencies of training) from the logits before the
    temperature (post-hoc logit adjustment, Menon et al. 2021, arXiv 2007.07314, equation 9). The probabilities then
    assume class frequencies that are nearer to equal ones, which the card states. The temperature and all figures are
    those of the shifted logits.

    Args:
        source: what `find_weights` takes: the folder of a run or of an exported model, a file of weights, or a shipped
            model's name.
        dataset: what the weights were trained on, with FER+ votes if those taught them.
        name: of the model; that of its recipe by default.
        storage: `float32`; `float16`, half the size and widened when it is loaded; or `int8`, from which no training
            can start.
        overwrite: replace another model in `out`; without it only one exported from the same weights is replaced.
        prior_strength: S, from 0 for none; 1 makes a model that was trained without any adjustment assume equal class
            frequencies. `auto` takes that of 0, 0.05, ..., 1 with the best macro-F1 on validation, the smallest of
            equals.

    Raises:
        MienError: `storage` or `prior_strength` is out of its range.
        RunError: other data than the weights were trained on; a graph that disagrees with torch, or loses too much; a
            model that ONNX has no words for; another model in `out`, or `out` cannot be written.
        MissingSplit: no labelled validation split.
        DataError: FER+ votes are needed and not there.
    """
    if storage not in STORAGES:
        raise MienError(f"storage is one of {', '.join(STORAGES)}, not '{storage}'")
    if prior_strength != AUTO and not _is_strength(prior_strength):
        raise MienError(f"prior_strength is {AUTO} or a number from 0 on, got {prior_strength!r}")
    weights, folder = find_weights(source), Path(out)
    truth, before = _truth(weights, dataset), _replaced(folder, weights, overwrite)
    with explain_out_of_memory("while exporting; free some"), _own_threads():
        content, card = _built(weights, dataset, truth, name or weights.recipe["name"], storage, prior_strength)
    if before is not None and before.sha256 == card.sha256:
        card = card.with_scores(before.test, test=True)  # of these very bytes
    _write(folder, content, card)
    return card


def _built(
    weights: Weights, dataset: Dataset, truth: Dataset, name: str, storage: str, prior_strength: float | str
) -> tuple[bytes, Card]:
    """Return the content of the graph's file and the card with all that is measured on it; raises as `export`."""
    recipe = weights.recipe
    network = build_model(recipe["model"], len(weights.labels))
    weights.load_into(network, weights.labels)
    reader = Reader(network, recipe["mean"], recipe["std"])
    draft = _draft(name, storage, weights, reader, dataset, truth)
    plain = build_graph(reader, truth.labels.names)
    stored = _stored(plain, storage, dataset)
    probs_NK = _opened(serialize_graph(stored), draft).probabilities(truth[VAL].pixels_NHW)
    frequencies = _frequencies(prior_strength, weights, dataset, probs_NK, truth[VAL])
    draft = replace(draft, class_frequencies=frequencies)
    if frequencies.export_strength:
        shifted = add_logit_shift(plain, _shift(frequencies))
        stored = shifted if stored is plain else add_logit_shift(stored, _shift(frequencies))
        plain = shifted
        probs_NK = _opened(serialize_graph(stored), draft).probabilities(truth[VAL].pixels_NHW)
    if stored is not plain:
        _check_loss(_opened(serialize_graph(plain), draft), probs_NK, truth[VAL])
    fitted = _calibrated(probs_NK, truth[VAL])
    draft = replace(draft, calibration=fitted)
    content = serialize_graph(set_temperature(stored, fitted.temperature))
    model = _opened(content, draft)
    exact = model if stored is plain else _opened(serialize_graph(set_temperature(plain, fitted.temperature)), draft)
    parity = _parity(network, exact, model, truth[VAL].pixels_NHW)
    return content, replace(model.card, parity=parity, scores=_scores(model, dataset))


def _truth(weights: Weights, dataset: Dataset) -> Dataset:
    """`dataset` as the model is judged on it, once it is known to be what the model was trained on."""
    data, recipe = weights.about["data"], weights.recipe
    known = f"'{weights.name}' was trained on {data['name']} with the digest {data['digest']}"
    if dataset.digest != data["digest"]:
        raise RunError(f"{known}, and {dataset.source} has {dataset.digest}: export it with that same data")
    voted = all(split.votes_NV is not None for split in dataset.splits.values())
    if data.get("votes") and voted and votes_digest(dataset) != data["votes"]:
        raise RunError(f"{known} and other FER+ votes than those given: export it with those same votes")
    truth = evaluation_dataset(dataset, recipe["scheme"], recipe["label_set"])
    if not same_classes(truth.labels.names, weights.labels):
        raise RunError(
            f"{weights.name} tells {', '.join(weights.labels)} apart, "
            f"but {dataset.source} is labelled {', '.join(truth.labels.names)}"
        )
    if VAL not in truth or not truth[VAL].labelled:
        raise MissingSplit(f"{dataset.source} has no labelled split '{VAL}', and the temperature is fitted on that one")
    return truth


def _replaced(folder: Path, weights: Weights, overwrite: bool) -> Card | None:
    """The card of the model that lies in `folder`, if any; `RunError` where that is another model than `weights`."""
    try:
        _check_writable(folder)  # before the work, not after it
        there = [file.name for file in (folder / GRAPH, folder / CARD) if file.exists()]
    except OSError as error:
        raise _unwritable(folder, error) from None
    if not there:
        return None
    before = None
    with contextlib.suppress(ModelError):
        before = read_card(folder)
    if before is not None and before.origin.get("weights") == weights.identity["sha256"]:
        return before
    if not overwrite:
        which = f"the model '{before.name}' of other weights" if before else f"a {there[0]} that is no whole model"
        raise RunError(f"{folder} holds {which}; replace it with --overwrite, or choose another --out")
    return None


def _draft(name: str, storage: str, weights: Weights, reader: Reader, dataset: Dataset, truth: Dataset) -> Card:
    """The card but for what is measured on the graph, which has the values of one that was never measured."""
    data, recipe, figures = weights.about["data"], weights.recipe, weights.about["figures"]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        reader(torch.zeros((1, SIDE, SIDE), dtype=torch.uint8))
    return Card(
        name=name,
        labels=truth.labels,
        sha256=64 * "0",
        side=SIDE,
        parameters=sum(p.numel() for p in reader.model.parameters()),
        flops=int(counter.get_total_flops()),
        storage=storage,
        parity=0.0,
        crop=DEFAULT_CROP_RULE,
        calibration=Calibration(1.0, VAL, len(truth[VAL]), 0.0, 0.0),
        recipe=recipe,
        # `truth`: by what the run was judged, and the model is.
        data={
            **{key: data.get(key) for key in ("name", "digest", "faces", "votes")},
            **{key: data[key] for key in ("label_noise",) if key in data},
            "known_as": dataset.known_as,
            "scheme": recipe["scheme"],
            "truth": MAJORITY_VOTE if truth.name == NAME else OWN_LABELS,
        },
        origin={
            "weights": weights.identity["sha256"],
            "seed": weights.about["seed"],
            "epoch": figures["epoch"],
            "epochs": recipe["epochs"],
            "select": recipe["select"],
            "init": weights.about.get("init"),
            "teachers": weights.about.get("teachers"),
            "figures": {name: value for name, value in figures.items() if name not in TIMES},
            "run_format": weights.about["format"],
        },
    )


def _stored(plain: ModelProto, storage: str, dataset: Dataset) -> ModelProto:
    """`plain` as it is to lie in the file."""
    if storage == "float16":
        return to_float16(plain)
    if storage == "int8":
        faces_NHW = dataset[TRAIN].pixels_NHW
        place = np.arange(INT8_FACES) * len(faces_NHW) // INT8_FACES
        return quantize_int8(plain, faces_NHW[np.unique(place)])
    return plain


def _opened(content: bytes, draft: Card) -> Model:
    """The model in the bytes of a graph, under a card that is `draft` but for the sum of these bytes."""
    return Model(replace(draft, sha256=hashlib.sha256(content).hexdigest()), content)


def _is_strength(value: float | str) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _frequencies(
    strength: float | str, weights: Weights, dataset: Dataset, probs_NK: NDArray[np.float32], val: Split
) -> ClassFrequencies:
    """The class frequencies of the model to be exported, whose unshifted graph gives `probs_NK` on validation.

    Checkpoints that lack the class frequencies of training get those of all faces that their label scheme learns from.
    """
    recipe, known = weights.recipe, weights.about.get("class_frequencies")
    if known is None:
        targets = training_targets(dataset, recipe["scheme"], recipe["label_set"], recipe["mix"]).target_NK
        known = class_frequencies(targets).tolist()
    chosen = _best_strength(probs_NK, val.labels_N, known) if isinstance(strength, str) else strength
    trained = sum(recipe[field] for field in ("logit_adjustment", "class_weights", "balanced_sampling"))
    return ClassFrequencies.of(known, trained, chosen)


def _best_strength(probs_NK: NDArray[np.float32], labels_N: NDArray[np.int64], training: Sequence[float]) -> float:
    """The strength of `STRENGTHS` with the best macro-F1, the smallest of equals."""

    def score(strength: float) -> float:
        predicted_N = apply_prior(probs_NK, [share**strength for share in training], [1.0] * len(training)).argmax(1)
        return metrics.macro_f1(metrics.confusion_matrix(labels_N, predicted_N, len(training)))

    return max(STRENGTHS, key=score)  # the first of equals


def _shift(frequencies: ClassFrequencies) -> NDArray[np.float32]:
    """What the export adds to the logits, float32 [K]."""
    shift_K: NDArray[np.float32] = (-frequencies.export_strength * np.log(frequencies.training)).astype(np.float32)
    return shift_K


def _calibrated(probs_NK: NDArray[np.float32], val: Split) -> Calibration:
    """The temperature that validation wants for a graph whose own is 1 and which says `probs_NK`."""
    log_p_NK = calibration.log_probabilities(probs_NK)
    return Calibration(
        temperature=float(np.float32(calibration.fit_temperature(log_p_NK, val.labels_N))),  # as the graph has it
        split=VAL,
        n=len(val),
        ece_before=metrics.ece(probs_NK, val.labels_N),
        ece_after=calibration.cross_fitted_ece(log_p_NK, val.labels_N),
        balanced_ece_before=metrics.balanced_ece(probs_NK, val.labels_N),
        balanced_ece_after=calibration.cross_fitted_ece(log_p_NK, val.labels_N, error=metrics.balanced_ece),
    )


def _parity(network: ExpressionModel, exact: Model, model: Model, faces_NHW: NDArray[np.uint8]) -> float:
    """The largest difference of a probability between `network` and `model`, fed and normalised as in training.

    Raises:
        RunError: `exact`, the float32 graph, differs by more than `MAX_DIFFERENCE`, or by what is no number.
    """
    most = max(MIN_PARITY_FACES, int(PARITY_FLOPS / exact.card.flops))
    noise_NHW = np.random.RandomState(0).randint(0, 256, (NOISE_FACES, SIDE, SIDE)).astype(np.uint8)
    plain_NHW = np.stack([np.full((SIDE, SIDE), level, np.uint8) for level in (0, 255)])
    held_NHW = np.concatenate([plain_NHW, noise_NHW, faces_NHW[:most]])
    numbers = Recipe(**{k: exact.card.recipe[k] for k in ("name", "model", "mean", "std")})
    with torch.inference_mode():
        parts = torch.split(torch.from_numpy(held_NHW).unsqueeze(1), BATCH)
        log_p_NK = torch.cat([network(normalize(part.float(), numbers)) for part in parts])
        if exact.card.class_frequencies is not None:
            log_p_NK = log_p_NK + torch.from_numpy(_shift(exact.card.class_frequencies))
        said_NK = torch.softmax(log_p_NK / exact.card.calibration.temperature, dim=1).numpy()
    off = _furthest(exact, held_NHW, said_NK)
    if not off <= MAX_DIFFERENCE:
        raise RunError(
            f"the graph of '{exact.card.name}' disagrees with torch: a probability differs by {off:.2g}, and "
            f"{MAX_DIFFERENCE:g} is allowed. Nothing was written; the model must not look at other faces "
            "of its batch, nor draw "
            "random numbers or do otherwise in training, when it is evaluated"
        )
    return off if model is exact else _furthest(model, held_NHW, said_NK)


def _furthest(model: Model, faces_NHW: NDArray[np.uint8], said_NK: NDArray[np.float32]) -> float:
    """The largest difference from `said_NK`, the first faces asked for one by one and seven at once too."""
    told = [model.probabilities(faces_NHW), *(model.probabilities(faces_NHW[:n], batch=n) for n in (1, 7))]
    return max(float(np.abs(p_NK - said_NK[: len(p_NK)]).max()) for p_NK in told)


def _check_loss(exact: Model, probs_NK: NDArray[np.float32], val: Split) -> None:
    """`RunError` where what a smaller file says is `LOSS` points of accuracy or more below `exact` on validation."""
    right = [metrics.accuracy(val.labels_N, p.argmax(1)) for p in (exact.probabilities(val.pixels_NHW), probs_NK)]
    lost, card = 100 * (right[0] - right[1]), exact.card
    if lost >= LOSS:
        raise RunError(
            f"stored as {card.storage}, '{card.name}' loses {lost:.2f} points of accuracy on '{VAL}', and less than "
            f"{LOSS} are allowed. Nothing was written; export it with --storage float32"
        )


def _scores(model: Model, dataset: Dataset) -> tuple[Score, ...]:
    """What the model is worth on validation, in every way that the data allows."""
    judgements = [evaluate_model(model, dataset, VAL, tta=tta)[1] for tta in TTAS]
    return tuple(score for found in judgements if found for score in found.scores())


def _write(folder: Path, content: bytes, card: Card) -> None:
    """Both files are whole on the disk before the first takes its place; the card comes last."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
        try:
            for name, text in ((GRAPH, content), (CARD, card.to_json().encode())):
                files.write(aside / name, [text])
            for name in (GRAPH, CARD):
                os.replace(aside / name, folder / name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _check_writable(folder: Path) -> None:
    """`OSError` where `folder` is a file, or neither it nor the folder that it would be made in can be written."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    code = errno.ENOTDIR if not there.is_dir() else 0 if os.access(there, os.W_OK | os.X_OK) else errno.EACCES
    if code:
        raise OSError(code, os.strerror(code))


def _unwritable(folder: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot write into {folder}: {error.strerror or error}; what was there is kept. Mend that (free some space, "
        "say), "
        "or choose another --out"
    )


@contextlib.contextmanager
def _own_threads() -> Iterator[None]:
    """Torch takes as many threads as this process may use, and has its own number again afterwards."""
    usual = torch.get_num_threads()
    torch.set_num_threads(threads_from_environment() or min(threads(), usual))
    try:
        yield
    finally:
        torch.set_num_threads(usual)
