"""Write the evaluation reports of the shipped models to results/evaluation_report/MODEL.json and .html.

Run:   python experiments/evaluation_reports.py fer2013.csv fer2013new.csv [MODEL...]
       (on one core: two minutes for nano, a quarter of an hour for each other model, mostly for corruptions)

Models are evaluated on PublicTest: by every protocol and kind of labels, without and with the mirror image; then,
without the mirror image and by the labels of the model's main metric, under twelve corruptions at five severities and
at detected boxes. The report of a model is written as soon as it is complete, so the same command resumes an
interrupted run; a model whose file has changed is evaluated again. `--without-altered` omits the corruptions, which are
slow; a later run without the option adds them. `--faces 200` is a quick check that writes nothing. Then run: python
experiments/model_card.py.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mien.data import Dataset, load
from mien.data.dataset import VAL
from mien.data.votes import select_faces
from mien.evaluation import EvaluationReport, extend_report
from mien.evaluation.predictor import Predictor
from mien.evaluation.protocols import ModelEvaluation, evaluate_model, truth_for
from mien.evaluation.report.pages import full_report_page
from mien.model import load as load_model
from mien.model import read_card, shipped_models
from mien.model_card import TTAS

REPORTS = Path(__file__).parent / "results" / "evaluation_report"


def limit_faces(data: Dataset, count: int) -> Dataset:
    """Return `data` with at most `count` validation faces."""
    val = data[VAL]
    keep_N = np.arange(len(val)) < count
    return replace(data, splits={**data.splits, VAL: select_faces(val, keep_N, val.labels_N)})


def evaluate(
    name: str, data: Dataset, corruptions: bool, detector: bool
) -> tuple[EvaluationReport, ModelEvaluation, str]:
    """Return a model's evaluation report, its evaluation with the mirror image, and the SHA-256 of its file."""
    model = load_model(name)
    model_evaluation, mirrored = (evaluate_model(model, data, VAL, name=name, strict=True, tta=tta)[1] for tta in TTAS)
    predictor = Predictor.of(model)
    truth = truth_for(predictor, data, VAL)
    assert model_evaluation is not None, "PublicTest has labels"
    assert mirrored is not None, "PublicTest has labels"
    assert truth is not None, "so it has a truth"
    report = extend_report(
        EvaluationReport(model_evaluation),
        {name: predictor.predict},
        truth[VAL],
        predictor.rule,
        robustness=corruptions,
        detector=detector,
    )
    return report, mirrored, model.card.sha256


def is_complete(name: str, corruptions: bool) -> bool:
    """Return whether a report of the current model file exists, with corruptions if `corruptions`."""
    file = REPORTS / f"{name}.json"
    result = json.loads(file.read_text()) if file.exists() else {}
    complete = "mirrored" in result and ("robustness" in result or not corruptions)
    return complete and result["sha256"] == read_card(name).sha256


def main(csv: str, votes: str, names: list[str], faces: int | None, corruptions: bool) -> None:
    """Write the reports of the models that have none."""
    data = load(csv, votes=votes)
    for name in names or shipped_models():
        if faces is None and is_complete(name, corruptions):
            continue
        report, mirrored, sha256 = evaluate(
            name, data if faces is None else limit_faces(data, faces), corruptions, detector=True
        )
        print(name, f"{100 * report.model_evaluation.official.accuracy:.1f} %", flush=True)
        if faces is not None:
            continue
        record = {
            "question": "how accurate and calibrated is the model, and where does it fail",
            "model": name,
            "sha256": sha256,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "known_as": data.known_as,
            **report.to_dict(),
            "mirrored": mirrored.to_dict(),
        }
        REPORTS.mkdir(parents=True, exist_ok=True)
        (REPORTS / f"{name}.html").write_text(full_report_page(report))
        (REPORTS / f"{name}.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("votes")
    parser.add_argument("models", nargs="*", help="names; default: all shipped models")
    parser.add_argument("--faces", type=int, help="maximum number of faces of PublicTest; no record is written")
    parser.add_argument("--without-altered", action="store_true", help="omit the corruptions")
    args = parser.parse_intermixed_args()
    main(args.csv, args.votes, args.models, args.faces, corruptions=not args.without_altered)
