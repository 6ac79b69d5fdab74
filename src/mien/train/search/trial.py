"""One trial of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.train.recipe import Recipe
from mien.train.runs.folder import Metrics, Run

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial as Asked

MEASURE = "val_accuracy"
OWN, WHY, SECONDS = "own", "error", "seconds"  # what is noted of a trial beside what Optuna keeps


class TrialRun:
    """A trial that is trained, here or elsewhere.

    Attributes:
        recipe, run: what is trained, and where.
        reached: the last epoch that it was told of.
    """

    def __init__(self, study: Study, trial: Asked, recipe: Recipe, run: Run) -> None:
        self.recipe, self.run, self.reached = recipe, run, 0
        self._study, self._trial, self._measured, self._seconds = study, trial, 0.0, 0.0
        self._told = dict(study.get_trials(deepcopy=False)[trial.number].intermediate_values)  # by an earlier call

    def tell(self, metrics: Metrics) -> None:
        """An epoch is over."""
        self.reached, self._measured = int(metrics["epoch"]), metrics[MEASURE]
        self._seconds += metrics["seconds"]
        self._trial.set_user_attr(SECONDS, self._seconds)
        if self.reached not in self._told:
            self._trial.report(self._measured, self.reached)

    def lags(self) -> bool:
        """Whether it is to be stopped here, behind the others; then the study knows."""
        from optuna.trial import TrialState

        if self.reached >= self.recipe.epochs or not self._trial.should_prune():
            return False
        self._study.tell(self._trial, state=TrialState.PRUNED)
        return True

    def fail(self, error: str) -> None:
        """It cannot be trained."""
        from optuna.trial import TrialState

        self._trial.set_user_attr(WHY, error)
        self._study.tell(self._trial, state=TrialState.FAIL)

    def end(self) -> None:
        """It is trained to its end."""
        self._study.tell(self._trial, self._measured)
