"""What is measured on an exported graph: class frequencies, temperature, parity with torch and validation scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mien.data.dataset import SIDE, VAL, Dataset, Split
from mien.errors import RunError
from mien.evaluation.protocols import evaluate_model
from mien.evaluation.statistics import calibration, metrics
from mien.model import BATCH, Model
from mien.model_card import TTAS, Calibration, Score
from mien.prior import ClassFrequencies, apply_prior
from mien.train.batches import normalize
from mien.train.imbalance import class_frequencies
from mien.train.models.base import ExpressionModel
from mien.train.recipe import Recipe
from mien.train.runs.weights import Weights
from mien.train.targets.schemes import training_targets

MAX_DIFFERENCE = 1e-4  # largest allowed difference of a probability from torch
MAX_ACCURACY_LOSS = 0.2  # percentage points that a smaller file may lose, exclusive
NOISE_FACES = 62
PARITY_FLOPS = 5e11  # floating-point operations for the comparison with torch: some seconds on a CPU
MIN_PARITY_FACES = 512  # faces that are compared in any case
STRENGTHS = tuple(step / 20 for step in range(21))  # candidates for the prior strength `auto`


def choose_class_frequencies(
    strength: float | str, weights: Weights, dataset: Dataset, probs_NK: NDArray[np.float32], val: Split
) -> ClassFrequencies:
    """Return the class frequencies of the model to be exported.

    Checkpoints without the class frequencies of training get those of all faces that their label scheme learns from.

    Args:
        strength: Prior strength, or `auto`.
        weights: Weights to export.
        dataset: Data set that they were trained on.
        probs_NK: Probabilities of the unshifted graph on validation, float32 [N,K].
        val: Validation split.
    """
    recipe, training = weights.recipe, weights.about.get("class_frequencies")
    if training is None:
        targets = training_targets(dataset, recipe["scheme"], recipe["label_set"], recipe["mix"]).target_NK
        training = class_frequencies(targets).tolist()
    selected = _best_strength(probs_NK, val.labels_N, training) if isinstance(strength, str) else strength
    training_strength = sum(recipe[field] for field in ("logit_adjustment", "class_weights", "balanced_sampling"))
    return ClassFrequencies.of(training, training_strength, selected)


def _best_strength(probs_NK: NDArray[np.float32], labels_N: NDArray[np.int64], training: Sequence[float]) -> float:
    """Return the strength with the best macro-F1, the smallest of equal ones."""

    def score(strength: float) -> float:
        predicted_N = apply_prior(probs_NK, [share**strength for share in training], [1.0] * len(training)).argmax(1)
        return metrics.macro_f1(metrics.confusion_matrix(labels_N, predicted_N, len(training)))

    return max(STRENGTHS, key=score)  # the first of equal ones


def logit_shift(frequencies: ClassFrequencies) -> NDArray[np.float32]:
    """Return what the exported graph adds to the logits, float32 [K]."""
    shift_K: NDArray[np.float32] = (-frequencies.export_strength * np.log(frequencies.training)).astype(np.float32)
    return shift_K


def fit_calibration(probs_NK: NDArray[np.float32], val: Split) -> Calibration:
    """Fit the temperature on validation, for the probabilities of a graph at temperature 1, float32 [N,K].

    On fewer than `calibration.MIN_FACES` faces the temperature is 1, and the calibration names no split.
    """
    if len(val) < calibration.MIN_FACES:
        error, balanced = metrics.ece(probs_NK, val.labels_N), metrics.balanced_ece(probs_NK, val.labels_N)
        return Calibration(1.0, "", len(val), error, error, balanced, balanced)
    log_p_NK = calibration.log_probabilities(probs_NK)
    return Calibration(
        temperature=float(np.float32(calibration.fit_temperature(log_p_NK, val.labels_N))),  # as in the graph
        split=VAL,
        n=len(val),
        ece_before=metrics.ece(probs_NK, val.labels_N),
        ece_after=calibration.cross_fitted_ece(log_p_NK, val.labels_N),
        balanced_ece_before=metrics.balanced_ece(probs_NK, val.labels_N),
        balanced_ece_after=calibration.cross_fitted_ece(log_p_NK, val.labels_N, error=metrics.balanced_ece),
    )


def uncalibrated(calibration_: Calibration) -> str:
    """Return the warning about a model whose temperature could not be fitted."""
    return (
        f"the temperature is 1: '{VAL}' has {calibration_.n} faces, and fewer than {calibration.MIN_FACES} are too few "
        "to fit it; the confidence of the model is not calibrated"
    )


def check_parity(network: ExpressionModel, exact: Model, model: Model, faces_NHW: NDArray[np.uint8]) -> float:
    """Return the largest difference of a probability between torch and the exported model.

    Args:
        network: Model in torch; its input is normalized as in training.
        exact: Graph in float32.
        model: Graph as it is stored.
        faces_NHW: Validation faces, uint8 [N,48,48].

    Raises:
        RunError: A probability of `exact` differs by more than `MAX_DIFFERENCE` or is NaN.
    """
    count = max(MIN_PARITY_FACES, int(PARITY_FLOPS / exact.card.flops))
    noise_NHW = np.random.RandomState(0).randint(0, 256, (NOISE_FACES, SIDE, SIDE)).astype(np.uint8)
    blank_NHW = np.stack([np.full((SIDE, SIDE), level, np.uint8) for level in (0, 255)])
    compared_NHW = np.concatenate([blank_NHW, noise_NHW, faces_NHW[:count]])
    recipe = Recipe(**{k: exact.card.recipe[k] for k in ("name", "model", "mean", "std")})
    with torch.inference_mode():
        parts = torch.split(torch.from_numpy(compared_NHW).unsqueeze(1), BATCH)
        log_p_NK = torch.cat([network(normalize(part.float(), recipe)) for part in parts])
        if exact.card.class_frequencies is not None:
            log_p_NK = log_p_NK + torch.from_numpy(logit_shift(exact.card.class_frequencies))
        torch_NK = torch.softmax(log_p_NK / exact.card.calibration.temperature, dim=1).numpy()
    difference = _max_difference(exact, compared_NHW, torch_NK)
    if not difference <= MAX_DIFFERENCE:
        raise RunError(
            f"the ONNX graph of '{exact.card.name}' differs from torch: a probability differs by {difference:.2g}, and "
            f"{MAX_DIFFERENCE:g} is allowed. Nothing was written; in evaluation mode the model must not use other "
            "faces of the batch or random numbers"
        )
    return difference if model is exact else _max_difference(model, compared_NHW, torch_NK)


def _max_difference(model: Model, faces_NHW: NDArray[np.uint8], torch_NK: NDArray[np.float32]) -> float:
    """Return the largest difference from `torch_NK`, in large batches and in batches of 1 and 7."""
    outputs = [model.probabilities(faces_NHW), *(model.probabilities(faces_NHW[:n], batch=n) for n in (1, 7))]
    return max(float(np.abs(p_NK - torch_NK[: len(p_NK)]).max()) for p_NK in outputs)


def check_accuracy_loss(exact: Model, probs_NK: NDArray[np.float32], val: Split) -> None:
    """Raise `RunError` if a smaller file loses `MAX_ACCURACY_LOSS` points of accuracy or more on validation.

    Args:
        exact: Graph in float32.
        probs_NK: Probabilities of the smaller graph on validation, float32 [N,K].
        val: Validation split.
    """
    accuracies = [metrics.accuracy(val.labels_N, p.argmax(1)) for p in (exact.probabilities(val.pixels_NHW), probs_NK)]
    lost, card = 100 * (accuracies[0] - accuracies[1]), exact.card
    if lost >= MAX_ACCURACY_LOSS:
        raise RunError(
            f"'{card.name}' stored as {card.storage} loses {lost:.2f} percentage points of accuracy on '{VAL}', and it "
            f"must lose less than {MAX_ACCURACY_LOSS}. Nothing was written; export it with --storage float32"
        )


def validation_scores(model: Model, dataset: Dataset) -> tuple[Score, ...]:
    """Return the scores on validation with each kind of test-time augmentation and each protocol of the data."""
    evaluations = [evaluate_model(model, dataset, VAL, tta=tta)[1] for tta in TTAS]
    return tuple(score for evaluation in evaluations if evaluation for score in evaluation.scores())
