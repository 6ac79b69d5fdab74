"""Quality of faces: what is measured, its limits, and labels of unusable faces."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
import videos
from mien.detection.boxes import Box, Detection
from mien.errors import MienError
from mien.imaging.load import read_image
from mien.recognition import Analysis, Face, Recognizer, sample
from mien.recognition.cluster.snapshot import RecognizerSnapshot
from mien.recognition.explain import explain
from mien.recognition.quality import (
    MAX_BRIGHTNESS,
    MIN_BRIGHTNESS,
    MIN_SHARPNESS,
    MIN_SIZE,
    NOSE_DEPTH,
    FaceQuality,
    Pixels,
    head_pose,
    measure_quality,
)
from mien.recognition.results import UNCERTAIN
from mien.recognition.video.people import People
from mien.recognition.video.summary import people_table

PORTRAIT = read_image(sample())


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return mien.load("nano")


@pytest.fixture(scope="module")
def crop_HW(recognizer: Recognizer) -> Pixels:
    """Crop of the sample portrait, uint8 [48,48]."""
    return recognizer.detect_and_crop(sample()).faces_NHW[0]


def sharpness(face_HW: Pixels) -> float:
    return measure_quality(Detection(Box(0, 0, 48, 48), 1.0), np.ascontiguousarray(face_HW)).sharpness


def brightness_times(factor: float) -> Pixels:
    return np.clip(PORTRAIT * factor, 0, 255).astype(np.uint8)


def small(side: int) -> Pixels:
    return np.asarray(cv2.resize(PORTRAIT, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def moved(length: int) -> Pixels:
    return np.asarray(cv2.filter2D(PORTRAIT, -1, np.full((length, 1), 1 / length)), np.uint8)


UNUSABLE: dict[str, tuple[Callable[[], Pixels], str]] = {
    "blurred": (lambda: np.asarray(cv2.GaussianBlur(PORTRAIT, (0, 0), 5), np.uint8), "too blurred: sharpness 0.0"),
    "moved": (lambda: moved(31), "too blurred: sharpness 0.0"),
    "enlarged": (lambda: np.asarray(cv2.resize(small(52), (640, 640)), np.uint8), "too blurred: sharpness 0.0"),
    "small": (lambda: small(72), "too small: 15 px, at least 20 px"),
    "dark": (lambda: brightness_times(0.15), "too dark: brightness 2"),
    "bright": (lambda: brightness_times(2.0), "too bright: brightness 21"),
}


@pytest.mark.parametrize("kind", sorted(UNUSABLE))
def test_unusable_face_is_uncertain_and_says_why(recognizer: Recognizer, kind: str) -> None:
    make, reason = UNUSABLE[kind]
    (face,) = recognizer.analyze(make(), order="bgr").faces
    assert face.label == UNCERTAIN
    assert face.uncertain_reason.startswith(reason)
    record = face.to_dict()
    assert list(record)[-3:] == ["probabilities", "quality", "uncertain_reason"]
    assert record["uncertain_reason"] == face.uncertain_reason
    (same,) = mien.load("nano", quality=False).analyze(make(), order="bgr").faces
    assert (same.probabilities, same.box) == (face.probabilities, face.box)
    assert same.label == same.labels[int(np.argmax(same.probabilities))]
    assert (same.to_dict()["quality"], same.to_dict()["uncertain_reason"]) == (None, None)


def test_quality_of_the_sample_portrait(recognizer: Recognizer) -> None:
    (face,) = recognizer.analyze(sample()).faces
    assert (face.label, face.uncertain_reason) == ("happy", "")
    assert face.quality is not None
    assert face.quality.size == max(face.box.width, face.box.height)
    assert face.quality.sharpness > 1.5 * MIN_SHARPNESS
    assert list(face.to_dict()["quality"]) == ["size", "sharpness", "brightness", "yaw", "roll"]


def test_roll_is_positive_for_clockwise_rotation(recognizer: Recognizer) -> None:
    """YuNet's landmarks follow a rotation only in part, so the sign is what can be relied on."""

    def roll(angle: float) -> float:
        turned = cv2.getRotationMatrix2D((223, 119), -angle, 1)  # around the face; OpenCV turns counterclockwise
        image_HW3 = cv2.warpAffine(PORTRAIT, turned, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        (face,) = recognizer.analyze(np.asarray(image_HW3, np.uint8), order="bgr").faces
        assert face.quality is not None
        assert face.quality.roll is not None
        return face.quality.roll

    assert roll(-30) < -3 < 3 < roll(30)
    assert roll(0) == pytest.approx(0, abs=3)


def test_sharpness_is_independent_of_resolution(recognizer: Recognizer) -> None:
    def of(image_HW3: Pixels) -> float:
        (face,) = recognizer.analyze(image_HW3, order="bgr").faces
        assert face.quality is not None
        return face.quality.sharpness

    wanted = of(PORTRAIT)
    assert of(small(256)) == pytest.approx(wanted, rel=0.1)
    assert of(np.asarray(cv2.resize(PORTRAIT, (1024, 1024)), np.uint8)) == pytest.approx(wanted, rel=0.1)


def test_sharpness_is_independent_of_contrast(crop_HW: Pixels) -> None:
    faint_HW = (100 + 0.25 * crop_HW).astype(np.uint8)
    assert sharpness(faint_HW) == pytest.approx(sharpness(crop_HW), rel=0.03)
    assert sharpness(np.full((48, 48), 90, np.uint8)) == 0


def test_sharpness_falls_with_blur_and_motion(crop_HW: Pixels) -> None:
    blurred = [sharpness(np.asarray(cv2.GaussianBlur(crop_HW, (0, 0), s), np.uint8)) for s in (0.5, 1, 1.5, 2, 3)]
    assert [sharpness(crop_HW), *blurred] == sorted([sharpness(crop_HW), *blurred], reverse=True)
    for shape in ((1, 13), (13, 1)):
        moved_HW = np.asarray(cv2.filter2D(crop_HW, -1, np.full(shape, 1 / 13)), np.uint8)
        assert sharpness(moved_HW) < 0.5 * sharpness(crop_HW)


def test_noise_does_not_sharpen_a_blurred_face(crop_HW: Pixels) -> None:
    noise_HW = np.random.default_rng(0).normal(0, 4, crop_HW.shape)
    blurred_HW = np.asarray(cv2.GaussianBlur(crop_HW, (0, 0), 3), np.uint8)
    noisy_HW = np.clip(np.rint(blurred_HW + noise_HW), 0, 255).astype(np.uint8)
    assert sharpness(noisy_HW) < min(MIN_SHARPNESS, 0.4 * sharpness(crop_HW))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"size": MIN_SIZE, "brightness": MIN_BRIGHTNESS, "sharpness": MIN_SHARPNESS}, ""),
        ({"brightness": MAX_BRIGHTNESS, "yaw": 80.0, "roll": 170.0}, ""),
        ({"size": 19.99}, "too small: 19 px, at least 20 px"),
        ({"size": 14, "sharpness": 0, "brightness": 0}, "too small: 14 px, at least 20 px"),
        ({"sharpness": 0.06499}, "too blurred: sharpness 0.064, at least 0.065"),
        ({"brightness": 26.99}, "too dark: brightness 26, at least 27"),
        ({"brightness": 211.01}, "too bright: brightness 212, at most 211"),
    ],
)
def test_defect_is_the_first_limit_not_met(changed: dict[str, float], reason: str) -> None:
    usable = FaceQuality(size=100, sharpness=0.1, brightness=128, yaw=None, roll=None)
    assert replace(usable, **changed).defect == reason


