"""Predictions in, figures and pages out."""

from __future__ import annotations

from mien.judge.cards import fill_card, refuse_card
from mien.judge.compare import Comparison, RunRecord, compare
from mien.judge.contest import Contest, Entry, contest
from mien.judge.contest_page import contest_page
from mien.judge.evaluate import Evaluation, evaluate
from mien.judge.examination import Examination, examine, steps
from mien.judge.examination_page import examination_page
from mien.judge.net import Net
from mien.judge.predictions import judge_predictions
from mien.judge.protocols import Judgement, chosen_of, judge_model, judge_net, judge_split, truth_for
from mien.judge.report import write_report
from mien.judge.search import Search
from mien.judge.search_page import search_table
from mien.judge.style import refuse_without_plots
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
    "Net",
    "RunRecord",
    "Search",
    "Verdict",
    "chosen_of",
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
    "judge_net",
    "judge_predictions",
    "judge_split",
    "judgement_table",
    "models_table",
    "refusal_table",
    "refuse_card",
    "refuse_without_plots",
    "robustness_table",
    "search_table",
    "steps",
    "truth_for",
    "write_report",
]
