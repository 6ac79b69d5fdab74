"""Several models on the same faces, each against the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.errors import MienError
from mien.evaluation.common_classes import project_probabilities
from mien.evaluation.contamination import contamination, contradicted_labels
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.protocols import ModelEvaluation, ProtocolView, evaluate_split, find_rows, protocol_views
from mien.evaluation.statistics.paired import PairedComparison, compare_paired
from mien.labels import LabelSet, same_classes


@dataclass(frozen=True, eq=False)
class BenchmarkEntry:
    """Predictions of one model for all faces of a split.

    Attributes:
        name: Name of the model.
        labels: Label set of the model.
        probs_NK: Probabilities in row order, [N,K].
        selected_on: Parts of the model that were selected on the split, as in `Evaluation`.
    """

    name: str
    labels: LabelSet
    probs_NK: NDArray[np.floating[Any]]
    selected_on: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ProtocolResult:
    """All models by one protocol and against one kind of labels, each compared with the first.

    Attributes:
        evaluations: Evaluation of each model.
        pairs: Comparison of each further model with the first.
    """

    evaluations: tuple[Evaluation, ...]
    pairs: tuple[PairedComparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all values as JSON types."""
        first = self.evaluations[0]
        return {
            "protocol": first.protocol,
            "against": first.against,
            "n": first.n,
            "packages": [e.to_dict() for e in self.evaluations],
            "pairs": [p.to_dict() for p in self.pairs],
        }


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Several models on the same faces.

    Attributes:
        data: Name of the data set.
        split: Name of the split.
        rounds: One result per protocol and kind of labels, the official one first.
        contamination: A sentence for each sign that a model was trained on these faces.
        contaminated: Names of these models.
        contradicted: Fraction of the labels contradicting the majority vote (FER+) that a model predicts, 0 to 1, by
            name of the model; empty if unknown.
        projected: Names of the models with other classes than the data; their predictions are projected on the classes
            of the data.

    Example:
        >>> from mien.data import sketch
        >>> data = sketch(train=0, val=0, test=20)
        >>> probs_NK = np.eye(7)[data["test"].labels_N]
        >>> result = benchmark([BenchmarkEntry(name, data.labels, probs_NK) for name in ("a", "b")], data, "test")
        >>> [evaluation.accuracy for evaluation in result.rounds[0].evaluations]
        [1.0, 1.0]
    """

    data: str
    split: str
    rounds: tuple[ProtocolResult, ...]
    contamination: tuple[str, ...]
    contaminated: tuple[str, ...]
    contradicted: Mapping[str, float]
    projected: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all values as JSON types."""
        return {
            "data": self.data,
            "split": self.split,
            "contamination": list(self.contamination),
            "contaminated": list(self.contaminated),
            "contradicted_labels": dict(self.contradicted),
            "projected": list(self.projected),
            "rounds": [r.to_dict() for r in self.rounds],
        }


def benchmark(entries: Sequence[BenchmarkEntry], dataset: Dataset, split: str, *, strict: bool = False) -> Benchmark:
    """Evaluate several models on a split and compare each with the first, paired by face.

    Args:
        entries: Predictions of two or more models with different names.
        dataset: The data as loaded.
        split: Name of the split.
        strict: Whether to evaluate by the protocol `strict` too (see `Evaluation`).

    Raises:
        MienError: Fewer than two models, two with one name, predictions that do not fit the split, or a class of the
            data that a model lacks.
        DataError: The split has no labels.
        MissingSplit: `dataset` lacks the split.

    Example:
        >>> import mien
        >>> from mien.data import sketch
        >>> data = sketch(train=0, val=0, test=20)
        >>> names = ("nano", "photo")
        >>> models = [mien.model.load(name) for name in names]
        >>> faces = data["test"].pixels_NHW
        >>> entries = [BenchmarkEntry(m.card.name, m.card.labels, m.probabilities(faces)) for m in models]
        >>> result = benchmark(entries, data, "test")
        >>> [pair.b for pair in result.rounds[0].pairs]
        ['photo']
    """
    rows_N = dataset[split].rows_N
    twice = [name for name, count in Counter(e.name for e in entries).items() if count > 1]
    if len(entries) < 2 or twice:
        got = f"two called {twice[0]}" if twice else ", ".join(e.name for e in entries) or "none"
        raise MienError(f"a benchmark needs two or more models with different names, got {got}")
    probabilities = [project_probabilities(e.probs_NK, e.labels, dataset.labels, e.name) for e in entries]
    evaluations = [
        evaluate_split(
            probs_NK, rows_N, dataset, dataset, split, model=e.name, selected_on=e.selected_on, strict=strict
        )
        for e, probs_NK in zip(entries, probabilities, strict=True)
    ]
    predictions = [probs_NK.argmax(1) for probs_NK in probabilities]
    signs = {
        e.name: contamination(model_evaluation.evaluations, predicted_N, dataset)
        for e, model_evaluation, predicted_N in zip(entries, evaluations, predictions, strict=True)
    }
    contaminated = tuple(name for name, sentences in signs.items() if sentences)
    contradicted = {
        entry.name: counts[0] / counts[1]
        for entry, predicted_N in zip(entries, predictions, strict=True)
        if (counts := contradicted_labels(predicted_N, dataset, split)) is not None
    }
    projected = tuple(e.name for e in entries if not same_classes(e.labels.names, dataset.labels.names))
    rounds = _compare_by_protocol(
        entries, evaluations, predictions, rows_N, protocol_views(dataset, dataset, split, strict=strict)
    )
    sentences = tuple(sentence for of_model in signs.values() for sentence in of_model)
    return Benchmark(dataset.title, split, rounds, sentences, contaminated, contradicted, projected)


def _compare_by_protocol(
    entries: Sequence[BenchmarkEntry],
    evaluations: Sequence[ModelEvaluation],
    predictions: list[NDArray[np.int64]],
    rows_N: NDArray[np.int64],
    views: Iterable[ProtocolView],
) -> tuple[ProtocolResult, ...]:
    rounds = []
    for number, view in enumerate(views):
        at_N = find_rows(rows_N, view.rows_N)
        first_N, *others = (predicted_N[at_N] for predicted_N in predictions)
        pairs = [
            compare_paired(entries[0].name, entry.name, view.labels_N, first_N, other_N, len(view.labels))
            for entry, other_N in zip(entries[1:], others, strict=True)
        ]
        rounds.append(ProtocolResult(tuple(e.evaluations[number] for e in evaluations), tuple(pairs)))
    return tuple(rounds)