@pytest.mark.parametrize("yaw", [-50, -20, 0, 35])
@pytest.mark.parametrize("roll", [-170, -30, 0, 90])
def test_head_pose_of_a_projected_head(yaw: float, roll: float) -> None:
    """A head with x to its own left, y down and z to the front, turned around its y axis and then in the image."""
    eyes, nose = 60.0, (0.0, 40.0, NOSE_DEPTH * 60.0)
    turn, tilt = math.radians(yaw), math.radians(roll)
    points = []
    for x, y, z in ((-eyes / 2, 0.0, 0.0), (eyes / 2, 0.0, 0.0), nose):
        x = x * math.cos(turn) + z * math.sin(turn)
        points.append((200 + x * math.cos(tilt) - y * math.sin(tilt), 100 + x * math.sin(tilt) + y * math.cos(tilt)))
    assert head_pose(tuple(points)) == pytest.approx((yaw, roll), abs=1e-6)


def test_head_pose_without_landmarks_is_none() -> None:
    assert head_pose(()) is None
    assert measure_quality(Detection(Box(0, 0, 48, 48), 1.0), np.zeros((48, 48), np.uint8)).yaw is None


def test_low_confidence_is_the_reason_below_min_confidence() -> None:
    (face,) = mien.load("nano", min_confidence=1.0).analyze(sample()).faces
    assert face.label == UNCERTAIN
    assert face.uncertain_reason == f"low confidence: {math.floor(1e4 * face.confidence) / 1e4:g}, at least 1"


