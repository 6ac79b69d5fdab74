"""Choose the crop rule: how far around a detected box a face is cropped. Writes results/crop_rule.json.

Run:   python experiments/crop_rule.py fer2013.csv --votes fer2013new.csv

Faces of PublicTest are enlarged three to six times, rotated by up to 15 degrees and pasted into a larger canvas: half
of them on flat gray, half on their own blurred border. The detector finds them, each rule crops them, and the loss is
the accuracy on the original crops minus the accuracy on these crops. A rule is built part by part: margin, shift_y,
shift_x. For each part, the value with the highest mean accuracy over the models is chosen; the part is kept only if its
gain is above 1.96 standard errors, paired by face. Rotating upright by the eyes must gain as much on the rotated faces
and the same faces without rotation together, because photos have both. Two more results are for reference: crops at the
true position and rotation, which are an upper bound for any detector, and crops at the image border, where pixels
outside are either replicated or black.

Labels are FER2013's, or, with `--votes`, the majority vote (FER+). PrivateTest is not read. Two models take about six
minutes on one core; use `--faces 1000` for a quick check.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import load, relabel_by_majority
from mien.data.dataset import NO_LABEL, SIDE, VAL
from mien.detection.boxes import Box
from mien.evaluation.detector_loop import MAX_ROTATION, Gray, PastedFace, Points, paste_and_detect
from mien.imaging.crop import CropRule, crop
from mien.labels import FER7
from mien.model import Model
from mien.model import load as load_model
from mien.model_card import MAJORITY_VOTE, OWN_LABELS

HERE = Path(__file__).parent
PARTS: dict[str, tuple[Any, ...]] = {
    "margin": (-0.15, -0.1, -0.075, -0.05, -0.025, 0.025, 0.05, 0.1, 0.2),
    "shift_y": (-0.075, -0.05, -0.025, 0.025, 0.05, 0.075),
    "shift_x": (-0.05, -0.025, 0.025, 0.05),
}


def correct_predictions(
    models: Mapping[str, Model], faces_NHW: Gray, labels_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return 1 where a model classifies a face correctly, else 0, float [models,N]."""
    return np.array([model.probabilities(faces_NHW).argmax(1) == labels_N for model in models.values()], float)


def crop_faces(found: Sequence[PastedFace], rule: CropRule) -> Gray:
    """Return the detected faces cropped by a rule, uint8 [N,48,48]."""
    return np.stack([crop(one.canvas_HW, one.box, one.points, rule, SIDE) for one in found])


def difference(one_MN: NDArray[np.float64], other_MN: NDArray[np.float64]) -> dict[str, float]:
    """Return the difference in accuracy in points, mean over the models, and its standard error over the faces."""
    by_face_N = (one_MN - other_MN).mean(0)
    error = by_face_N.std(ddof=1) / np.sqrt(len(by_face_N))
    return {"points": round(100 * float(by_face_N.mean()), 2), "standard_error": round(100 * float(error), 2)}


def build(models: Mapping[str, Model], found: Sequence[PastedFace], labels_N: NDArray[np.int64]) -> dict[str, Any]:
    """Return the rule, built part by part, and the accuracy of all tried values."""
    rule = CropRule(provisional=False)
    best_MN = correct_predictions(models, crop_faces(found, rule), labels_N)
    tried = [_row(models, rule, best_MN)]
    steps = []
    for part, values in PARTS.items():
        result = {
            value: correct_predictions(models, crop_faces(found, replace(rule, **{part: value})), labels_N)
            for value in values
        }
        tried += [_row(models, replace(rule, **{part: value}), correct_MN) for value, correct_MN in result.items()]
        value = max(result, key=lambda v: result[v].mean())
        gain = difference(result[value], best_MN)
        kept = bool(gain["points"] > 1.96 * gain["standard_error"])
        steps.append({"part": part, "value": value, "gain": gain, "kept": kept})
        if kept:
            rule, best_MN = replace(rule, **{part: value}), result[value]
    return {"rule": rule.to_dict(), "steps": steps, "tried": tried}


