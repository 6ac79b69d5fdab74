"""Trials of a hyper-parameter search: settings, accuracies and the best one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

DONE, STOPPED, FAILED, RUNNING = "done", "stopped", "failed", "running"
STATES = {
    DONE: "trained to the last epoch",
    STOPPED: "stopped early because it was worse than the others",
    FAILED: "failed: the loss diverged or memory ran out",
    RUNNING: "running, or to be resumed",
}


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: Number of the trial, from 0.
        state: One of `STATES`.
        values: Value by field of the recipe.
        accuracies: Validation accuracy after each epoch, 0 to 1.
        seconds: Training time.
        own: Whether these are the recipe's own values.
        error: Error message of a failed trial.
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
        """The validation accuracy after the last epoch, by which trials are compared; None before the first epoch."""
        return self.accuracies[-1] if self.accuracies else None

    @property
    def settings(self) -> str:
        """The values as command line options, with all digits: `--set lr=0.003 --set batch=64`."""
        return " ".join(f"--set {field}={value}" for field, value in self.values.items())


@dataclass(frozen=True)
class Search:
    """All trials of one hyper-parameter search.

    Attributes:
        recipe: The recipe whose fields vary, as JSON types.
        seed: Seed of initial weights, order and augmentation, the same for all trials.
        data: Name, digest and number of faces of the training data.
        space: Search space by field of the recipe.
        trials: Trials by number.
        importances: Importance of each field for the accuracy, as a fraction; empty with too few trials.

    Example:
        >>> trials = [Trial(0, DONE, {"lr": 0.003}, (0.4, 0.5), own=True), Trial(1, DONE, {"lr": 0.01}, (0.5, 0.6))]
        >>> search = Search({"name": "seed"}, 0, {}, {}, trials, {})
        >>> search.best.settings
        '--set lr=0.01'
    """

    recipe: Mapping[str, Any]
    seed: int
    data: Mapping[str, Any]
    space: Mapping[str, Any]
    trials: Sequence[Trial]
    importances: Mapping[str, float]

    @property
    def ended(self) -> list[Trial]:
        """The trials that were trained to the last epoch."""
        return [trial for trial in self.trials if trial.state == DONE]

    @property
    def best(self) -> Trial | None:
        """The ended trial with the highest accuracy, the first of equals; None if none ended."""
        return max(self.ended, key=lambda trial: trial.accuracy or 0.0, default=None)

    @property
    def own(self) -> Trial | None:
        """The trial with the recipe's own values, if they are in the search space."""
        return next((trial for trial in self.trials if trial.own), None)

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        if self.best is None or self.best.accuracy is None:
            return f"None of {len(self.trials)} trials of {self.recipe['name']} was trained to the last epoch."
        values = ", ".join(f"{field} {format_value(value)}" for field, value in self.best.values.items())
        sentence = f"The best of {len(self.trials)} trials of {self.recipe['name']} has a validation accuracy of "
        sentence += f"{_percent(self.best.accuracy)} with {values}"
        own = self.own
        if own is None or own.accuracy is None:
            return f"{sentence}."
        if own is self.best:
            return f"{sentence}: the recipe's own values."
        early = "" if own.state == DONE else f", stopped after {len(own.accuracies)} epochs"
        return f"{sentence}; the recipe's own values reach {_percent(own.accuracy)}{early}."

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and the number of the best trial as JSON types."""
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
    """Return a number with four significant digits; text unchanged."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