def test_quality_that_is_not_a_bool_raises() -> None:
    with pytest.raises(MienError, match="quality must be True or False, got 'off'"):
        mien.load("nano", quality="off")  # type: ignore[arg-type]


def test_all_ways_of_analysis_agree(recognizer: Recognizer, tmp_path: Path) -> None:
    image_HW3 = UNUSABLE["blurred"][0]()
    (wanted,) = recognizer.analyze(image_HW3, order="bgr").faces
    (many,) = recognizer.analyze_many([image_HW3], order="bgr")
    assert many.faces == (wanted,)
    assert explain(recognizer, image_HW3, order="bgr")[0].face == wanted
    opened = RecognizerSnapshot.of("nano").open()
    assert opened.analyze(image_HW3, order="bgr").faces == (wanted,)
    unmeasured = RecognizerSnapshot.of("nano", quality=False).open()
    assert unmeasured.analyze(image_HW3, order="bgr").faces[0].quality is None


def test_whole_crop_of_48_pixels_has_no_defect_in_size(crop_HW: Pixels) -> None:
    whole = mien.load("nano", detector="whole")
    (face,) = whole.analyze(crop_HW, order="grey").faces
    assert face.quality is not None
    assert (face.label, face.quality.size, face.quality.yaw) == ("happy", 48, None)


def test_video_face_is_uncertain_while_it_is_dark(recognizer: Recognizer, tmp_path: Path) -> None:
    def scene(i: int) -> videos.Pixels:
        return videos.frame(320, 240, (0.5, 0.5, 0.5, 0.12 if 4 <= i < 8 else 1.0))

    path = videos.write(tmp_path / "a.mp4", scene, videos.times(12), audio=None)
    frames = list(recognizer.analyze_video(path, out=tmp_path / "a.csv"))
    reasons = [[face.uncertain_reason.partition(":")[0] for face in frame.faces] for frame in frames]
    assert reasons == [[""]] * 4 + [["too dark"]] * 4 + [[""]] * 4
    assert {frame.faces[0].label for frame in frames} == {"happy", UNCERTAIN}
    assert (tmp_path / "a.csv").read_text().count("too dark: brightness") == 4
    people = People(recognizer.labels.names)
    for frame in frames[4:8]:
        people.write(frame)
    people.close()
    assert [str(cell) for cell in people_table(people).columns[-1].cells] == ["uncertain: too dark"]


def test_annotated_panel_of_an_uncertain_face_has_no_percent() -> None:
    from mien.recognition.annotation.panels import _measure

    face = Face(Box(10, 10, 80, 90), 0.9, (), ("happy", "sad"), (0.75, 0.25), UNCERTAIN, uncertain_reason="too dark: x")
    assert _measure(face, "#1", 200, 300, bars=True).title == "#1 uncertain"
    assert Analysis("a", 300, 200, (face,), "nano", "yunet").to_dict()["faces"][0]["quality"] is None
