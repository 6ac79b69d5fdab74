"""One trial of a hyper-parameter search: the run that is trained, and its reports to Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.train.recipe import Recipe
from mien.train.runs.folder import Metrics, Run

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

METRIC = "val_accuracy"
# User attributes of an Optuna trial: whether it has the recipe's own values, its error, its training time in seconds.
OWN, ERROR, SECONDS = "own", "error", "seconds"


class TrialRun:
    """A trial of a study, trained in this process or on a cluster.

    Args:
        study: Optuna's study.
        trial: Optuna's trial.
        recipe: Recipe with the values of the trial.
        run: Folder of its training run.

    Attributes:
        recipe: Recipe that is trained.
        run: Folder of its training run.
        epoch: Last epoch that was reported.
    """

    def __init__(self, study: Study, trial: Trial, recipe: Recipe, run: Run) -> None:
        self.recipe, self.run, self.epoch = recipe, run, 0
        self._study, self._trial, self._value, self._seconds = study, trial, 0.0, 0.0
        self._reported = dict(study.get_trials(deepcopy=False)[trial.number].intermediate_values)  # before a resume

    def report(self, metrics: Metrics) -> None:
        """Report the metrics of the next epoch to the study."""
        self.epoch, self._value = int(metrics["epoch"]), metrics[METRIC]
        self._seconds += metrics["seconds"]
        self._trial.set_user_attr(SECONDS, self._seconds)
        if self.epoch not in self._reported:
            self._trial.report(self._value, self.epoch)

    def prune_if_behind(self) -> bool:
        """End the trial as pruned if its accuracy is behind that of the others; return whether it was."""
        from optuna.trial import TrialState

        if self.epoch >= self.recipe.epochs or not self._trial.should_prune():
            return False
        self._study.tell(self._trial, state=TrialState.PRUNED)
        return True

    def fail(self, error: str) -> None:
        """End the trial as failed."""
        from optuna.trial import TrialState

        self._trial.set_user_attr(ERROR, error)
        self._study.tell(self._trial, state=TrialState.FAIL)

    def complete(self) -> None:
        """End the trial as complete, with the accuracy of its last epoch."""
        self._study.tell(self._trial, self._value)
