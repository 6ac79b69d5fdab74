"""Predictions in, figures and pages out."""

from __future__ import annotations

from mien.judge.cards import fill_card, refuse_card
from mien.judge.compare import Comparison, RunRecord, compare
from mien.judge.evaluate import Evaluation, evaluate
from mien.judge.protocols import Judgement, chosen_on, judge_model, judge_split
from mien.judge.report import write_report
from mien.judge.search import Search
from mien.judge.search_page import search_table
from mien.judge.tables import comparison_table, confusion_table, evaluation_table, judgement_table, models_table
from mien.judge.verdict import Verdict

__all__ = [
    "Comparison",
    "Evaluation",
    "Judgement",
    "RunRecord",
    "Search",
    "Verdict",
    "chosen_on",
    "compare",
    "comparison_table",
    "confusion_table",
    "evaluate",
    "evaluation_table",
    "fill_card",
    "judge_model",
    "judge_split",
    "judgement_table",
    "models_table",
    "refuse_card",
    "search_table",
    "write_report",
]
