"""Signs that a model was trained on the evaluation data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.data.votes import relabel_by_majority
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.statistics.intervals import wilson_interval
from mien.labels import FER7
from mien.model_card import DEDUPLICATED, OFFICIAL, OWN_LABELS, STRICT

# Our own threshold. Human accuracy on FER2013's labels is 65 ± 5 % (Goodfellow et al. 2013, arXiv 1307.0414); single
# models trained on the Training split reach about 73 % (Khaireddin and Chen 2021, arXiv 2105.03588).
MAX_PLAUSIBLE_ACCURACY = 0.80
THRESHOLD_NOTE = (
    "people reach about 65 % and published single models about 73 %, because FER2013's labels are noisy; above "
    f"{100 * MAX_PLAUSIBLE_ACCURACY:.0f} %, a threshold that mien sets, a model was probably trained on these faces"
)
MAX_CONTRADICTED_FRACTION = 0.50  # of the labels that contradict the majority vote; more means that they are known


def contamination(
    evaluations: tuple[Evaluation, ...], predicted_N: NDArray[np.integer[Any]], dataset: Dataset
) -> tuple[str, ...]:
    """Return a sentence for each sign that a model was trained on the evaluation faces; empty except for FER2013.

    Args:
        evaluations: Evaluations of the predictions on one split, by all protocols.
        predicted_N: Predicted classes of all faces of the split in row order, int64 [N].
        dataset: The data as loaded, with FER2013's classes.
    """
    if not dataset.is_fer2013:
        return ()
    sentences = []
    own = {e.protocol: e for e in evaluations if e.against == OWN_LABELS}
    e = own.get(STRICT) or own.get(DEDUPLICATED) or own.get(OFFICIAL)
    if e is not None and e.low > MAX_PLAUSIBLE_ACCURACY:
        faces = {OFFICIAL: f"of {e.split}", DEDUPLICATED: "without a duplicate in Training"}.get(
            e.protocol, "without a duplicate or near-duplicate in Training"
        )
        sentences.append(
            f"{e.model} has an accuracy of {100 * e.accuracy:.1f} % on the {e.n:,} faces {faces}; {THRESHOLD_NOTE}"
        )
    counts = contradicted_labels(predicted_N, dataset, evaluations[0].split)
    if counts is not None and wilson_interval(*counts)[0] > MAX_CONTRADICTED_FRACTION:
        predicted, n = counts
        sentences.append(
            f"{evaluations[0].model} predicts {100 * predicted / n:.1f} % of the {n:,} labels that contradict the "
            "majority vote (FER+), although the images do not support these labels: it was probably trained on them"
        )
    return tuple(sentences)


def contradicted_labels(predicted_N: NDArray[np.integer[Any]], dataset: Dataset, split: str) -> tuple[int, int] | None:
    """Return how many labels that contradict the majority vote are predicted, and how many such labels there are.

    None if there are no votes, no such faces, or the classes are not FER2013's.

    Args:
        predicted_N: Predicted classes of all faces of the split in row order, int64 [N].
        dataset: The data as loaded.
        split: Name of the split.
    """
    faces = dataset[split]
    if faces.votes_NV is None or dataset.labels != FER7:
        return None
    majority = relabel_by_majority(dataset, FER7)[split]
    at_M = np.searchsorted(faces.rows_N, majority.rows_N)  # indices of the faces that have a majority
    contradicted_M = faces.labels_N[at_M] != majority.labels_N
    predicted_M = predicted_N[at_M] == faces.labels_N[at_M]
    n = int(contradicted_M.sum())
    return (int(predicted_M[contradicted_M].sum()), n) if n else None
