"""Evaluation of models on data: metrics, reports and comparisons.

A public name is imported from its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien._lazy import lazy_names
from mien.evaluation.evaluate import Evaluation, evaluate  # at once: a module of the same name would take its place

if TYPE_CHECKING:
    from mien.evaluation.comparison.benchmark import Contest, contest
    from mien.evaluation.comparison.compare import Comparison, compare
    from mien.evaluation.comparison.search import Search
    from mien.evaluation.comparison.verdict import Verdict
    from mien.evaluation.full_report import Examination, examine
    from mien.evaluation.predictions_file import judge_predictions
    from mien.evaluation.report.write import write_report

__all__ = [
    "Comparison",
    "Contest",
    "Evaluation",
    "Examination",
    "Search",
    "Verdict",
    "compare",
    "contest",
    "evaluate",
    "examine",
    "judge_predictions",
    "write_report",
]

if not TYPE_CHECKING:  # a type checker reads the imports above
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Comparison": "mien.evaluation.comparison.compare",
            "Contest": "mien.evaluation.comparison.benchmark",
            "Examination": "mien.evaluation.full_report",
            "Search": "mien.evaluation.comparison.search",
            "Verdict": "mien.evaluation.comparison.verdict",
            "compare": "mien.evaluation.comparison.compare",
            "contest": "mien.evaluation.comparison.benchmark",
            "examine": "mien.evaluation.full_report",
            "judge_predictions": "mien.evaluation.predictions_file",
            "write_report": "mien.evaluation.report.write",
        },
    )
