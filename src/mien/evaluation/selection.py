"""Names of the epoch that figures are of and of what selected it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mien.data.dataset import VAL

LAST = "last"
# What a recipe may select by, all measured on validation, as it is spoken of.
MEASURES = {
    "val_accuracy": "validation accuracy",
    "val_macro_f1": "validation macro-F1",
    "val_loss": "validation loss",
}
SELECTED_ON = "selected on"  # the mark of a score on the split that also chose the epoch


def selected_by(recipe: Mapping[str, object]) -> str | None:
    """The measure that chooses the epoch at which a run is judged; None where that is the last one."""
    select = recipe.get("select", LAST)  # recipes from before there was a choice lack the field
    return None if select == LAST else str(select)


@dataclass(frozen=True)
class EpochSelection:
    """What chose the epoch of each arm.

    Attributes:
        by: arm -> a key of `MEASURES`, or None for the last epoch.
    """

    by: Mapping[str, str | None]

    @property
    def selects(self) -> bool:
        """Whether the epoch of any arm was chosen."""
        return any(self.by.values())

    @property
    def selected_by(self) -> str | dict[str, str | None] | None:
        """As JSON: the measure, or None; by arm where the arms differ."""
        measures = set(self.by.values())
        return measures.pop() if len(measures) == 1 else dict(self.by)

    @property
    def at(self) -> str:
        """`last epoch`, `epoch that validation accuracy chose`, or `each arm's chosen epoch` where the arms differ."""
        measures = set(self.by.values())
        if len(measures) > 1:
            return "each arm's chosen epoch"
        measure = measures.pop()
        return "last epoch" if measure is None else f"epoch that {MEASURES[measure]} chose"

    @property
    def epoch(self) -> str:
        """The same with its article: `the last epoch`."""
        return self.at if self.at.startswith("each") else f"the {self.at}"

    @property
    def when(self) -> str:
        """`after the last epoch`, or `at the epoch that ...`."""
        return f"{'at' if self.selects else 'after'} {self.epoch}"

    @property
    def in_full(self) -> str:
        """`epoch`, and where the arms differ that of each."""
        if not isinstance(self.selected_by, dict):
            return self.epoch
        each = "; ".join(f"{arm}: {EpochSelection({arm: measure}).epoch}" for arm, measure in self.by.items())
        return f"{self.epoch} ({each})"

    def on(self, split: str) -> bool:
        """Whether `split` also chose an epoch, so that scores on it are optimistic."""
        return split == VAL and self.selects

    def aside(self, split: str) -> str:
        """The clause by which a sentence about `split` says so: `which also chose the epoch`; else empty."""
        if not self.on(split):
            return ""
        choosing = [arm for arm, measure in self.by.items() if measure]
        of = "" if len(choosing) == len(self.by) else f" of {', '.join(choosing)}"
        return f"which also chose the epoch{of}"
