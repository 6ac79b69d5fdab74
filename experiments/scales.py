#!/usr/bin/env python3
"""Measure detection in several sizes and the check of the orientation. Writes results/scales.json.

Run:   python experiments/scales.py                      (a minute on one core)
       python experiments/scales.py --photos FOLDER      (about two minutes for 500 photos of 320 pixels)

Each image is analyzed with `scales=one` and `orientation=off`, and with both `auto`. The images are made from the
sample portrait: the face with five margins at five sizes, small faces in an image of 24 megapixels, faces in a tall
screenshot, and photos of 12 and 1.2 megapixels, whose boxes and labels must stay. FOLDER has photos (.jpg) that are
upright; each is also turned by 90, 180 and 270 degrees, and a face counts as kept if it is found at the same place,
with an intersection over union of 0.5 or more, and has the same label. Each command measures its part and keeps the
other. The record holds figures, and no image or file name.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import mien
from mien.detection.boxes import iou
from mien.detection.orientation import ROTATIONS, rotate, rotate_back
from mien.imaging.load import read_image
from mien.recognition import Analysis, Recognizer, sample

HERE = Path(__file__).parent
BOX = 178, 63, 268, 176  # the face of the portrait: left, top, right, bottom
MARGINS, SIDES = (-5, 0, 5, 15, 30), (500, 900, 1200, 2000, 3000)
MODEL = "photo"

Pixels = NDArray[np.uint8]
Sides = dict[str, Recognizer]


def resized(image_HW3: Pixels, width: int, height: int) -> Pixels:
    """Return an image in another size; larger ones smoothly, smaller ones by averaging."""
    kind = cv2.INTER_AREA if height < image_HW3.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image_HW3, (width, height), interpolation=kind), np.uint8)


def faces(recognizer: Recognizer, image_HW3: Pixels) -> Analysis:
    """Return the analysis of a BGR image."""
    return recognizer.analyze(image_HW3, order="bgr")


def close_ups(sides: Sides, portrait_HW3: Pixels) -> dict[str, Any]:
    """Count the crops of the face in which it is missed, and found more than once."""
    left, top, right, bottom = BOX
    found: dict[str, Counter[str]] = {name: Counter(missed=0, several=0) for name in sides}
    for margin in MARGINS:
        face_HW3 = portrait_HW3[top - margin : bottom + margin, left - margin : right + margin]
        for side in SIDES:
            image_HW3 = resized(face_HW3, round(side * face_HW3.shape[1] / face_HW3.shape[0]), side)
            for name, recognizer in sides.items():
                count = len(faces(recognizer, image_HW3).faces)
                found[name].update(missed=count == 0, several=count > 1)
    return {"images": len(MARGINS) * len(SIDES), **{name: dict(counts) for name, counts in found.items()}}


def small_faces(sides: Sides, portrait_HW3: Pixels) -> dict[str, Any]:
    """Count the faces that are found in images of 24 megapixels, by their height in pixels."""
    result: dict[str, Any] = {}
    part_HW3, face_height = portrait_HW3[10:240, 120:330], BOX[3] - BOX[1]
    for pixels in (15, 20, 25, 30, 45, 60):
        scale = pixels / face_height
        small_HW3 = resized(part_HW3, round(210 * scale), round(230 * scale))
        image_HW3, made = np.full((4000, 6000, 3), 120, np.uint8), 0
        for y in range(20, 3860, 270):
            for x in range(20, 5860, 300):
                image_HW3[y : y + small_HW3.shape[0], x : x + small_HW3.shape[1]] = small_HW3
                made += 1
        found = {name: len(faces(recognizer, image_HW3).faces) for name, recognizer in sides.items()}
        result[f"{pixels} pixels"] = {"faces": made, **found}
    tall_HW3 = np.full((24000, 1080, 3), 250, np.uint8)
    for y in range(300, 23000, 1500):
        tall_HW3[y : y + 500, 300:800] = resized(portrait_HW3, 500, 500)
    found = {name: len(faces(recognizer, tall_HW3).faces) for name, recognizer in sides.items()}
    result["tall screenshot"] = {"faces": len(range(300, 23000, 1500)), **found}
    return result


def unchanged(sides: Sides, portrait_HW3: Pixels) -> dict[str, Any]:
    """Compare boxes and labels with those of one size, in photos with faces of usual sizes."""
    result = {}
    for width, height in ((1280, 960), (4032, 3024)):
        image_HW3 = np.full((height, width, 3), 128, np.uint8)
        for i, share in enumerate((0.9, 0.6, 0.4, 0.25)):
            side = round(width / 2 * share)
            row, column = divmod(i, 2)
            y, x = row * height // 2, column * width // 2
            side = min(side, height // 2)
            image_HW3[y : y + side, x : x + side] = resized(portrait_HW3, side, side)
        one, several = (faces(recognizer, image_HW3).faces for recognizer in sides.values())
        pairs = list(zip(one, several, strict=False))
        result[f"{width}x{height}"] = {
            "faces": [len(one), len(several)],
            "least_iou": round(min(iou(a.box, b.box) for a, b in pairs), 4),
            "same_labels": sum(a.label == b.label for a, b in pairs),
        }
    return result


def turned(sides: Sides, folder: Path) -> dict[str, Any]:
    """Count upright photos that are rotated, and the faces that turned photos keep."""
    files = sorted(folder.glob("*.jpg"))
    rotated, upright_faces, same = Counter[str](), 0, Counter[str]()
    kept: Counter[int] = Counter()
    found_rotation: Counter[int] = Counter()
    one, several = sides.values()
    for file in files:
        image_HW3 = read_image(file)
        height, width = image_HW3.shape[:2]
        upright = faces(one, image_HW3)
        upright_faces += len(upright.faces)
        now = faces(several, image_HW3)
        rotated[str(now.rotation)] += 1
        same["faces"] += len(now.faces)
        same["kept"] += sum(
            any(iou(a.box, b.box) >= 0.9 and a.label == b.label for b in now.faces) for a in upright.faces
        )
        for rotation in ROTATIONS[1:]:
            turned_HW3 = rotate(image_HW3, rotation)
            analysis = faces(several, turned_HW3)
            found_rotation[rotation] += analysis.rotation == 360 - rotation
            kept[rotation] += sum(_is_kept(face, analysis, rotation, height, width) for face in upright.faces)
    return {
        "photos": len(files),
        "upright_photos_by_rotation": dict(rotated),
        "upright_faces": {"one": upright_faces, "auto": same["faces"], "same_box_and_label": same["kept"]},
        "turned_photos_with_the_right_rotation": dict(found_rotation),
        "faces_kept_after_turning": {str(r): round(kept[r] / upright_faces, 4) for r in ROTATIONS[1:]},
    }


def _is_kept(face: mien.Face, analysis: Analysis, rotation: int, height: int, width: int) -> bool:
    """Return whether a face of the upright photo is in the analysis of the turned one, with the same label."""
    from mien.detection.boxes import Detection

    places = (rotate_back(Detection(other.box, 1.0), rotation, height, width).box for other in analysis.faces)
    pairs = zip(places, analysis.faces, strict=True)
    return any(iou(place, face.box) >= 0.5 and other.label == face.label for place, other in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, metavar="FOLDER")
    folder = parser.parse_args().photos
    sides = {"one": mien.load(MODEL, scales="one", orientation="off"), "auto": mien.load(MODEL)}
    portrait_HW3 = read_image(sample())
    out = HERE / "results" / "scales.json"
    record: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    record["question"] = "which faces are found in several sizes and orientations, beside one"
    record["model"] = MODEL
    when = datetime.now(UTC).isoformat(timespec="seconds")
    if folder is not None:
        record["turned_photos"] = {"when": when, **turned(sides, folder)}
    else:
        record["made_images"] = {
            "when": when,
            "close_ups": close_ups(sides, portrait_HW3),
            "small_faces": small_faces(sides, portrait_HW3),
            "photos_with_usual_faces": unchanged(sides, portrait_HW3),
        }
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
