"""Predictions in, figures and pages out."""

from __future__ import annotations

from mien.judge.compare import Comparison, RunRecord, compare
from mien.judge.evaluate import Evaluation, evaluate
from mien.judge.report import write_report
from mien.judge.tables import comparison_table, confusion_table, evaluation_table
from mien.judge.verdict import Verdict

__all__ = [
    "Comparison",
    "Evaluation",
    "RunRecord",
    "Verdict",
    "compare",
    "comparison_table",
    "confusion_table",
    "evaluate",
    "evaluation_table",
    "write_report",
]
