"""Evaluation protocols: all faces, without duplicates, without near-duplicates.

All faces, and those that training does not hold, byte for byte or in whatever form; by the data's own labels, and by
the raters' majority.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.audit import without_duplicates
from mien.data.dataset import TRAIN, VAL, Dataset
from mien.data.fer2013 import KNOWN
from mien.data.votes import NAME, relabel_by_majority, relabel_for_classes
from mien.errors import MienError
from mien.evaluation.evaluate import EPOCH, TEMPERATURE, Evaluation, evaluate
from mien.evaluation.predictor import Predictor
from mien.evaluation.selection import LAST
from mien.labels import FER7, FERPLUS8, LabelSet, same_classes
from mien.model import Model
from mien.model_card import DEDUPLICATED, MAJORITY_VOTE, OFFICIAL, OWN_LABELS, STRICT, Score

# What the figures by the other truth are called among those by the first.
BESIDE = {MAJORITY_VOTE: "raters", OWN_LABELS: "own_labels"}


@dataclass(frozen=True, eq=False)
class ModelEvaluation:
    """What one model is worth on one split.

    Attributes:
        evaluations: by all faces and what the model is judged by first; then without the duplicates, and, where that
            was asked for, without near-duplicates; then, for a model of the seven classes and where both are known, all
            again
            by the other truth: the raters' majority after the data's own labels, or these after the majority.
    """

    evaluations: tuple[Evaluation, ...]

    @property
    def official(self) -> Evaluation:
        """The first: all faces."""
        return self.evaluations[0]

    def scores(self) -> tuple[Score, ...]:
        """The figures that a card keeps."""
        return tuple(e.to_score() for e in self.evaluations)

    def to_dict(self) -> dict[str, Any]:
        """The official figures as JSON types, within them those of other protocols, and `raters` or `own_labels`, the
        other truth, with its own."""
        told: dict[str, Any] = {}
        for e in self.evaluations:
            place = told.setdefault(BESIDE[e.against], {}) if told and e.against != self.official.against else told
            place.update(e.to_dict() if e.protocol == OFFICIAL else {e.protocol: e.to_dict()})
        return told


def evaluate_model(
    model: Model, dataset: Dataset, split: str, *, tta: str = "none", name: str = "", strict: bool = False
) -> tuple[NDArray[np.float32], ModelEvaluation | None]:
    """`evaluate_predictor` of a model as a file; `name`, for titles, is its card's by default, and `tta` as of
    `Predictor.of`.
    """
    return evaluate_predictor(Predictor.of(model, tta), dataset, split, name=name or model.card.name, strict=strict)


def evaluate_predictor(
    predictor: Predictor, dataset: Dataset, split: str, *, name: str = "", strict: bool = False
) -> tuple[NDArray[np.float32], ModelEvaluation | None]:
    """What a model says of all faces of a split, [N,K] in row order, and what that is worth; None where nothing is
    known.

    Args:
        dataset: as it was loaded. A model of FER+'s classes is judged by the majority of the votes, and so is first one
            of the seven that votes alone have taught, where there are votes.
        name: of the model, for titles.
        strict: judge by the protocol `strict` too, which takes half a minute the first time (`data.duplicates`).

    Raises:
        DataError: the data's labels are not the model's, or votes are needed and not there.
        MissingSplit: `dataset` lacks the split.
    """
    faces = dataset[split]
    truth = truth_for(predictor, dataset, split)
    probs_NK = np.asarray(predictor.ask(faces.pixels_NHW), np.float32)
    if truth is None:
        return probs_NK, None
    chosen = selected_on_split(predictor, dataset, split)
    return probs_NK, evaluate_split(
        probs_NK,
        faces.rows_N,
        dataset,
        truth,
        split,
        model=name,
        tta=predictor.tta,
        selected_on=chosen,
        temperature=predictor.temperature,
        fitted=predictor.calibration.n if predictor.calibration is not None and TEMPERATURE in chosen else 0,
        strict=strict,
    )


def truth_for(model: Predictor, dataset: Dataset, split: str) -> Dataset | None:
    """`dataset` as a model is judged on `split`; None where nothing is known of its faces. Raises as
    `evaluate_predictor`.
    """
    return (
        relabel_for_classes(dataset, model.labels, by_votes=model.by_votes) if dataset[split].has_ground_truth else None
    )


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
) -> ModelEvaluation:
    """Judge probabilities of faces of a split in every way that `dataset` allows.

    Args:
        probabilities_NK: one row per face, [N,K].
        rows_N: where each of these faces stood in its source; they hold at least all faces of `truth`. By what `truth`
            is not, the model is judged only where they hold all faces.
        dataset: as it was loaded.
        truth: as the model is judged on it: `dataset` itself, or relabelled by the majority of FER+'s votes.
        model, tta, selected_on: as `Evaluation` has them.
        temperature: what the model's logits have been divided by, where that is known.
        fitted: how many faces of this split the temperature was fitted on, single forwards all. That tells by which of
            the two truths: it is all faces, or those alone on which raters agree.
        strict: as `evaluate_model` has it.

    Raises:
        MienError: as `evaluate`.
    """
    found = []
    for view in views(dataset, truth, split, strict=strict):
        if view.against == OWN_LABELS and truth is not dataset and len(rows_N) < len(dataset[split]):
            continue
        found.append(
            evaluate(
                probabilities_NK[places(rows_N, view.rows_N)],
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
            )
        )
    return ModelEvaluation(tuple(found))


@dataclass(frozen=True, eq=False)
class ProtocolView:
    """Faces of a split to be judged on, and what they are judged by.

    Attributes:
        protocol, against: as `Evaluation` has them.
        labels: the classes.
        labels_N: the true ones, int64 [N].
        rows_N: where each face stood in its source, int64 [N].
    """

    protocol: str
    against: str
    labels: LabelSet
    labels_N: NDArray[np.int64]
    rows_N: NDArray[np.int64]


def views(dataset: Dataset, truth: Dataset, split: str, *, strict: bool = False) -> Iterator[ProtocolView]:
    """Every way to judge on a split, the official one first; `dataset`, `truth` and `strict` as in `evaluate_split`."""
    truths = [(truth, MAJORITY_VOTE if truth.name == NAME else OWN_LABELS)]
    if truth.labels == dataset.labels == FER7 and dataset[split].votes_NV is not None:
        if truth is dataset:
            truths.append((relabel_by_majority(dataset, FER7), MAJORITY_VOTE))
        elif dataset[split].labelled:
            truths.append((dataset, OWN_LABELS))
    rows_of = {OFFICIAL: dataset[split].rows_N}
    if TRAIN in dataset:
        unmet = {DEDUPLICATED: False, STRICT: True} if strict else {DEDUPLICATED: False}
        rows_of |= {
            to: dataset[split].rows_N[without_duplicates(dataset, split, near=near)] for to, near in unmet.items()
        }
    for judged, against in truths:
        faces = judged[split]
        for protocol, kept_N in rows_of.items():
            keep_N = np.isin(faces.rows_N, kept_N)
            if protocol == OFFICIAL or keep_N.any():
                yield ProtocolView(protocol, against, judged.labels, faces.labels_N[keep_N], faces.rows_N[keep_N])


def selected_on_split(model: Predictor, dataset: Dataset, split: str) -> tuple[str, ...]:
    """What `split` of `dataset` chose of a model: its epoch, its temperature; nothing if it learned from other data."""
    if not _same_faces(model, dataset, split):
        return ()
    fitted_on = "" if model.calibration is None else model.calibration.split
    chose = ((EPOCH, split == VAL and model.select != LAST), (TEMPERATURE, split == fitted_on))
    return tuple(what for what, true in chose if true)


def is_same_source(trained_on: Mapping[str, Any], dataset: Dataset) -> bool:
    """Whether a model learned from this very file, or both are known copies of FER2013."""
    digest = str(trained_on.get("digest"))
    return digest == dataset.digest or (digest in KNOWN and dataset.digest in KNOWN)


def _same_faces(model: Predictor, dataset: Dataset, split: str) -> bool:
    """Whether `split` is that of the data that a model learned from: the same file, or another copy of FER2013."""
    learned = model.trained_on
    if is_same_source(learned, dataset):
        return True
    if str(learned.get("digest")) in KNOWN:
        return dataset.is_fer2013
    # Of two copies that were both saved anew neither digest is known; as many faces in the split tell them. What votes
    # taught has counted the faces that have a majority; which those are is not known without votes, so that then all
    # that may be the same is taken to be.
    counted = learned.get("faces")
    faces = counted.get(split) if isinstance(counted, Mapping) else None
    if faces is None or dataset.name != "fer2013":
        return False
    if learned.get("name") != NAME:
        return bool(learned.get("name") == "fer2013" and faces == len(dataset[split]))
    if dataset[split].votes_NV is None:
        return bool(faces <= len(dataset[split]))
    labels = FERPLUS8 if same_classes(model.labels, FERPLUS8.names) else FER7
    return bool(faces == len(relabel_by_majority(replace(dataset, splits={split: dataset[split]}), labels)[split]))


def places(rows_N: NDArray[np.int64], wanted_M: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of `wanted_M` stands in `rows_N`, which holds them all, in any order.

    Raises:
        MienError: it does not.
    """
    order_N = np.argsort(rows_N)
    places = np.searchsorted(rows_N, wanted_M, sorter=order_N)
    if len(wanted_M) and (places.max() >= len(rows_N) or (rows_N[order_N[places]] != wanted_M).any()):
        raise MienError("there are faces to be judged that the model was not asked for")
    result: NDArray[np.int64] = order_N[places]
    return result
