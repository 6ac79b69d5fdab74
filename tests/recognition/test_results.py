"""Results as plain data, and their JSON."""

from __future__ import annotations

import json

import pytest

from mien.detection.boxes import Box, Searched
from mien.errors import MienError
from mien.recognition.results import UNCERTAIN, Analysis, Face, PersonFace, VideoFrame, escape_surrogates

LABELS, PROBS = ("happy", "sad"), (0.75, 0.25)
FACE = Face(Box(10, 20, 64, 80), 0.93, ((1, 2),) * 5, LABELS, PROBS, "happy")
PERSON = PersonFace(FACE.box, FACE.score, FACE.landmarks, LABELS, PROBS, "happy", 3)


def test_frame_and_image_share_one_json_shape() -> None:
    image = Analysis("a", 640, 480, (FACE,), "nano", "yunet").to_dict()
    frame = VideoFrame(25, 1.04, 640, 480, (PERSON,), "a", "nano", "yunet").to_dict()
    assert list(image) == [
        "source", "width", "height", "model", "detector", "rotation", "searched", "faces", "notes", "error",
    ]  # fmt: skip
    assert list(frame) == ["source", "index", "time", *list(image)[1:]]
    assert (frame.pop("index"), frame.pop("time")) == (25, 1.04)
    assert frame["faces"][0].pop("person") == 3
    assert frame == image == json.loads(json.dumps(image))


def test_image_json_has_rotation_and_searched() -> None:
    image = Analysis("a", 640, 480, (), "nano", "yunet", rotation=90, searched=Searched((160, 640), 14)).to_dict()
    assert (image["rotation"], image["searched"]) == (90, {"scales": [160, 640], "smallest_face": 14})


def test_unreadable_image_has_its_error_in_json() -> None:
    record = Analysis("a", 0, 0, (), "nano", "yunet", "a: no such file").to_dict()
    assert (record["faces"], record["error"]) == ([], "a: no such file")


def test_face_with_a_foreign_label_raises() -> None:
    assert Face(FACE.box, 1, (), LABELS, PROBS, UNCERTAIN).confidence == 0.75
    with pytest.raises(MienError, match="must be one of happy, sad or uncertain, got 'bored'"):
        Face(FACE.box, 1, (), LABELS, PROBS, "bored")
    with pytest.raises(MienError, match="2 labels and 1 probabilities"):
        Face(FACE.box, 1, (), LABELS, (1.0,), "happy")


def test_escape_surrogates_keeps_bytes_as_escapes() -> None:
    assert escape_surrogates("caf\udce9.jpg") == r"caf\udce9.jpg"
    assert escape_surrogates("café") == "café"
