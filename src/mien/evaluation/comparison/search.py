"""Trials of a hyper-parameter search as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

DONE, STOPPED, FAILED, RUNNING = "done", "stopped", "failed", "running"
STATES = {
    DONE: "trained to its end",
    STOPPED: "stopped early, as it lagged behind the others",
    FAILED: "its loss was lost, or its memory",
    RUNNING: "at work, or to be gone on with",
}


@dataclass(frozen=True)
class Trial:
    """One set of values that was tried.

    Attributes:
        number: from 0 on.
        state: one of `STATES`.
        values: field of the recipe -> its value.
        accuracies: on validation, an epoch each, from 0 to 1.
        seconds: of training.
        own: whether these are the recipe's own values.
        why: what a failed trial failed by.
    """

    number: int
    state: str
    values: Mapping[str, str | int | float]
    accuracies: tuple[float, ...] = ()
    seconds: float = 0.0
    own: bool = False
    error: str = ""

    @property
    def accuracy(self) -> float | None:
        """After its last epoch, which is what a trial is judged by; None before the first."""
        return self.accuracies[-1] if self.accuracies else None

    @property
    def settings(self) -> str:
        """As a person would type it, to the last digit: `--set lr=0.003 --set batch=64`."""
        return " ".join(f"--set {field}={value}" for field, value in self.values.items())


@dataclass(frozen=True)
class Search:
    """All trials of one search.

    Attributes:
        recipe: what they vary, as JSON types.
        seed: of the trials' first weights, order and augmentation, the same for all.
        data: name, digest and faces of what they learn from.
        space: field -> what it may be.
        trials: by their numbers.
        importances: field -> its share in what tells good trials from all others, or empty where they are too few.
    """

    recipe: Mapping[str, Any]
    seed: int
    data: Mapping[str, Any]
    space: Mapping[str, Any]
    trials: Sequence[Trial]
    importances: Mapping[str, float]

    @property
    def ended(self) -> list[Trial]:
        """Those that were trained to their end."""
        return [trial for trial in self.trials if trial.state == DONE]

    @property
    def best(self) -> Trial | None:
        """The most accurate of those, the first of equals."""
        return max(self.ended, key=lambda trial: trial.accuracy or 0.0, default=None)

    @property
    def own(self) -> Trial | None:
        """The trial with the recipe's own values, if they lie in the space."""
        return next((trial for trial in self.trials if trial.own), None)

    @property
    def sentence(self) -> str:
        """What came out, for a person."""
        if self.best is None or self.best.accuracy is None:
            return f"None of {len(self.trials)} trials of {self.recipe['name']} has been trained to its end."
        found = ", ".join(f"{field} {format_value(value)}" for field, value in self.best.values.items())
        said = f"The best of {len(self.trials)} trials of {self.recipe['name']} tells {_percent(self.best.accuracy)}"
        said += f" of the validation faces right, with {found}"
        own = self.own
        if own is None or own.accuracy is None:
            return f"{said}."
        if own is self.best:
            return f"{said}: the recipe's own values."
        early = "" if own.state == DONE else f", stopped after {len(own.accuracies)} epochs"
        return f"{said}; the recipe's own values {_percent(own.accuracy)}{early}."

    def to_dict(self) -> dict[str, Any]:
        return {
            "recipe": dict(self.recipe),
            "seed": self.seed,
            "data": dict(self.data),
            "space": dict(self.space),
            "trials": [{**asdict(trial), "accuracies": list(trial.accuracies)} for trial in self.trials],
            "importances": dict(self.importances),
            "best": self.best.number if self.best else None,
        }


def format_value(value: str | float) -> str:
    """A number with four digits that count; text as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
