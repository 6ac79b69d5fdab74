"""Recognizer: shipped models, and a model whose output is computed by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
import models
from mien.detection.detectors import build_detector
from mien.errors import ImageError, MienError, ModelError
from mien.imaging.crop import CropRule
from mien.imaging.load import read_image
from mien.prior import apply_prior
from mien.recognition import Recognizer, sample
from mien.recognition.recognizer import DEFAULT
from mien.recognition.results import UNCERTAIN

PORTRAIT = read_image(sample())


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return mien.load("nano")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.write_model(tmp_path_factory.mktemp("model") / "toy", crop=CropRule(margin=0.25, shift_y=-0.1))


def group(count: int) -> np.ndarray:
    """Return `count` portraits side by side, each a little smaller than the one before."""
    image_HW3 = np.full((400, 400 * count, 3), 128, np.uint8)
    for i in range(count):
        side = 400 - 40 * i
        image_HW3[:side, 400 * i : 400 * i + side] = cv2.resize(PORTRAIT, (side, side), interpolation=cv2.INTER_AREA)
    return image_HW3


def test_analyze_sample_gives_one_happy_face(recognizer: Recognizer) -> None:
    analysis = recognizer.analyze(sample())
    assert (analysis.source, analysis.width, analysis.height, analysis.error) == (str(sample()), 512, 512, "")
    assert (analysis.model, analysis.detector) == ("nano", "yunet")
    (face,) = analysis.faces
    assert face.label == "happy"
    assert face.labels == recognizer.labels.names
    assert face.confidence == max(face.probabilities) > 0.5
    assert sum(face.probabilities) == pytest.approx(1, abs=1e-5)
    assert len(face.landmarks) == 5
    assert json.loads(json.dumps(analysis.to_dict()))["faces"][0]["label"] == "happy"


def test_load_without_a_name_opens_the_default() -> None:
    assert mien.load().model.card.name == DEFAULT


def test_analyze_applies_the_cards_crop_rule(toy: Path) -> None:
    recognizer = mien.load(toy)
    (found,) = build_detector("yunet")(PORTRAIT)
    longer = max(found.box.width, found.box.height)
    wide = 1.5 * longer
    middle = found.box.left + found.box.width / 2, found.box.top + found.box.height / 2 - 0.1 * longer
    grey = cv2.cvtColor(PORTRAIT, cv2.COLOR_BGR2GRAY)
    scale = cv2.getRectSubPix(grey, (round(wide), round(wide)), (middle[0] - 0.5, middle[1] - 0.5))
    by_hand = cv2.resize(scale, (48, 48), interpolation=cv2.INTER_AREA)
    faces_NHW = recognizer.pipeline.crop_faces(PORTRAIT, [found])
    assert faces_NHW.shape == (1, 48, 48)
    assert np.abs(faces_NHW[0].astype(int) - by_hand).mean() < 2
    (face,) = recognizer.analyze(PORTRAIT, order="bgr").faces
    assert face.box == found.box
    np.testing.assert_allclose(face.probabilities, models.expected_probabilities(faces_NHW, 7)[0], atol=2e-5)


def test_whole_does_not_apply_the_crop_rule(toy: Path) -> None:
    """The crop rule of the card is for boxes of a detector."""
    pixels = np.random.RandomState(0).randint(0, 256, (48, 48)).astype(np.uint8)
    (face,) = mien.load(toy, detector="whole").analyze(pixels).faces
    np.testing.assert_allclose(face.probabilities, models.expected_probabilities(pixels[None], 7)[0], atol=2e-5)


def test_analyze_without_a_face_has_no_error(recognizer: Recognizer) -> None:
    analysis = recognizer.analyze(np.zeros((60, 80, 3), np.uint8), order="rgb")
    assert (analysis.faces, analysis.error, analysis.width, analysis.height, analysis.source) == ((), "", 80, 60, "")


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_analyze_accepts_bgr_and_rgb(recognizer: Recognizer, order: str) -> None:
    array = PORTRAIT if order == "bgr" else PORTRAIT[:, :, ::-1]
    assert recognizer.analyze(array, order=order).faces == recognizer.analyze(sample()).faces


def test_analyze_accepts_pil_images_and_bytes(recognizer: Recognizer) -> None:
    wanted = recognizer.analyze(sample()).faces
    with Image.open(sample()) as image:
        assert recognizer.analyze(image).faces == wanted
    assert recognizer.analyze(sample().read_bytes()).faces == wanted


def test_analyze_applies_the_exif_orientation(recognizer: Recognizer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    file = tmp_path / "side.jpg"
    with Image.open(sample()) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(file, exif=exif, quality=95)
    (face,) = recognizer.analyze(file).faces
    (wanted,) = recognizer.analyze(sample()).faces
    assert face.label == wanted.label
    assert face.box.left == pytest.approx(wanted.box.left, abs=2)


def test_faces_are_sorted_and_max_faces_keeps_the_largest(recognizer: Recognizer) -> None:
    faces = recognizer.analyze(group(4), order="bgr").faces
    assert [int(face.box.left // 400) for face in faces] == [0, 1, 2, 3]
    largest = mien.load("nano", max_faces=2).analyze(group(4)[:, ::-1], order="bgr").faces
    assert [int(face.box.left // 400) for face in largest] == [2, 3]


def test_below_min_confidence_the_label_is_uncertain() -> None:
    (sure,) = mien.load("nano").analyze(sample()).faces
    strict = mien.load("nano", min_confidence=1.0)
    (unsure,) = strict.analyze(sample()).faces
    assert unsure == replace(sure, label=UNCERTAIN)
    (exact,) = mien.load("nano", min_confidence=sure.confidence).analyze(sample()).faces
    assert exact == sure


def test_tta_averages_with_the_mirror_image(recognizer: Recognizer) -> None:
    analysis = mien.load("nano", tta="flip").analyze(sample())
    assert (analysis.model, recognizer.analyze(sample()).model) == ("nano+flip", "nano")
    (flipped,) = analysis.faces
    faces_NHW = recognizer.pipeline.crop_faces(PORTRAIT, recognizer.pipeline.detect(PORTRAIT))
    np.testing.assert_array_equal(flipped.probabilities, recognizer.model.probabilities(faces_NHW, tta="flip")[0])
    np.testing.assert_array_equal(recognizer.probabilities(faces_NHW, tta="flip")[0], flipped.probabilities)
    assert flipped.probabilities != recognizer.analyze(sample()).faces[0].probabilities


@pytest.mark.parametrize("tta", ["none", "flip"])
def test_prior_adjusts_each_analysis(tta: str) -> None:
    plain, adjusting = (mien.load("nano", tta=tta, prior=prior) for prior in (None, {"disgust": 0.4}))
    assert adjusting.model.prior is not None
    shares = tuple(adjusting.model.prior.fractions.values())
    assert plain.model.card.class_frequencies is not None
    images = [sample(), group(2), np.zeros((90, 90, 3), np.uint8)]
    pairs = zip(*(each.analyze_many(images, order="bgr") for each in (plain, adjusting)), strict=True)
    for without, with_prior in pairs:
        for a, b in zip(without.faces, with_prior.faces, strict=True):
            p_NK = np.array([a.probabilities], np.float32)
            wanted_NK = apply_prior(p_NK, plain.model.card.class_frequencies.assumed, shares)
            assert np.array_equal(np.array([b.probabilities], np.float32), wanted_NK)
            assert b.label == b.labels[wanted_NK[0].argmax()]
            assert b.probabilities[1] > 3 * a.probabilities[1]
    name = f"nano+prior({adjusting.model.prior.name})" + ("+flip" if tta == "flip" else "")
    assert adjusting.analyze(sample()).model == name
    assert ",disgust=0.4," in name


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_analyze_many_gives_the_results_of_analyze(recognizer: Recognizer, batch: int, tmp_path: Path) -> None:
    images: list[Any] = [sample(), PORTRAIT[330:], group(3), b"not an image", sample().read_bytes(), group(2)]
    images.append(tmp_path / "none.jpg")
    results = list(recognizer.analyze_many(images, order="bgr", batch=batch))
    assert [len(a.faces) for a in results] == [1, 0, 3, 0, 1, 2, 0]
    assert [bool(a.error) for a in results] == [False] * 3 + [True, False, False, True]
    for image, result in zip(images, results, strict=True):
        if result.error:
            with pytest.raises(ImageError) as error:
                recognizer.analyze(image, order="bgr")
            assert result.error == str(error.value)
            assert (result.width, result.height, result.faces) == (0, 0, ())
        else:
            alone = recognizer.analyze(image, order="bgr")
            assert replace(result, faces=()) == replace(alone, faces=())
            for face, wanted in zip(result.faces, alone.faces, strict=True):
                assert face.box == wanted.box
                np.testing.assert_allclose(face.probabilities, wanted.probabilities, atol=1e-5)
    assert results[-1].source == str(tmp_path / "none.jpg")
    assert list(recognizer.analyze_many([])) == []


def test_analyze_many_holds_at_most_a_batch(recognizer: Recognizer) -> None:
    """A result comes as soon as a batch is full, and no image is read before it is needed."""
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield PORTRAIT

    results = recognizer.analyze_many(endless(), order="bgr", batch=3)
    assert taken == 0
    for wanted in (3, 3, 3, 6):
        next(results)
        assert taken == wanted


def test_analyze_many_with_bad_arguments_raises(recognizer: Recognizer) -> None:
    for images, options, message in (
        ([PORTRAIT], {}, "pass order="),
        ([None], {}, "got NoneType"),
        *(
            ([PORTRAIT], {"order": "bgr", "batch": batch}, f"batch must be a whole number above 0, got {batch}")
            for batch in (0, 2.5, True)
        ),
        ("a.jpg", {}, "must be a list of images, got one str; put it in a list"),
        (b"GIF89a", {}, "got one bytes"),
        (7, {}, "got one int"),
    ):
        with pytest.raises(MienError, match=message):
            list(recognizer.analyze_many(images, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detector": "mtcnn"}, "available: yunet, whole"),
        ({"min_confidence": 2}, "min_confidence must be a number from 0 to 1"),
        ({"min_confidence": float("nan")}, "min_confidence must be a number from 0 to 1"),
        ({"tta": "ten"}, "tta must be one of none, flip"),
        ({"prior": "bored=0.5"}, "in the prior, 'bored' is not a class"),
        ({"threshold": 0}, "threshold must be a number"),
        ({"longest_side": 3}, "at least 32"),
        ({"max_faces": 0}, "max_faces must be a whole number above 0"),
        ({"threads": "a"}, "threads must be a whole number from 1 to 9999, got 'a'"),
        ({"threads": 0, "detector": "whole"}, "threads must be a whole number"),
        ({"detector": []}, "unknown detector"),
        ({"max_pixels": None}, "max_pixels must be a whole number above 0"),
    ],
)
def test_load_with_options_out_of_range_raises(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MienError, match=message):
        mien.load("nano", **options)


def test_load_unknown_model_raises() -> None:
    with pytest.raises(ModelError, match="shipped models: "):
        mien.load("no_such_model")


def test_load_limits_apply_to_images() -> None:
    with pytest.raises(ImageError, match="above the limit"):
        mien.load("nano", max_pixels=1000).analyze(sample())
    with pytest.raises(ImageError, match="above the limit"):
        mien.load("nano", max_bytes=1000).analyze(sample())


def test_recognizer_is_thread_safe(recognizer: Recognizer) -> None:
    images = [np.ascontiguousarray(group(3)[:, : 400 + 90 * i]) for i in range(8)]
    alone = [recognizer.analyze(p, order="bgr") for p in images]
    with ThreadPoolExecutor(6) as pool:
        for result, wanted in zip(pool.map(lambda p: recognizer.analyze(p, order="bgr"), images), alone, strict=True):
            assert result == wanted


def test_analyze_works_without_the_extras() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning_fabric', 'matplotlib', 'PIL', 'onnx', 'av', 'pyarrow'):\n"
        "    sys.modules[name] = None\n"
        "import mien, mien.recognition\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "print(mien.load().analyze(mien.recognition.sample()).faces[0].label)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "happy\n"), done.stderr


def test_repr_shows_model_and_classes(recognizer: Recognizer) -> None:
    assert repr(recognizer).startswith("<mien.Recognizer 'nano' with yunet: angry, ")
