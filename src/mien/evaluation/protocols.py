"""Evaluation protocols: all faces, without duplicates, without near-duplicates.

Each protocol is applied with the data's own labels and, if there are votes, with the majority vote (FER+).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.audit import without_duplicates
from mien.data.dataset import TRAIN, Dataset
from mien.data.votes import NAME, relabel_by_majority, relabel_for_classes
from mien.errors import MienError
from mien.evaluation.common_classes import (
    needs_common_classes,
    project_probabilities,
    restrict_to_common_classes,
)
from mien.evaluation.evaluate import TEMPERATURE, Evaluation, evaluate
from mien.evaluation.predictor import Predictor
from mien.evaluation.training_data import selected_on_split
from mien.labels import FER7, LabelSet
from mien.model import Model
from mien.model_card import DEDUPLICATED, MAJORITY_VOTE, OFFICIAL, OWN_LABELS, STRICT, Score

# JSON keys of the evaluations against the other labels.
OTHER_LABELS_KEYS = {MAJORITY_VOTE: "raters", OWN_LABELS: "own_labels"}


@dataclass(frozen=True, eq=False)
class ModelEvaluation:
    """Evaluations of one model on one split, by every protocol.

    Attributes:
        evaluations: First all faces, against the labels that the model is evaluated by; then without duplicates and, if
            requested, without near-duplicates. If both kinds of labels are known, a model of the seven classes has the
            same evaluations against the other labels after these: the majority vote (FER+) or the data's own labels.
    """

    evaluations: tuple[Evaluation, ...]

    @property
    def official(self) -> Evaluation:
        """The first evaluation: all faces."""
        return self.evaluations[0]

    def scores(self) -> tuple[Score, ...]:
        """Return the metrics that a model card stores."""
        return tuple(e.to_score() for e in self.evaluations)

    def to_dict(self) -> dict[str, Any]:
        """Return the official metrics as JSON types.

        Other protocols are nested under their names, and the other labels under `raters` or `own_labels`.
        """
        result: dict[str, Any] = {}
        for e in self.evaluations:
            is_other = bool(result) and e.against != self.official.against
            target = result.setdefault(OTHER_LABELS_KEYS[e.against], {}) if is_other else result
            target.update(e.to_dict() if e.protocol == OFFICIAL else {e.protocol: e.to_dict()})
        return result


def evaluate_model(
    model: Model, dataset: Dataset, split: str, *, tta: str = "none", name: str = "", strict: bool = False
) -> tuple[NDArray[np.float32], ModelEvaluation | None]:
    """Evaluate an ONNX model; see `evaluate_predictor`.

    Args:
        model: An opened model.
        dataset: The data as loaded.
        split: Name of the split.
        tta: `none`, or `flip`, averaged with the mirror image.
        name: Name of the model for titles; by default that on its card.
        strict: Whether to evaluate by the protocol `strict` too.

    Example:
        >>> import mien
        >>> from mien.data import sketch
        >>> data = sketch(train=20, val=0, test=20)
        >>> probabilities, evaluation = evaluate_model(mien.model.load("nano"), data, "test")
        >>> [e.protocol for e in evaluation.evaluations]
        ['official', 'deduplicated']
    """
    return evaluate_predictor(Predictor.of(model, tta), dataset, split, name=name or model.card.name, strict=strict)


def evaluate_predictor(
    predictor: Predictor, dataset: Dataset, split: str, *, name: str = "", strict: bool = False
) -> tuple[NDArray[np.float32], ModelEvaluation | None]:
    """Return the probabilities of all faces of a split, [N,K] in row order, and their evaluation.

    Args:
        predictor: The model.
        dataset: The data as loaded. A model of FER+'s classes is evaluated against the majority vote; so is, first, a
            model of the seven classes that was trained on votes alone, if there are votes. On a folder of images that
            the model was not trained on, it is evaluated on the classes that both have.
        split: Name of the split.
        name: Name of the model for titles.
        strict: Whether to evaluate by the protocol `strict` too; the first search for near-duplicates takes half a
            minute (`data.duplicates`).

    Returns:
        Probabilities and evaluation; the evaluation is None if the split has no labels.

    Raises:
        DataError: The data's labels are not the model's, or votes are needed and missing.
        MissingSplit: `dataset` lacks the split.
    """
    faces = dataset[split]
    truth, note = _truth_and_note(predictor, dataset, split)
    probs_NK = np.asarray(predictor.predict(faces.pixels_NHW), np.float32)
    if truth is None:
        return probs_NK, None
    selected_on = selected_on_split(predictor, dataset, split)
    of = LabelSet("the model's", predictor.labels)
    return probs_NK, evaluate_split(
        project_probabilities(probs_NK, of, truth.labels, name),
        faces.rows_N,
        dataset,
        truth,
        split,
        model=name,
        tta=predictor.tta,
        selected_on=selected_on,
        temperature=predictor.temperature,
        fitted=predictor.calibration.n if predictor.calibration is not None and TEMPERATURE in selected_on else 0,
        strict=strict,
        note=note,
    )


def truth_for(model: Predictor, dataset: Dataset, split: str) -> Dataset | None:
    """Return `dataset` with the labels that a model is evaluated against; None if the split has no labels.

    Of a folder with other classes than the model, these are the faces of the classes that both have.

    Raises:
        DataError: As in `evaluate_predictor`.
    """
    return _truth_and_note(model, dataset, split)[0]


def _truth_and_note(model: Predictor, dataset: Dataset, split: str) -> tuple[Dataset | None, str]:
    """Return the same as `truth_for`, and a sentence on the classes that are left out, or an empty one."""
    if not dataset[split].has_ground_truth:
        return None, ""
    if needs_common_classes(model, dataset):
        return restrict_to_common_classes(dataset, model.labels, split)
    return relabel_for_classes(dataset, model.labels, by_votes=model.by_votes), ""


def evaluate_split(
    probabilities_NK: NDArray[np.float32],
    rows_N: NDArray[np.int64],
    dataset: Dataset,
    truth: Dataset,
    split: str,
    *,
    model: str = "",
    tta: str = "none",
    selected_on: tuple[str, ...] = (),
    temperature: float | None = None,
    fitted: int = 0,
    strict: bool = False,
    note: str = "",
) -> ModelEvaluation:
    """Evaluate probabilities on a split by every protocol.

    Args:
        probabilities_NK: Probabilities [N,K] of some or all faces of the split.
        rows_N: Rows of these faces in the source, int64 [N]; at least all faces of `truth`. Against other labels than
            those of `truth` the model is evaluated only if they are all faces of the split.
        dataset: The data as loaded.
        truth: The data with the labels that the model is evaluated against: `dataset` itself, or the data relabelled by
            the majority vote (FER+).
        split: Name of the split.
        model: Name of the model, for titles.
        tta: Test-time augmentation of the probabilities, as in `Evaluation`.
        selected_on: Parts of the model that were selected on this split, as in `Evaluation`.
        temperature: Temperature that the logits are divided by, if known.
        fitted: Number of faces of this split that the temperature was fitted on without test-time
            augmentation. It shows which labels were used: all faces have labels, fewer have a majority.
        strict: Whether to evaluate by the protocol `strict` too.
        note: Classes that were left out, as in `Evaluation`.

    Raises:
        MienError: As in `evaluate`.
    """
    evaluations = []
    for view in protocol_views(dataset, truth, split, strict=strict):
        if view.against == OWN_LABELS and truth is not dataset and len(rows_N) < len(dataset[split]):
            continue
        evaluations.append(
            evaluate(
                probabilities_NK[find_rows(rows_N, view.rows_N)],
                view.labels_N,
                view.labels,
                split=split,
                data=dataset.title,
                model=model,
                tta=tta,
                protocol=view.protocol,
                against=view.against,
                selected_on=selected_on,
                temperature=temperature,
                cross_fit=tta == "none" and view.protocol == OFFICIAL and len(view.rows_N) == fitted,
                note=note,
            )
        )
    return ModelEvaluation(tuple(evaluations))


@dataclass(frozen=True, eq=False)
class ProtocolView:
    """The faces and labels of a split by one protocol.

    Attributes:
        protocol, against: As in `Evaluation`.
        labels: Label set.
        labels_N: True class indices, int64 [N].
        rows_N: Rows of the faces in the source, int64 [N].
    """

    protocol: str
    against: str
    labels: LabelSet
    labels_N: NDArray[np.int64]
    rows_N: NDArray[np.int64]


def protocol_views(dataset: Dataset, truth: Dataset, split: str, *, strict: bool = False) -> Iterator[ProtocolView]:
    """Yield the faces and labels of a split by every protocol, the official one first.

    Args:
        dataset: The data as loaded.
        truth: The data with the labels that a model is evaluated against, as in `evaluate_split`.
        split: Name of the split.
        strict: Whether to yield the protocol `strict` too.
    """
    truths = [(truth, MAJORITY_VOTE if truth.name == NAME else OWN_LABELS)]
    if truth.labels == dataset.labels == FER7 and dataset[split].votes_NV is not None:
        if truth is dataset:
            truths.append((relabel_by_majority(dataset, FER7), MAJORITY_VOTE))
        elif dataset[split].labelled:
            truths.append((dataset, OWN_LABELS))
    rows = {OFFICIAL: dataset[split].rows_N}
    if TRAIN in dataset:
        near = {DEDUPLICATED: False, STRICT: True} if strict else {DEDUPLICATED: False}
        rows |= {
            protocol: dataset[split].rows_N[without_duplicates(dataset, split, near=value)]
            for protocol, value in near.items()
        }
    for labelled, against in truths:
        faces = labelled[split]
        for protocol, rows_M in rows.items():
            keep_N = np.isin(faces.rows_N, rows_M)
            if protocol == OFFICIAL or keep_N.any():
                yield ProtocolView(protocol, against, labelled.labels, faces.labels_N[keep_N], faces.rows_N[keep_N])


def find_rows(rows_N: NDArray[np.int64], wanted_M: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index in `rows_N` of each of `wanted_M`, int64 [M]; `rows_N` may have any order.

    Raises:
        MienError: `rows_N` lacks one of them.
    """
    order_N = np.argsort(rows_N)
    index_M = np.searchsorted(rows_N, wanted_M, sorter=order_N)
    if len(wanted_M) and (index_M.max() >= len(rows_N) or (rows_N[order_N[index_M]] != wanted_M).any()):
        raise MienError("probabilities are missing for some faces of the split; predict all of its faces")
    result: NDArray[np.int64] = order_N[index_M]
    return result
