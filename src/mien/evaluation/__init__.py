"""Evaluation of models on data: metrics, reports and comparisons.

- `evaluate` computes all metrics of probabilities on one split, `evaluate_predictions` those of a file.
- `compare` compares arms, recipes that were trained with several seeds; `write_report` writes the result as a page.
- `benchmark` compares any models on the same faces.

>>> import mien
>>> from mien.data import sketch
>>> from mien.evaluation import evaluate
>>> data = sketch(train=0, val=0, test=20)
>>> probs_NK = mien.load("nano").probabilities(data["test"].pixels_NHW)
>>> evaluate(probs_NK, data["test"].labels_N, data.labels, split="test").n
20

A public name is imported from its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien._lazy import lazy_names
from mien.evaluation.evaluate import Evaluation, evaluate  # at once: a module of the same name would take its place

if TYPE_CHECKING:
    from mien.evaluation.comparison.benchmark import Benchmark, benchmark
    from mien.evaluation.comparison.compare import Comparison, compare
    from mien.evaluation.comparison.search import Search
    from mien.evaluation.comparison.verdict import Verdict
    from mien.evaluation.full_report import EvaluationReport, extend_report
    from mien.evaluation.predictions_file import evaluate_predictions
    from mien.evaluation.report.write import write_report

__all__ = [
    "Benchmark",
    "Comparison",
    "Evaluation",
    "EvaluationReport",
    "Search",
    "Verdict",
    "benchmark",
    "compare",
    "evaluate",
    "evaluate_predictions",
    "extend_report",
    "write_report",
]

if not TYPE_CHECKING:  # a type checker reads the imports above
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Comparison": "mien.evaluation.comparison.compare",
            "Benchmark": "mien.evaluation.comparison.benchmark",
            "EvaluationReport": "mien.evaluation.full_report",
            "Search": "mien.evaluation.comparison.search",
            "Verdict": "mien.evaluation.comparison.verdict",
            "compare": "mien.evaluation.comparison.compare",
            "benchmark": "mien.evaluation.comparison.benchmark",
            "extend_report": "mien.evaluation.full_report",
            "evaluate_predictions": "mien.evaluation.predictions_file",
            "write_report": "mien.evaluation.report.write",
        },
    )
