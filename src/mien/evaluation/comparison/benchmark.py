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
from mien.evaluation.contamination import contamination, contradicted_labels
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.protocols import ModelEvaluation, ProtocolView, evaluate_split, places, views
from mien.evaluation.statistics.paired import Pair, pair
from mien.labels import LabelSet, projection, same_classes


@dataclass(frozen=True, eq=False)
class BenchmarkEntry:
    """What one package says of all faces of a split.

    Attributes:
        name: of the package.
        labels: its classes.
        probs_NK: probabilities in row order, [N,K].
        selected_on: what the split chose of it, as `Evaluation` has it.
    """

    name: str
    labels: LabelSet
    probs_NK: NDArray[np.floating[Any]]
    selected_on: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ProtocolResult:
    """One protocol and one truth: all packages on its faces, and each held against the first."""

    evaluations: tuple[Evaluation, ...]
    pairs: tuple[Pair, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
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
    """Several packages side by side.

    Attributes:
        data, split: what they were judged on.
        rounds: one per protocol and truth, the official one first.
        doubts: what is too good to be true, a sentence each.
        doubted: the packages that these are about.
        disputed: package -> the share of the labels that most raters contradict which it tells all the same, 0 to 1;
            empty where that is not known.
        projected: the packages whose classes are others than the data's; they were asked for the likeliest of these.
    """

    data: str
    split: str
    rounds: tuple[ProtocolResult, ...]
    contamination: tuple[str, ...]
    contaminated: tuple[str, ...]
    contradicted: Mapping[str, float]
    projected: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
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
    """Judge packages on a split, and hold each against the first, paired by face.

    Args:
        strict: as in `evaluate_split`.

    Raises:
        MienError: fewer than two packages, two of one name, predictions that do not fit the split, or classes that the
            data has no counterpart of.
        DataError: the split has no labels.
        MissingSplit: `dataset` lacks the split.
    """
    rows_N = dataset[split].rows_N
    twice = [name for name, count in Counter(e.name for e in entries).items() if count > 1]
    if len(entries) < 2 or twice:
        got = f"two called {twice[0]}" if twice else ", ".join(e.name for e in entries) or "none"
        raise MienError(f"a contest is between two packages or more, each with a name of its own; got {got}")
    told = [_in_classes_of(dataset.labels, entry) for entry in entries]
    judged = [
        evaluate_split(
            probs_NK, rows_N, dataset, dataset, split, model=e.name, selected_on=e.selected_on, strict=strict
        )
        for e, probs_NK in zip(entries, told, strict=True)
    ]
    said = [probs_NK.argmax(1) for probs_NK in told]
    suspicions = {
        e.name: contamination(model_evaluation.evaluations, predicted_N, dataset)
        for e, model_evaluation, predicted_N in zip(entries, judged, said, strict=True)
    }
    contaminated = tuple(name for name, found in suspicions.items() if found)
    contradicted = {
        entry.name: found[0] / found[1]
        for entry, predicted_N in zip(entries, said, strict=True)
        if (found := contradicted_labels(predicted_N, dataset, split)) is not None
    }
    projected = tuple(e.name for e in entries if not same_classes(e.labels.names, dataset.labels.names))
    rounds = _rounds(entries, judged, said, rows_N, views(dataset, dataset, split, strict=strict))
    every = tuple(sentence for found in suspicions.values() for sentence in found)
    return Benchmark(dataset.title, split, rounds, every, contaminated, contradicted, projected)


def _rounds(
    entries: Sequence[BenchmarkEntry],
    judged: Sequence[ModelEvaluation],
    said: list[NDArray[np.int64]],
    rows_N: NDArray[np.int64],
    ways: Iterable[ProtocolView],
) -> tuple[ProtocolResult, ...]:
    rounds = []
    for number, view in enumerate(ways):
        at_N = places(rows_N, view.rows_N)
        first_N, *others = (predicted_N[at_N] for predicted_N in said)
        pairs = [
            pair(entries[0].name, entry.name, view.labels_N, first_N, other_N, len(view.labels))
            for entry, other_N in zip(entries[1:], others, strict=True)
        ]
        rounds.append(ProtocolResult(tuple(j.evaluations[number] for j in judged), tuple(pairs)))
    return tuple(rounds)


def _in_classes_of(labels: LabelSet, entry: BenchmarkEntry) -> NDArray[np.float32]:
    """Probabilities among `labels` alone, float32 [N,K]; where a package gives none of them anything, all alike."""
    if same_classes(entry.labels.names, labels.names):
        return np.asarray(entry.probs_NK, np.float32)
    over = projection(entry.labels, labels)
    lacking = [name for name, faces in zip(labels.names, over.sum(0), strict=True) if not faces]
    if lacking:
        raise MienError(f"{entry.name} does not know {', '.join(lacking)}, so it cannot be judged on {labels.name}")
    p_NK = np.asarray(entry.probs_NK, np.float64) @ over
    sum_N1 = p_NK.sum(1, keepdims=True)
    whole_NK = np.divide(p_NK, sum_N1, out=np.full_like(p_NK, 1 / len(labels)), where=sum_N1 > 0)
    return np.asarray(whole_NK, np.float32)
