"""Predictions in, figures and pages out."""

from __future__ import annotations

from mien.judge.cards import fill_card, refuse_card
from mien.judge.compare import Comparison, RunRecord, compare
from mien.judge.contest import Contest, Entry, contest
from mien.judge.contest_page import contest_page
from mien.judge.evaluate import Evaluation, evaluate
from mien.judge.examination import Examination, examine, steps
from mien.judge.examination_page import examination_page
from mien.judge.predictions import judge_predictions
from mien.judge.protocols import Judgement, chosen_on, judge_model, judge_split
from mien.judge.report import write_report
from mien.judge.search import Search
from mien.judge.search_page import search_table
from mien.judge.tables import (
    comparison_table,
    confusion_table,
    contest_tables,
    detector_table,
    evaluation_table,
    judgement_table,
    models_table,
    refusal_table,
    robustness_table,
)
from mien.judge.verdict import Verdict

__all__ = [
    "Comparison",
    "Contest",
    "Entry",
    "Evaluation",
    "Examination",
    "Judgement",
    "RunRecord",
    "Search",
    "Verdict",
    "chosen_on",
    "compare",
    "comparison_table",
    "confusion_table",
    "contest",
    "contest_page",
    "contest_tables",
    "detector_table",
    "evaluate",
    "evaluation_table",
    "examination_page",
    "examine",
    "fill_card",
    "judge_model",
    "judge_predictions",
    "judge_split",
    "judgement_table",
    "models_table",
    "refusal_table",
    "refuse_card",
    "robustness_table",
    "search_table",
    "steps",
    "write_report",
]
