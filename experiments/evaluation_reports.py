"""Write the evaluation reports of the shipped models to results/evaluation_report/MODEL.json and .html.

Run:   python experiments/evaluation_reports.py fer2013.csv fer2013new.csv [MODEL...]
       (on one core: nano two minutes, each of the others a quarter of an hour, most of it for the altered faces)

On PublicTest: every protocol and truth, single forwards and with the mirror image; then, single forwards and by what a
model is judged by, under twelve corruptions at five severities and at the detector's box. A model is kept as soon as it
is done, and the same command goes on with the others; one whose file has changed is evaluated again.
`--without-altered` omits the slow part, which a run without the option adds; `--faces 200` is a quick check that writes
nothing. Afterwards run: python experiments/model_card.py.
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

OUT = Path(__file__).parent / "results" / "evaluation_report"


def fewer(data: Dataset, faces: int) -> Dataset:
    """Return `data` with at most `count` validation faces."""
    val = data[VAL]
    keep_N = np.arange(len(val)) < faces
    return replace(data, splits={**data.splits, VAL: select_faces(val, keep_N, val.labels_N)})


def examined(name: str, data: Dataset, altered: bool, detector: bool) -> tuple[EvaluationReport, ModelEvaluation, str]:
    """What is found out about one model, what it is worth with the mirror image, and the SHA-256 of its file."""
    model = load_model(name)
    model_evaluation, mirrored = (evaluate_model(model, data, VAL, name=name, strict=True, tta=tta)[1] for tta in TTAS)
    predictor = Predictor.of(model)
    truth = truth_for(predictor, data, VAL)
    assert model_evaluation is not None, "PublicTest has labels"
    assert mirrored is not None, "PublicTest has labels"
    assert truth is not None, "so it has a truth"
    found = extend_report(
        EvaluationReport(model_evaluation),
        {name: predictor.predict},
        truth[VAL],
        predictor.rule,
        robustness=altered,
        detector=detector,
    )
    return found, mirrored, model.card.sha256


def done(name: str, altered: bool) -> bool:
    """Whether the model as it is has been examined, under corruptions too if `altered`."""
    file = OUT / f"{name}.json"
    result = json.loads(file.read_text()) if file.exists() else {}
    whole = "mirrored" in result and ("robustness" in result or not altered)
    return whole and result["sha256"] == read_card(name).sha256


def main(csv: str, votes: str, names: list[str], faces: int | None, altered: bool) -> None:
    data = load(csv, votes=votes)
    for name in names or shipped_models():
        if faces is None and done(name, altered):
            continue
        found, mirrored, sha256 = examined(name, data if faces is None else fewer(data, faces), altered, detector=True)
        print(name, f"{100 * found.model_evaluation.official.accuracy:.1f} %", flush=True)
        if faces is not None:
            continue
        record = {
            "question": "what is it worth, how sure may it be, and where does it fail",
            "model": name,
            "sha256": sha256,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "known_as": data.known_as,
            **found.to_dict(),
            "mirrored": mirrored.to_dict(),
        }
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / f"{name}.html").write_text(full_report_page(found))
        (OUT / f"{name}.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("votes")
    parser.add_argument("models", nargs="*", help="names; default all that ship")
    parser.add_argument("--faces", type=int, help="so many of PublicTest at most, and no record")
    parser.add_argument("--without-altered", action="store_true", help="leave the corruptions out")
    said = parser.parse_intermixed_args()
    main(said.csv, said.votes, said.models, said.faces, altered=not said.without_altered)
