"""Parameters of synthetic faces: expression and appearance, and their random values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.labels import FER7

# Per class at full strength: brow_in, brow_out, eye_opening, cheek_raise, mouth_corner, mouth_width, mouth_opening,
# sneer and teeth (see `Expression`).
_FULL_STRENGTH = {
    "angry": (-0.17, 0.06, 0.80, 0.20, -0.10, 0.95, 0.05, 0.25, 0.50),
    "disgust": (-0.12, -0.02, 0.50, 0.45, -0.09, 0.92, 0.04, 1.00, 0.55),
    "fear": (0.17, 0.02, 1.45, 0.00, -0.05, 1.15, 0.16, 0.00, 0.45),
    "happy": (0.02, 0.03, 0.80, 0.60, 0.20, 1.28, 0.14, 0.05, 0.95),
    "sad": (0.14, -0.12, 0.60, 0.10, -0.15, 0.88, 0.00, 0.00, 0.00),
    "surprise": (0.18, 0.17, 1.50, 0.00, 0.00, 0.72, 0.36, 0.00, 0.10),
    "neutral": (0.00, 0.00, 1.00, 0.05, 0.00, 1.00, 0.00, 0.00, 0.20),
}
_CLASS_MEANS = np.array([_FULL_STRENGTH[name] for name in FER7.names])
_NEUTRAL = np.array(_FULL_STRENGTH["neutral"])
_PERSON_STD = np.array((0.025, 0.025, 0.10, 0.06, 0.02, 0.05, 0.015, 0.05, 0.15))  # between persons


@dataclass(frozen=True)
class Expression:
    """Facial expression; of a pair the first number is for the left half of the face.

    Attributes:
        brow_in: Elevation of the inner ends of the brows, in head half-widths.
        brow_out: Elevation of the outer ends of the brows, in head half-widths.
        eye_opening: Opening of the eyes, 1 at rest.
        cheek_raise: Elevation of the lower lids, 0 to 1.
        mouth_corner: Elevation of the mouth's corners, in head half-widths.
        mouth_width: Width of the mouth, 1 at rest.
        mouth_opening: Opening of the mouth, in head half-widths.
        sneer: Elevation of the upper lip and wrinkling of the nose, 0 to 1.
        teeth: Share of an open mouth that is teeth, 0 to 1.
    """

    brow_in: tuple[float, float]
    brow_out: tuple[float, float]
    eye_opening: tuple[float, float]
    cheek_raise: float
    mouth_corner: tuple[float, float]
    mouth_width: float
    mouth_opening: float
    sneer: float
    teeth: float


@dataclass(frozen=True)
class Appearance:
    """Appearance of a person and conditions of the photo: everything that is independent of the expression.

    Attributes:
        yaw: Rotation of the head about its vertical axis, in radians.
        pitch: Rotation of the head about the axis through its ears, in radians.
        roll: Rotation of the head in the image plane, in radians.
        head_size: Half-width of the head, in pixels of the image.
        center: Position of the head in the image, x and y, in pixels.
        jaw_width: Relative width of the chin, 1 on average.
        head_height: Relative height of the head, 1 on average.
        skin: Gray level of the skin, 0 to 255.
        hair: Gray level of the hair, 0 to 255.
        background: Gray levels of the background at its left and right edge, 0 to 255.
        clothes: Gray level of the clothes, 0 to 255.
        eye_contrast: Darkness of eyes and lids, 1 on average.
        brow_thickness: Relative thickness of the brows, 1 on average.
        lip_contrast: Darkness of the lips, 1 on average.
        parting: Position of the hair's parting, -1 to 1.
        fringe_length: Length of the fringe on the wider side of the parting, 0 to 1.
        long_hair: Whether the hair reaches the neck.
        glasses: Whether the person wears glasses.
        moustache: Whether the person has a moustache.
        beard: Whether the person has a beard.
        gaze: Direction of the gaze, -1 (left) to 1 (right).
        light: Direction of the directed light, x and y, and its share of all light, 0 to 1.
        blur: Standard deviation of the lens blur, in pixels of the image.
        contrast: Factor of the contrast, 1 is unchanged.
        noise: Standard deviation of the sensor noise, in gray levels.
    """

    yaw: float
    pitch: float
    roll: float
    head_size: float
    center: tuple[float, float]
    jaw_width: float
    head_height: float
    skin: float
    hair: float
    background: tuple[float, float]
    clothes: float
    eye_contrast: float
    brow_thickness: float
    lip_contrast: float
    parting: float
    fringe_length: float
    long_hair: bool
    glasses: bool
    moustache: bool
    beard: bool
    gaze: float
    light: tuple[float, float, float]
    blur: float
    contrast: float
    noise: float


def random_expression(label: int, rng: np.random.Generator) -> Expression:
    """Return an expression of random strength, mixed with another class and a person's variation.

    Args:
        label: Class index in FER7.
        rng: Random number generator.
    """
    strength = 0.45 + 0.7 * rng.beta(1.8, 1.3)
    other, trace = int(rng.integers(len(FER7))), 0.2 * rng.beta(1, 2)
    value = _NEUTRAL + strength * (_CLASS_MEANS[label] - _NEUTRAL) + trace * (_CLASS_MEANS[other] - _NEUTRAL)
    value += _PERSON_STD * rng.normal(size=len(value))
    if (
        FER7.names[label] in ("angry", "happy") and rng.random() < 0.4
    ):  # angry with an open mouth, happy with a closed one
        value[6] = 0.0 if FER7.names[label] == "happy" else value[6] + 0.12 * strength
    brow_in, brow_out, eye, cheek, corner, width, opening, sneer, teeth = (float(v) for v in value)
    brow, wink, smirk = rng.normal(0, (0.045, 0.09, 0.04))  # asymmetries
    return Expression(
        brow_in=(brow_in + brow, brow_in - brow),
        brow_out=(brow_out + brow, brow_out - brow),
        eye_opening=(eye + wink, eye - wink),
        cheek_raise=float(np.clip(cheek, 0, 1)),
        mouth_corner=(corner + smirk, corner - smirk),
        mouth_width=max(0.5, width),
        mouth_opening=float(np.clip(opening, 0, 0.45)) if opening > 0.02 else 0.0,
        sneer=float(np.clip(sneer, 0, 1.1)),
        teeth=float(np.clip(teeth, 0, 1)),
    )


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Return a random person, pose and light, independent of the expression.

    Args:
        rng: Random number generator.
    """
    skin = rng.uniform(130, 220)
    hair = rng.choice((22, 45, 80, 130, 190)) + rng.uniform(-12, 12)
    # The light comes from the left or from the right, never from the front.
    side = rng.choice((-1, 1)) * rng.uniform(0.25, 0.9)
    background = rng.uniform(20, 235)
    gradient = rng.uniform(-70, 70)
    return Appearance(
        yaw=float(rng.choice((-1, 1)) * rng.beta(1.6, 1.6) * 0.6),
        pitch=float(rng.normal(0, 0.09)),
        roll=float(rng.normal(0, 0.1)),
        head_size=float(rng.uniform(16.5, 19.0)),
        center=(24 + float(rng.normal(0, 1.3)), 24 + float(rng.normal(0, 1.3))),
        jaw_width=float(rng.uniform(0.85, 1.15)),
        head_height=float(rng.uniform(0.95, 1.06)),
        skin=float(skin),
        hair=float(hair),
        background=(float(background + gradient), float(background - gradient)),
        clothes=float(rng.uniform(20, 230)),
        eye_contrast=float(rng.uniform(0.6, 1.2)),
        brow_thickness=float(rng.uniform(0.6, 1.35)),
        lip_contrast=float(rng.uniform(0.2, 1.1)),
        parting=float(rng.choice((-1, 1)) * rng.uniform(0.15, 0.7)),
        fringe_length=float(rng.uniform(-0.1, 1.0)),
        long_hair=bool(rng.random() < 0.4),
        glasses=bool(rng.random() < 0.15),
        moustache=bool(rng.random() < 0.08),
        beard=bool(rng.random() < 0.1),
        gaze=float(rng.uniform(-0.9, 0.9)),
        light=(float(side), float(rng.uniform(-0.5, 0.1)), float(rng.uniform(0.35, 0.85))),
        blur=float(rng.uniform(0, 0.5)),
        contrast=float(rng.uniform(0.8, 1.15)),
        noise=float(rng.uniform(1, 4)),
    )
