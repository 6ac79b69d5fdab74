"""Values over seeds and epochs: mean, standard deviation and peak."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.evaluation.statistics.metrics import Floats, Ints


@dataclass(frozen=True)
class Spread:
    """A value per seed, with mean and standard deviation."""

    per_seed: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.per_seed))

    @property
    def std(self) -> float | None:
        """The sample standard deviation (n - 1); None for a single seed."""
        return float(np.std(self.per_seed, ddof=1)) if len(self.per_seed) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON types."""
        return {"mean": self.mean, "std": self.std, "n": len(self.per_seed), "per_seed": list(self.per_seed)}


@dataclass(frozen=True, eq=False)
class Curve:
    """A value per seed and epoch.

    Attributes:
        values_SE: Values float64 [S,E]; epochs are counted from 1; NaN after the end of a run.
    """

    values_SE: Floats

    @classmethod
    def of(cls, runs: Sequence[Sequence[float]]) -> Curve:
        """Return the curve of values per run and epoch; shorter runs are padded with NaN."""
        values_SE = np.full((len(runs), max(map(len, runs))), np.nan)
        for row_E, run in zip(values_SE, runs, strict=True):
            row_E[: len(run)] = run
        return cls(values_SE)

    @property
    def runs_E(self) -> Ints:
        """The number of runs that reached each epoch."""
        runs: Ints = (~np.isnan(self.values_SE)).sum(0)
        return runs

    @property
    def mean_E(self) -> Floats:
        """The mean over the runs that reached the epoch."""
        mean: Floats = np.nansum(self.values_SE, 0) / self.runs_E
        return mean

    @property
    def std_E(self) -> Floats:
        """The sample standard deviation over the runs that reached the epoch; NaN for a single run."""
        squares_E = np.nansum((self.values_SE - self.mean_E) ** 2, 0)
        dof_E = self.runs_E - 1
        std: Floats = np.sqrt(np.divide(squares_E, dof_E, out=np.full(len(dof_E), np.nan), where=dof_E > 0))
        return std

    @property
    def peaks(self) -> tuple[int, ...]:
        """The epoch of the highest value per seed, the first of equals."""
        return tuple((np.nanargmax(self.values_SE, 1) + 1).tolist())

    @property
    def peak_of_mean(self) -> int:
        """The epoch of the highest mean among those that all runs reached; later means are of fewer runs."""
        shared_E = self.runs_E == len(self.values_SE)
        return int(self.mean_E[shared_E].argmax()) + 1

    def at(self, epochs: Sequence[int]) -> Spread:
        """Return the value of each seed at its epoch in `epochs`, [S], counted from 1."""
        return Spread(tuple(float(row_E[e - 1]) for row_E, e in zip(self.values_SE, epochs, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON types: None for NaN, and for `std` of a single seed."""
        std = _or_none(self.std_E) if len(self.values_SE) > 1 else None
        return {"mean": _or_none(self.mean_E), "std": std, "per_seed": [_or_none(row_E) for row_E in self.values_SE]}


def _or_none(values: Floats) -> list[float | None]:
    return [None if math.isnan(v) else v for v in values.tolist()]
