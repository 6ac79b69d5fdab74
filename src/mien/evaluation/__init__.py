"""Evaluation of models on data: metrics, reports and comparisons."""

from __future__ import annotations

from mien.evaluation.comparison.benchmark import Contest, Entry, contest
from mien.evaluation.comparison.compare import Comparison, RunRecord, compare
from mien.evaluation.comparison.search import Search
from mien.evaluation.comparison.verdict import Verdict
from mien.evaluation.evaluate import Evaluation, evaluate
from mien.evaluation.full_report import Examination, examine, steps
from mien.evaluation.predictions_file import judge_predictions
from mien.evaluation.predictor import Net
from mien.evaluation.protocols import Judgement, chosen_of, judge_model, judge_net, judge_split, truth_for
from mien.evaluation.report.benchmark_page import contest_page
from mien.evaluation.report.full_report_page import examination_page
from mien.evaluation.report.search_page import search_table
from mien.evaluation.report.style import refuse_without_plots
from mien.evaluation.report.terminal import (
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
from mien.evaluation.report.write import write_report
from mien.evaluation.update_card import fill_card, refuse_card

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
