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

# People meet 65 % of FER2013's labels, give or take 5 (Goodfellow et al. 2013, arXiv 1307.0414); single models that
# learned from its Training rows about 73 % (Khaireddin and Chen 2021, arXiv 2105.03588).
MAX_PLAUSIBLE_ACCURACY = 0.80
MAX_CONTRADICTED_SHARE = 0.50  # of the labels that ten raters contradict: to meet more of them than not is to know them


def contamination(
    evaluations: tuple[Evaluation, ...], predicted_N: NDArray[np.integer[Any]], dataset: Dataset
) -> tuple[str, ...]:
    """What is implausible about predictions, a sentence each that says why; nothing for other data than FER2013.

    Args:
        evaluations: of the predictions on one split, in every protocol.
        predicted_N: the classes that they tell, int64 [N], for all faces of the split in row order.
        dataset: as it was loaded, in FER2013's classes.
    """
    if not dataset.is_fer2013:
        return ()
    found = []
    own = {e.protocol: e for e in evaluations if e.against == OWN_LABELS}
    e = own.get(STRICT) or own.get(DEDUPLICATED) or own.get(OFFICIAL)
    if e is not None and e.low > MAX_PLAUSIBLE_ACCURACY:
        faces = {OFFICIAL: f"of {e.split}", DEDUPLICATED: "without a duplicate in Training"}.get(
            e.protocol, "without a duplicate or near-duplicate in Training"
        )
        found.append(
            f"{e.model} meets {100 * e.accuracy:.1f} % of the labels of the {e.n:,} faces {faces}, where people meet "
            f"about 65 % and honest models no more than {100 * MAX_PLAUSIBLE_ACCURACY:.0f} %: FER2013's labels "
            "are too noisy for "
            "that, so it has most likely seen these rows"
        )
    contradicted = contradicted_labels(predicted_N, dataset, evaluations[0].split)
    if contradicted is not None and wilson_interval(*contradicted)[0] > MAX_CONTRADICTED_SHARE:
        met, n = contradicted
        found.append(
            f"{evaluations[0].model} tells the label of {100 * met / n:.1f} % of the {n:,} faces whose label most "
            "raters contradict: what the faces look like speaks against these labels, so it has most likely learned "
            "them by heart"
        )
    return tuple(found)


def contradicted_labels(predicted_N: NDArray[np.integer[Any]], dataset: Dataset, split: str) -> tuple[int, int] | None:
    """Of how many faces whose label most raters contradict the label is told, and how many there are.

    None where there are no votes, no such faces, or other classes than FER2013's.

    Args:
        predicted_N: the classes told of all faces of the split, int64 [N], in row order.
    """
    faces = dataset[split]
    if faces.votes_NV is None or dataset.labels != FER7:
        return None
    raters = relabel_by_majority(dataset, FER7)[split]
    at_M = np.searchsorted(faces.rows_N, raters.rows_N)  # the faces that have a majority, in the same order
    disputed_M = faces.labels_N[at_M] != raters.labels_N
    met_M = predicted_N[at_M] == faces.labels_N[at_M]
    return (int(met_M[disputed_M].sum()), int(disputed_M.sum())) if disputed_M.any() else None
