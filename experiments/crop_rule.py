"""Choose the crop rule: how far around a detected box a face is cropped. Writes results/crop_rule.json.

Run:   python experiments/crop_rule.py fer2013.csv --votes fer2013new.csv

Faces of PublicTest are enlarged three to six times, turned by up to 15 degrees and laid somewhere on a larger canvas:
half of them on flat grey, half before their own blurred rim. The detector finds them, each rule cuts them out again,
and what counts is how much of a model's accuracy on the original crops is lost. A rule is built part by part, margin,
shift_y, shift_x. Of a part's values the one with the highest accuracy, all models together, is tried, and the part is
kept only if the gain over the rule without it is above 1.96 of its standard errors, paired by face. Turning upright
by the eyes must gain as much over these faces and the same faces not turned, together, as photos hold both. Beside it
stand the crop by true place and turn, which no detector can beat, and what is lost at an image's rim when what lies
outside is its rim repeated, or black.

Labels are FER2013's, or, with `--votes`, the majority vote (FER+). PrivateTest is not opened. About six minutes of one
core for two models; `--faces 1000` for a glance.
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


def right(models: Mapping[str, Model], faces_NHW: Gray, labels_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return whether each model classifies each face correctly, [models,N]."""
    return np.array([model.probabilities(faces_NHW).argmax(1) == labels_N for model in models.values()], float)


def cut(found: Sequence[PastedFace], rule: CropRule) -> Gray:
    return np.stack([crop(one.canvas_HW, one.box, one.points, rule, SIDE) for one in found])


def difference(one_MN: NDArray[np.float64], other_MN: NDArray[np.float64]) -> dict[str, float]:
    """Accuracy of one minus that of the other, in points, mean over the models, and its standard error over the
    faces.
    """
    by_face_N = (one_MN - other_MN).mean(0)
    error = by_face_N.std(ddof=1) / np.sqrt(len(by_face_N))
    return {"points": round(100 * float(by_face_N.mean()), 2), "standard_error": round(100 * float(error), 2)}


def build(models: Mapping[str, Model], found: Sequence[PastedFace], labels_N: NDArray[np.int64]) -> dict[str, Any]:
    """Return the rule, built part by part, with all values that were tried."""
    rule = CropRule(provisional=False)
    best_MN = right(models, cut(found, rule), labels_N)
    tried = [_row(models, rule, best_MN)]
    steps = []
    for part, values in PARTS.items():
        result = {value: right(models, cut(found, replace(rule, **{part: value})), labels_N) for value in values}
        tried += [_row(models, replace(rule, **{part: value}), told_MN) for value, told_MN in result.items()]
        value = max(result, key=lambda v: result[v].mean())
        gain = difference(result[value], best_MN)
        kept = bool(gain["points"] > 1.96 * gain["standard_error"])
        steps.append({"part": part, "value": value, "gain": gain, "kept": kept})
        if kept:
            rule, best_MN = replace(rule, **{part: value}), result[value]
    return {"rule": rule.to_dict(), "steps": steps, "tried": tried}


def turning(
    models: Mapping[str, Model], sets: Mapping[str, Sequence[PastedFace]], labels_N: NDArray[np.int64], rule: CropRule
) -> dict[str, Any]:
    """What turning by the eyes is worth where faces were turned, where they were not, and over both."""
    result = {
        upright: {
            name: right(models, cut(found, replace(rule, upright=upright)), labels_N[[one.row for one in found]])
            for name, found in sets.items()
        }
        for upright in (False, True)
    }
    both = [np.concatenate(list(of_one.values()), 1) for of_one in (result[True], result[False])]
    gain = difference(*both)
    return {
        **{name: difference(result[True][name], result[False][name]) for name in sets},
        "both": gain,
        "kept": bool(gain["points"] > 1.96 * gain["standard_error"]),
    }


def _row(models: Mapping[str, Model], rule: CropRule, told_MN: NDArray[np.float64]) -> dict[str, Any]:
    result = rule.to_dict()
    del result["provisional"]
    return {**result, "accuracy": {name: round(float(a), 4) for name, a in zip(models, told_MN.mean(1), strict=True)}}


