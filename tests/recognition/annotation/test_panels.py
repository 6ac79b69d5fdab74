"""Annotated images by their pixels: positions, sizes, colors, and unchanged pixels elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from found import FLAT, HAPPY, LABELS, SAD, analysis, face
from mien.errors import MienError
from mien.imaging.load import read_image
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS
from mien.recognition import Face, annotate, sample
from mien.recognition.annotation import text as text_drawing
from mien.recognition.annotation.layout import intersection_areas, place_panels
from mien.recognition.annotation.palette import EXPRESSION_COLORS, label_color
from mien.recognition.annotation.panels import MIN_READABLE_SIDE, enlarge

PORTRAIT = read_image(sample())
HEAD = face(178, 63, 90, 113)
SIZES = [(24, 24), (48, 64), (200, 90), (480, 640), (2000, 3000)]


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(2)


def blank(height: int, width: int, grey: int = 128) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def contains(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((image == color[::-1]).all(2).sum())


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("where", [(0.3, 0.3, 0.3, 0.4), (0, 0, 1, 1), (-0.2, -0.1, 0.5, 0.6), (0.9, 0.95, 0.4, 0.4)])
def test_annotate_returns_changed_copy(height: int, width: int, where: tuple[float, ...]) -> None:
    image = blank(height, width)
    one = face(where[0] * width, where[1] * height, where[2] * width, where[3] * height)
    drawn = annotate(image, [one])
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)
    assert (image == 128).all()
    assert changed(image, drawn).any()


@pytest.mark.parametrize("count", [1, 2, 5, 12])
@pytest.mark.parametrize(("height", "width"), [(300, 400), (1200, 1600)])
def test_annotate_panels_cover_no_face(count: int, height: int, width: int) -> None:
    """Within each frame the image is as it was, but for the frame."""
    side = 0.1 * height
    spots = [((i % 4 + 0.6) * width / 4 - side / 2, (i // 4 + 0.6) * height / 3 - side / 2) for i in range(count)]
    drawn = annotate(blank(height, width), [face(x, y, side, side, SAD) for x, y in spots])
    rim = 0.2 * side
    for x, y in spots:
        inner = drawn[round(y + rim) : round(y + side - rim), round(x + rim) : round(x + side - rim)]
        assert (inner == 128).all()


def test_annotate_many_faces_have_tags() -> None:
    crowd = [face(20 + 60 * i, 20 + 70 * j, 40, 50) for i in range(6) for j in range(5)]
    tags, bars = annotate(blank(380, 400), crowd), annotate(blank(380, 400), crowd, bars=True)
    assert changed(blank(380, 400), tags).sum() < changed(blank(380, 400), bars).sum()
    pair = [face(60, 60, 80, 100), face(500, 200, 80, 100)]
    assert np.array_equal(annotate(blank(480, 800), pair), annotate(blank(480, 800), pair, bars=True))


def test_annotate_bars_are_proportional() -> None:
    drawn = annotate(blank(600, 800), [face(100, 100, 150, 180, SAD, "uncertain")], bars=True)
    areas = [contains(drawn, label_color(name, LABELS)) for name in LABELS]
    assert areas == pytest.approx([p * sum(areas) for p in SAD], rel=0.1, abs=0.02 * sum(areas))


@pytest.mark.parametrize("size", [60, 150, 400])
def test_annotate_full_bar_ends_before_percentage(size: int) -> None:
    drawn = annotate(blank(900, 1400), [face(50, 100, size, 1.2 * size, (0, 0, 0, 1, 0, 0, 0))], bars=True)
    panel = drawn[:, 60 + size :]
    full_HW = (panel == label_color("happy", LABELS)[::-1]).all(2)
    full_HW[full_HW.sum(1) < 20] = False  # the frame's rim
    rows = np.flatnonzero(full_HW.any(1))
    ends = [int(np.flatnonzero(full_HW[row]).max()) for row in rows]
    assert len(set(ends)) == 1
    beyond = panel[rows[0] : rows[-1] + 1, ends[0] + 1 : ends[0] + 4].astype(int)
    assert beyond.max() < 120


@pytest.mark.parametrize("grey", [0, 255])
def test_annotate_contrast_on_black_and_white(grey: int) -> None:
    drawn = annotate(blank(600, 800, grey), [face(100, 100, 150, 180)]).astype(int)
    luminance = drawn @ (0.114, 0.587, 0.299)
    panel = luminance[101:200, 262:400]
    assert np.percentile(panel, 98) - np.median(panel) > 150  # white letters on a dark panel
    frame = luminance[180, 95:108]
    assert frame.max() - frame.min() > 120


def test_annotate_scales_with_image() -> None:
    small = annotate(blank(600, 800), [face(200, 150, 120, 150)])
    large = annotate(blank(1800, 2400), [face(600, 450, 360, 450)])
    shrunk = cv2.resize(large, (800, 600), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 1.5
    assert changed(blank(600, 800), small).mean() == pytest.approx(changed(blank(1800, 2400), large).mean(), rel=0.1)


def test_annotate_captions() -> None:
    plain, result = annotate(PORTRAIT, [HEAD]), annotate(PORTRAIT, [HEAD], captions=["#1"])
    assert changed(plain, result).any()
    with pytest.raises(MienError, match="one caption per face, got 2 for 1"):
        annotate(PORTRAIT, [HEAD], captions=["#1", "#2"])


def test_annotate_analysis_equals_its_faces() -> None:
    assert np.array_equal(annotate(PORTRAIT, analysis("x", HEAD)), annotate(PORTRAIT, [HEAD]))
    assert np.array_equal(annotate(PORTRAIT, analysis("x")), PORTRAIT)


@pytest.mark.parametrize("wrong", [PORTRAIT[:, :, 0], PORTRAIT.astype(float), None, np.zeros((2, 2, 4), np.uint8)])
def test_annotate_wrong_image_raises(wrong: object) -> None:
    with pytest.raises(MienError, match=r"as uint8 \[H,W,3\]"):
        annotate(wrong, [HEAD])  # type: ignore[arg-type]


def test_annotate_view_equals_copy() -> None:
    mirrored = PORTRAIT[:, ::-1]
    assert np.array_equal(annotate(mirrored, [HEAD]), annotate(mirrored.copy(), [HEAD]))


def test_enlarge_thumbnail_and_faces() -> None:
    stamp = cv2.resize(PORTRAIT, (50, 40))
    larger, result = enlarge(stamp, analysis("x", face(10, 8, 20, 24), size=(50, 40)))
    assert larger.shape == (280, 350, 3)
    assert (result.width, result.height) == (350, 280)
    assert result.faces[0].box == face(70, 56, 140, 168).box
    assert np.allclose(result.faces[0].landmarks, face(70, 56, 140, 168).landmarks)
    assert max(larger.shape) >= MIN_READABLE_SIDE
    same, found = enlarge(PORTRAIT, analysis("x", HEAD, size=(512, 512)))
    assert same is PORTRAIT
    assert found.faces == (HEAD,)


# ---- colors


@pytest.mark.parametrize("labels", [FER7.names, FERPLUS8.names, FERPLUS_COLUMNS[:8], ("bored", "keen", "puzzled")])
def test_label_color_is_unique(labels: tuple[str, ...]) -> None:
    assert len({label_color(name, labels) for name in (*labels, "uncertain")}) == len(labels) + 1


def test_label_color_same_for_all_spellings() -> None:
    assert (
        label_color("happiness", FERPLUS_COLUMNS[:8])
        == label_color("happy", FERPLUS8.names)
        == label_color("happy", FER7.names)
        == EXPRESSION_COLORS["happy"]
    )


def test_label_color_distinct_for_color_blind() -> None:
    """As deuteranopes and protanopes see them, by Viénot, Brettel and Mollon (1999), in steps of CIE Lab."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    blind = {
        "protan": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
        "deutan": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    }
    linear = (np.array([*EXPRESSION_COLORS.values(), label_color("uncertain", LABELS)]) / 255) ** 2.2
    for sees in blind.values():
        seen = linear @ (np.linalg.inv(to_lms) @ sees @ to_lms).T
        srgb = (seen.clip(0, 1) ** (1 / 2.2)).astype(np.float32)
        lab = cv2.cvtColor(srgb[None], cv2.COLOR_RGB2LAB)[0]
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e3 * np.eye(len(lab))
        assert apart.min() > 15


