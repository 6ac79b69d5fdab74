"""Names of the epoch that is evaluated and of the metric that selected it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mien.data.dataset import VAL

LAST = "last"
# Metrics on validation that a recipe may select the epoch by, with their names in texts.
SELECTION_METRICS = {
    "val_accuracy": "validation accuracy",
    "val_macro_f1": "validation macro-F1",
    "val_loss": "validation loss",
}
SELECTED_ON = "used for selection"  # mark of a metric on the split that also selected the epoch or the temperature


def selected_by(recipe: Mapping[str, object]) -> str | None:
    """Return the metric that selects the epoch of a run, a key of `SELECTION_METRICS`; None for the last epoch."""
    select = recipe.get("select", LAST)  # recipes of earlier versions lack the field
    return None if select == LAST else str(select)


@dataclass(frozen=True)
class EpochSelection:
    """How the evaluated epoch of each arm was selected.

    Attributes:
        by: Key of `SELECTION_METRICS`, or None for the last epoch, by arm.

    Example:
        >>> EpochSelection({"seed": "val_loss"}).when
        'at the epoch selected by validation loss'
    """

    by: Mapping[str, str | None]

    @property
    def any_selected(self) -> bool:
        """Whether the epoch of any arm was selected by a metric."""
        return any(self.by.values())

    @property
    def selected_by(self) -> str | dict[str, str | None] | None:
        """The metric, or None, as JSON types; by arm if the arms differ."""
        metrics = set(self.by.values())
        return metrics.pop() if len(metrics) == 1 else dict(self.by)

    @property
    def title(self) -> str:
        """`last epoch`, `epoch selected by validation accuracy`, or `each arm's selected epoch` if the arms differ."""
        metrics = set(self.by.values())
        if len(metrics) > 1:
            return "each arm's selected epoch"
        metric = metrics.pop()
        return "last epoch" if metric is None else f"epoch selected by {SELECTION_METRICS[metric]}"

    @property
    def epoch(self) -> str:
        """The title with its article: `the last epoch`."""
        return self.title if self.title.startswith("each") else f"the {self.title}"

    @property
    def when(self) -> str:
        """`after the last epoch`, or `at the epoch selected by ...`."""
        return f"{'at' if self.any_selected else 'after'} {self.epoch}"

    @property
    def description(self) -> str:
        """`epoch`, followed by the epoch of each arm if the arms differ."""
        if not isinstance(self.selected_by, dict):
            return self.epoch
        each = "; ".join(f"{arm}: {EpochSelection({arm: metric}).epoch}" for arm, metric in self.by.items())
        return f"{self.epoch} ({each})"

    def uses(self, split: str) -> bool:
        """Return whether `split` also selected an epoch, so that metrics on it are optimistic."""
        return split == VAL and self.any_selected

    def note(self, split: str) -> str:
        """Return a sentence on a split that also selected the epoch of an arm; empty for other splits."""
        if not self.uses(split):
            return ""
        selecting = [arm for arm, metric in self.by.items() if metric]
        of = "" if len(selecting) == len(self.by) else f" of {', '.join(selecting)}"
        return f"This split also selected the epoch{of}, so the metrics are optimistic."