def losses(
    models: Mapping[str, Model], told_MN: NDArray[np.float64], original_MN: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the loss of each model relative to the original crops, in points."""
    return {name: difference(original_MN[i : i + 1], told_MN[i : i + 1]) for i, name in enumerate(models)}


def at_the_rim(
    models: Mapping[str, Model], found: Sequence[PastedFace], rule: CropRule, labels_N: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """The same faces, each cut off at one side by up to a fifth of its square: the rim repeated, or black beyond it."""
    rng, repeated, black = np.random.default_rng(seed), [], []
    for one in found:
        lost, side = rng.uniform(0, 0.2) * one.truth.width, int(rng.integers(4))
        high, wide = one.canvas_HW.shape
        edges = [0, 0, wide, high]  # left, top, right, bottom of what stays
        edges[side] = round(
            (one.truth.left + lost, one.truth.top + lost, one.truth.right - lost, one.truth.bottom - lost)[side]
        )
        left, top, right_, bottom = edges
        part = np.ascontiguousarray(one.canvas_HW[top:bottom, left:right_])
        box, points = Box(one.box.left - left, one.box.top - top, one.box.width, one.box.height), _moved(one, left, top)
        repeated.append(crop(part, box, points, rule, SIDE))
        around = np.zeros_like(one.canvas_HW)
        around[top:bottom, left:right_] = part
        black.append(crop(around, one.box, one.points, rule, SIDE))
    result = [right(models, np.stack(faces), labels_N) for faces in (repeated, black)]
    return {
        "repeated_minus_black": difference(*result),
        "repeated": _row(models, rule, result[0])["accuracy"],
        "black": _row(models, rule, result[1])["accuracy"],
    }


def _truly(one: PastedFace) -> Gray:
    """The face cut out by its true place and turn."""
    level = ((0.0, 0.0), (float(np.cos(one.angle)), float(np.sin(one.angle))))
    return crop(one.canvas_HW, one.truth, level, CropRule(upright=True), SIDE)


def _moved(one: PastedFace, left: int, top: int) -> Points:
    return tuple((x - left, y - top) for x, y in one.points)


def geometry(found: Sequence[PastedFace]) -> dict[str, Any]:
    """How boxes lie to the squares that they should become, and how far the eyes tell how a face was turned."""
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
    built = build(models, found, labels_N)
    upright = turning(models, sets, val.labels_N, CropRule(**built["rule"]))
    built["rule"]["upright"] = upright["kept"]
    rule, plain = CropRule(**built["rule"]), CropRule(provisional=False)
    original_MN = right(models, original_NHW, labels_N)

    def lost(faces_NHW: Gray) -> dict[str, Any]:
        return losses(models, right(models, faces_NHW, labels_N), original_MN)

    record = {
        "question": "how far around a detector's box should a face be cut out",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": {name: model.card.sha256 for name, model in models.items()},
        "split": VAL,
        "truth": OWN_LABELS if votes is None else MAJORITY_VOTE,
        "faces": len(rows_N),
        "found": {name: len(of_one) for name, of_one in sets.items()},
        "seed": seed,
        **built,
        "upright": upright,
        "accuracy_of_the_original_crops": _row(models, plain, original_MN)["accuracy"],
        "lost_by_the_box_alone": lost(cut(found, plain)),
        "lost_when_not_upright": lost(cut(found, replace(rule, upright=False))),
        "lost_when_upright": lost(cut(found, replace(rule, upright=True))),
        "lost_by_the_true_place": lost(np.stack([_truly(one) for one in found])),
        "at_the_rim": at_the_rim(models, found, rule, labels_N, seed),
        "geometry": geometry(found),
    }
    (HERE / "results" / "crop_rule.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({k: v for k, v in record.items() if k != "tried"}, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("--votes", help="FER+ votes: evaluate by the majority vote (FER+)")
    parser.add_argument("--models", default="photo,base,nano", help="names or folders, joined by commas")
    parser.add_argument("--faces", type=int, default=1_000_000, help="so many of PublicTest at most")
    parser.add_argument("--seed", type=int, default=0)
    said = parser.parse_args()
    main(said.csv, said.votes, said.models.split(","), said.faces, said.seed)