def measure_upright(
    models: Mapping[str, Model], sets: Mapping[str, Sequence[PastedFace]], labels_N: NDArray[np.int64], rule: CropRule
) -> dict[str, Any]:
    """Return the gain of rotating upright by the eyes on rotated faces, on faces without rotation, and on both."""
    result = {
        upright: {
            name: correct_predictions(
                models, crop_faces(found, replace(rule, upright=upright)), labels_N[[one.row for one in found]]
            )
            for name, found in sets.items()
        }
        for upright in (False, True)
    }
    both = [np.concatenate(list(of_set.values()), 1) for of_set in (result[True], result[False])]
    gain = difference(*both)
    return {
        **{name: difference(result[True][name], result[False][name]) for name in sets},
        "both": gain,
        "kept": bool(gain["points"] > 1.96 * gain["standard_error"]),
    }


def _row(models: Mapping[str, Model], rule: CropRule, correct_MN: NDArray[np.float64]) -> dict[str, Any]:
    result = rule.to_dict()
    del result["provisional"]
    return {
        **result,
        "accuracy": {name: round(float(a), 4) for name, a in zip(models, correct_MN.mean(1), strict=True)},
    }


def losses_per_model(
    models: Mapping[str, Model], correct_MN: NDArray[np.float64], original_MN: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the loss of accuracy of each model relative to the original crops, in points."""
    return {name: difference(original_MN[i : i + 1], correct_MN[i : i + 1]) for i, name in enumerate(models)}


def measure_border(
    models: Mapping[str, Model], found: Sequence[PastedFace], rule: CropRule, labels_N: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Compare replicated and black borders on faces of which up to a fifth is outside of the image at one side."""
    rng, repeated, black = np.random.default_rng(seed), [], []
    for one in found:
        cut_off, side = rng.uniform(0, 0.2) * one.truth.width, int(rng.integers(4))
        height, width = one.canvas_HW.shape
        edges = [0, 0, width, height]  # left, top, right, bottom of the remaining image
        truth = one.truth
        inner = (truth.left + cut_off, truth.top + cut_off, truth.right - cut_off, truth.bottom - cut_off)
        edges[side] = round(inner[side])
        left, top, right_, bottom = edges
        part = np.ascontiguousarray(one.canvas_HW[top:bottom, left:right_])
        box = Box(one.box.left - left, one.box.top - top, one.box.width, one.box.height)
        points = _shift_points(one, left, top)
        repeated.append(crop(part, box, points, rule, SIDE))
        black_canvas_HW = np.zeros_like(one.canvas_HW)
        black_canvas_HW[top:bottom, left:right_] = part
        black.append(crop(black_canvas_HW, one.box, one.points, rule, SIDE))
    result = [correct_predictions(models, np.stack(faces), labels_N) for faces in (repeated, black)]
    return {
        "repeated_minus_black": difference(*result),
        "repeated": _row(models, rule, result[0])["accuracy"],
        "black": _row(models, rule, result[1])["accuracy"],
    }


def _crop_at_truth(one: PastedFace) -> Gray:
    """Return the face cropped at its true position and rotation."""
    level = ((0.0, 0.0), (float(np.cos(one.angle)), float(np.sin(one.angle))))
    return crop(one.canvas_HW, one.truth, level, CropRule(upright=True), SIDE)


def _shift_points(one: PastedFace, left: int, top: int) -> Points:
    """Return the landmarks relative to a new origin."""
    return tuple((x - left, y - top) for x, y in one.points)


def geometry(found: Sequence[PastedFace]) -> dict[str, Any]:
    """Compare the detected boxes with the true squares, and the angle of the eyes with the true rotation."""
    longer_N = np.array([max(one.box.width, one.box.height) for one in found])
    boxes = [(one.box.left + one.box.width / 2, one.box.top + one.box.height / 2) for one in found]
    squares = [(one.truth.left + one.truth.width / 2, one.truth.top + one.truth.height / 2) for one in found]
    ratios = {
        "square_to_box": np.array([one.truth.width for one in found]) / longer_N,
        "shift_x": (np.array(squares) - boxes)[:, 0] / longer_N,
        "shift_y": (np.array(squares) - boxes)[:, 1] / longer_N,
    }
    turned_N = np.degrees([one.angle for one in found])
    eyes_N = np.degrees([np.arctan2(p[1][1] - p[0][1], p[1][0] - p[0][0]) for p in (one.points for one in found)])
    slope, _ = np.polyfit(turned_N, eyes_N, 1)
    return {
        "quartiles": {k: np.percentile(v, [25, 50, 75]).round(3).tolist() for k, v in ratios.items()},
        "eye_angle_per_degree": round(float(slope), 3),
        "correlation": round(float(np.corrcoef(turned_N, eyes_N)[0, 1]), 3),
    }


def main(csv: str, votes: str | None, names: Sequence[str], faces: int, seed: int) -> None:
    """Write the record."""
    val = load(csv)[VAL] if votes is None else relabel_by_majority(load(csv, votes=votes), FER7)[VAL]
    labelled_N = np.flatnonzero(val.labels_N != NO_LABEL)
    rows_N = np.sort(np.random.default_rng(seed).choice(labelled_N, min(faces, len(labelled_N)), replace=False))
    models = {name: load_model(name) for name in names}
    sets = {
        name: list(paste_and_detect(val.pixels_NHW, rows_N, seed, by))
        for name, by in (("turned", MAX_ROTATION), ("level", 0.0))
    }
    found = sets["turned"]
    at_N = np.array([one.row for one in found])
    labels_N, original_NHW = val.labels_N[at_N], val.pixels_NHW[at_N]
    rule_record = build(models, found, labels_N)
    upright = measure_upright(models, sets, val.labels_N, CropRule(**rule_record["rule"]))
    rule_record["rule"]["upright"] = upright["kept"]
    rule, plain = CropRule(**rule_record["rule"]), CropRule(provisional=False)
    original_MN = correct_predictions(models, original_NHW, labels_N)

    def loss_of(faces_NHW: Gray) -> dict[str, Any]:
        return losses_per_model(models, correct_predictions(models, faces_NHW, labels_N), original_MN)

    record = {
        "question": "how far around a detected box should a face be cropped",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": {name: model.card.sha256 for name, model in models.items()},
        "split": VAL,
        "truth": OWN_LABELS if votes is None else MAJORITY_VOTE,
        "faces": len(rows_N),
        "found": {name: len(of_set) for name, of_set in sets.items()},
        "seed": seed,
        **rule_record,
        "upright": upright,
        "accuracy_of_the_original_crops": _row(models, plain, original_MN)["accuracy"],
        "lost_by_the_box_alone": loss_of(crop_faces(found, plain)),
        "lost_when_not_upright": loss_of(crop_faces(found, replace(rule, upright=False))),
        "lost_when_upright": loss_of(crop_faces(found, replace(rule, upright=True))),
        "lost_by_the_true_place": loss_of(np.stack([_crop_at_truth(one) for one in found])),
        "at_the_rim": measure_border(models, found, rule, labels_N, seed),
        "geometry": geometry(found),
    }
    (HERE / "results" / "crop_rule.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({k: v for k, v in record.items() if k != "tried"}, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("--votes", help="FER+ votes: evaluate by the majority vote (FER+)")
    parser.add_argument("--models", default="photo,base,nano", help="names or folders, separated by commas")
    parser.add_argument("--faces", type=int, default=1_000_000, help="maximum number of faces of PublicTest")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    main(args.csv, args.votes, args.models.split(","), args.faces, args.seed)