# ---- text and positions


@pytest.mark.parametrize("truetype", [True, False])
def test_text_width_equals_drawn_width(truetype: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By OpenCV 5's font and by the strokes that OpenCV 4 has."""
    assert hasattr(cv2, "FontFace")
    if not truetype:
        monkeypatch.delattr(cv2, "FontFace")
    for size in (10, 24, 60):
        for text in ("surprise 97 %", "#12 happy", "·"):
            paper = blank(200, 1200, 0)
            text_drawing.write(paper, text, 20, 100, size, (255, 255, 255))
            rows, columns = np.nonzero(paper.any(2))
            assert columns.min() >= 20 - size / 10
            assert columns.max() <= 20 + text_drawing.width(text, size) + size / 10
            assert abs((rows.min() + rows.max()) / 2 - 100) < 0.35 * size
            assert rows.max() - rows.min() < 1.3 * size


@pytest.mark.parametrize("truetype", [True, False])
def test_text_any_script_is_drawn(truetype: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not truetype and hasattr(cv2, "FontFace"):
        monkeypatch.delattr(cv2, "FontFace")
    labels = ("fröhlich", "悲しい", "\udce9\n\t🙂")
    result = Face(HEAD.box, 0.9, (), labels, (0.5, 0.3, 0.2), "fröhlich")
    assert annotate(PORTRAIT, [result]).shape == PORTRAIT.shape


def test_place_panels_inside_and_apart() -> None:
    boxes = [(10.0, 10, 80, 90), (300, 10, 80, 90), (150, 200, 80, 90), (560, 380, 80, 90)]
    places, covered = place_panels(boxes, [(120.0, 110.0)] * 4, [4.0] * 4, 640, 480)
    assert covered == pytest.approx(0, abs=1e-6)
    for i, (left, top, width, height) in enumerate(places):
        assert left >= 0
        assert left + width <= 640
        assert top >= 0
        assert top + height <= 480
        others = np.array([*boxes, *places[:i], *places[i + 1 :]])
        assert intersection_areas((left, top, width, height), others).sum() == 0


def test_intersection_areas_by_hand() -> None:
    others = np.array([[5.0, 5, 10, 10], [10, 0, 5, 5], [-5, -5, 6, 7]])
    assert intersection_areas((0, 0, 10, 10), others).tolist() == [25, 0, 2]


def test_annotate_equal_probabilities_equal_bars() -> None:
    drawn = annotate(blank(600, 800), [face(100, 100, 150, 180, FLAT)], bars=True)
    assert contains(drawn, label_color("disgust", LABELS)) == contains(drawn, label_color("happy", LABELS))
    assert HAPPY != FLAT
