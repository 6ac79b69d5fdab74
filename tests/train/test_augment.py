"""The contract of every augmentation, our three against Albumentations' own, our JPEG and blur against OpenCV's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
import torch

from mien.errors import MienError
from mien.train.augment import (
    AUGMENTATIONS,
    Affine,
    Augmentation,
    BlankedByNoise,
    Blur,
    Cutout,
    Flip,
    GaussianNoise,
    Jpeg,
    Light,
)
from mien.train.overrides import parse_augment

BATCHED = sorted(set(AUGMENTATIONS) - {"albumentations"})


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def faces() -> torch.Tensor:
    return torch.randint(0, 256, (40, 1, 48, 48), generator=rng(9)).float()


@pytest.fixture(params=[*BATCHED, "albumentations"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[float], Augmentation]:
    """Builds the augmentation of this round with a given probability."""

    def build(p: float) -> Augmentation:
        if request.param != "albumentations":
            return AUGMENTATIONS[request.param](p=p)
        file = tmp_path / "pipeline.json"
        albumentations.save(albumentations.Compose([albumentations.GaussNoise(p=p)]), file)
        return AUGMENTATIONS["albumentations"](str(file))

    return build


def test_shape_dtype_and_range_are_kept(make: Callable[[float], Augmentation], faces: torch.Tensor) -> None:
    after = make(1.0)(faces, rng())
    assert after.shape == faces.shape
    assert after.dtype == faces.dtype
    assert after.min() >= 0
    assert after.max() <= 255


def test_same_generator_same_pixels_and_another_seed_others(
    make: Callable[[float], Augmentation], faces: torch.Tensor
) -> None:
    change = make(0.5)
    assert torch.equal(change(faces, rng(1)), change(faces, rng(1)))
    assert not torch.equal(change(faces, rng(1)), change(faces, rng(2)))


def test_p_zero_is_identity(make: Callable[[float], Augmentation], faces: torch.Tensor) -> None:
    assert torch.equal(make(0.0)(faces, rng()), faces)


def test_p_one_changes_every_image(make: Callable[[float], Augmentation], faces: torch.Tensor) -> None:
    after = make(1.0)(faces, rng())
    assert (after != faces).flatten(1).any(1).all()


def test_input_is_not_written(make: Callable[[float], Augmentation], faces: torch.Tensor) -> None:
    before = faces.clone()
    make(1.0)(faces, rng())
    assert torch.equal(faces, before)


def test_record_names_the_augmentation_and_its_parameters() -> None:
    assert Cutout(holes=3).to_dict() == {"name": "cutout", "p": 0.5, "holes": 3, "size": 2}


@pytest.mark.parametrize("bad", [{"p": 1.5}, {"p": -0.1}, {"p": 0.5, "holes": 0}])
def test_impossible_parameters_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(MienError, match="Cutout"):
        Cutout(**bad)


def test_half_of_the_images_are_hit() -> None:
    many = torch.rand(4000, 1, 8, 8, generator=rng()) * 255
    share = (Flip(p=0.5)(many, rng(3)) != many).flatten(1).any(1).float().mean()
    assert abs(share - 0.5) < 4 * (0.25 / 4000) ** 0.5


def test_blanked_by_noise_is_one_constant_image() -> None:
    after = BlankedByNoise(p=1.0)(torch.full((3, 1, 4, 4), 77.0), rng())
    assert torch.equal(after, torch.ones(3, 1, 4, 4))


# Against Albumentations 2.0.8, on the same faces: the distribution of changes, not the draws.


def theirs(transform: albumentations.BasicTransform, faces: torch.Tensor) -> np.ndarray:
    pipeline = albumentations.Compose([transform], seed=5)
    return np.stack([pipeline(image=f.numpy().astype(np.uint8))["image"] for f in faces[:, 0, ..., None]])[..., 0]


def ours(change: Augmentation, faces: torch.Tensor) -> np.ndarray:
    return change(faces, rng(5))[:, 0].numpy()


@pytest.fixture(scope="module")
def grey() -> torch.Tensor:
    """Mid-grey images with a gradient, so that nothing clips and mirroring shows."""
    return torch.linspace(90, 160, 48).expand(600, 1, 48, 48).round()


def test_flip_is_albumentations_flip(grey: torch.Tensor) -> None:
    assert np.array_equal(ours(Flip(p=1), grey), theirs(albumentations.HorizontalFlip(p=1), grey))


def test_cutout_is_albumentations_coarse_dropout(grey: torch.Tensor) -> None:
    hole = (2, 2)
    transform = albumentations.CoarseDropout(
        num_holes_range=hole, hole_height_range=hole, hole_width_range=hole, fill=0, p=1
    )
    a, b = ours(Cutout(p=1, holes=2, size=2), grey) == 0, theirs(transform, grey) == 0
    # 2 holes of 4 pixels, now and then overlapping: the number of black pixels is the same in mean and in extremes.
    assert abs(a.sum((1, 2)).mean() - b.sum((1, 2)).mean()) < 0.08
    assert (a.sum((1, 2)).min(), a.sum((1, 2)).max()) <= (8, 8)
    assert b.sum((1, 2)).max() == a.sum((1, 2)).max() == 8
    # Uniform over places: rows are covered alike, the rim half as often as the inside.
    for axis in (1, 2):
        rate_a, rate_b = a.any(3 - axis).mean(0), b.any(3 - axis).mean(0)
        spread = np.sqrt(2 * 0.083 * (1 - 0.083) / len(grey))
        assert np.abs(rate_a - rate_b).max() < 4.5 * spread
        assert rate_a[0] < rate_a[5:40].mean()


@pytest.mark.parametrize("variance", [10.0, 25.0, 50.0])
def test_noise_is_albumentations_noise(grey: torch.Tensor, variance: float) -> None:
    std = variance**0.5 / 255
    a = ours(GaussianNoise(p=1, low=variance, high=variance), grey) - grey[:, 0].numpy()
    # On float images, rounded afterwards: on 8-bit ones it cuts every draw towards zero, which takes 0.4 levels off
    # the spread; we round, so that the variance is the one that was asked for.
    pipeline = albumentations.Compose([albumentations.GaussNoise(std_range=(std, std), p=1)], seed=5)
    noisy = np.stack([pipeline(image=f.numpy()[..., None] / np.float32(255))["image"] for f in grey[:, 0]])[..., 0]
    b = (noisy * 255).round() - grey[:, 0].numpy()
    assert abs(a.mean()) < 0.02
    assert abs(b.mean()) < 0.02
    assert a.std() == pytest.approx(b.std(), rel=0.01)
    levels = np.arange(-20, 21)
    share_a, share_b = ((x.ravel()[:, None] <= levels).mean(0) for x in (a[::8], b[::8]))
    assert np.abs(share_a - share_b).max() < 0.01  # Kolmogorov-Smirnov at 170,000 pixels each


def test_noise_variance_is_drawn_from_its_range(grey: torch.Tensor) -> None:
    per_image = (ours(GaussianNoise(p=1, low=10, high=50), grey) - grey[:, 0].numpy()).var((1, 2)) - 1 / 12
    assert 8 < per_image.min() < 12
    assert 47 < per_image.max() < 54
    assert per_image.mean() == pytest.approx(30, abs=2)


def test_adapter_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="no such JSON file: "):
        AUGMENTATIONS["albumentations"](str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(MienError, match="is not an Albumentations pipeline"):
        AUGMENTATIONS["albumentations"](str(tmp_path / "bad.json"))


def moved(dot: tuple[int, int], **only: float) -> torch.Tensor:
    """Where a bright square around `dot` (row, column) lies after each of 400 draws: rows and columns, [2,400]."""
    face = torch.zeros(400, 1, 48, 48)
    row, column = dot
    face[:, :, row - 1 : row + 2, column - 1 : column + 2] = 255
    none = {"degrees": 0.0, "shift": 0.0, "scale": 0.0, "skew": 0.0}
    after = Affine(**{**none, **only})(face, rng())[:, 0]
    place = torch.arange(48.0)
    rows = (after.sum(2) * place).sum(1) / after.sum((1, 2))
    columns = (after.sum(1) * place).sum(1) / after.sum((1, 2))
    return torch.stack([rows, columns])


def test_affine_does_to_a_dot_what_each_of_its_parts_says() -> None:
    """The dot is 12 pixels right of the middle, which lies at 23.5; the bounds are reached and not passed."""
    dot = (24, 36)
    still = moved(dot)
    assert torch.allclose(still, torch.tensor([[24.0], [36.0]]).expand(2, 400), atol=1e-3)

    rows, columns = moved(dot, shift=0.125)  # an eighth of 48 pixels is 6
    assert (rows.min(), rows.max()) == (pytest.approx(18, abs=0.2), pytest.approx(30, abs=0.2))
    assert (columns.min(), columns.max()) == (pytest.approx(30, abs=0.2), pytest.approx(42, abs=0.2))

    rows, columns = moved(dot, degrees=30.0)
    away = torch.hypot(rows - 23.5, columns - 23.5)
    angle = torch.rad2deg(torch.atan2(rows - 23.5, columns - 23.5))
    assert torch.allclose(away, torch.full_like(away, 12.51), atol=0.1)
    assert (angle.min(), angle.max()) == (pytest.approx(-27.7, abs=0.7), pytest.approx(32.3, abs=0.7))

    rows, columns = moved(dot, scale=0.25)  # 12.5 pixels away, times 0.8 to 1.25
    assert (columns.min(), columns.max()) == (pytest.approx(33.5, abs=0.2), pytest.approx(39.1, abs=0.2))
    assert (columns - 23.5).log().mean() == pytest.approx(np.log(12.5), abs=0.02)  # as often larger as smaller

    rows, columns = moved((36, 24), skew=0.25)  # 12.5 pixels below the middle, slanted along its row
    assert torch.allclose(rows, torch.full_like(rows, 36.0), atol=0.05)
    assert (columns.min(), columns.max()) == (pytest.approx(24 - 3.1, abs=0.2), pytest.approx(24 + 3.1, abs=0.2))


def test_affine_repeats_the_rim_and_leaves_whom_it_misses() -> None:
    face = torch.full((60, 1, 48, 48), 77.0)
    assert torch.allclose(Affine()(face, rng()), face, atol=1e-3)
    faces = torch.randint(0, 256, (400, 1, 48, 48), generator=rng(9)).float()
    same = (Affine(p=0.5)(faces, rng()) == faces).flatten(1).all(1)
    assert 150 < same.sum() < 250


def test_affine_refuses_a_negative_range() -> None:
    with pytest.raises(MienError, match=r"Affine: shift must be 0 or more, got -0\.1"):
        Affine(shift=-0.1)


@pytest.fixture(scope="module")
def smooth() -> torch.Tensor:
    """Twelve images of soft blobs, as faces are soft: JPEG of pure noise would be all rounding."""
    noise = np.random.default_rng(3).normal(size=(12, 48, 48)).astype(np.float32)
    blobs = np.stack([cv2.GaussianBlur(n, (0, 0), 3) for n in noise])
    return torch.from_numpy((128 + 700 * blobs).clip(0, 255).round())[:, None]


@pytest.mark.parametrize("quality", [5, 30, 49, 50, 75, 95, 100])
def test_jpeg_is_opencvs_jpeg(smooth: torch.Tensor, quality: int) -> None:
    mine = Jpeg(p=1, low=quality, high=quality)(smooth, rng())[:, 0].numpy()
    for image, after in zip(smooth[:, 0].numpy().astype(np.uint8), mine, strict=True):
        stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        theirs = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE).astype(np.float32)
        apart = np.abs(after - theirs)
        # libjpeg's transforms are of whole numbers: now and then a coefficient is rounded to the other side.
        assert apart.mean() < 0.6
        assert np.median(apart) <= 1
        assert apart.mean() < 0.35 * np.abs(theirs - image).mean() or quality >= 95


def test_jpeg_qualities_are_drawn_from_their_range(smooth: torch.Tensor) -> None:
    many = smooth[:1].expand(300, 1, 48, 48)
    loss = (Jpeg(p=1, low=20, high=90)(many, rng()) - many).square().mean((1, 2, 3))
    ends = [(Jpeg(p=1, low=q, high=q)(smooth[:1], rng()) - smooth[:1]).square().mean() for q in (20, 90)]
    assert loss.max() <= ends[0] * 1.05
    assert loss.min() >= ends[1] * 0.95
    assert len(loss.unique()) > 40


def test_blur_is_a_gaussian_of_a_drawn_sigma() -> None:
    dot = torch.zeros(500, 1, 48, 48)
    dot[:, :, 24, 24] = 255
    after = Blur(p=1, sigma=1.5)(dot, rng())[:, 0]
    assert torch.allclose(after.sum((1, 2)), torch.full((500,), 255.0), rtol=1e-4)
    place = torch.arange(48.0) - 24
    sigma = ((after.sum(1) * place**2).sum(1) / 255).sqrt()
    assert sigma.max() == pytest.approx(1.5, abs=0.05)
    assert sigma.min() < 0.1
    widest = int(sigma.argmax())
    theirs = cv2.GaussianBlur(dot[0, 0].numpy(), (11, 11), float(sigma[widest]))
    assert np.allclose(after[widest].numpy(), theirs, atol=0.3)


def test_blur_goes_on_as_the_rim_beyond_it() -> None:
    bars = torch.zeros(40, 1, 48, 48)
    bars[..., :3] = 200
    after = Blur(p=1, sigma=0.8)(bars, rng())
    assert torch.allclose(after[..., 0], torch.full_like(after[..., 0], 200.0), atol=0.5)


def test_light_does_what_each_of_its_parts_says() -> None:
    none = {"gamma": 0.0, "contrast": 0.0, "brightness": 0.0}
    face = torch.tensor([60.0, 100.0]).repeat(24).expand(400, 1, 48, 48)
    assert torch.allclose(Light(p=1, **none)(face, rng()), face, atol=1e-3)

    moved = Light(p=1, **{**none, "brightness": 0.1})(face, rng()) - face
    assert torch.allclose(moved, moved[..., :1, :1].expand_as(moved), atol=1e-3)
    assert (moved.min(), moved.max()) == (pytest.approx(-25.5, abs=0.4), pytest.approx(25.5, abs=0.4))

    apart = Light(p=1, **{**none, "contrast": 0.25})(face, rng())
    assert torch.allclose(apart.mean((1, 2, 3)), torch.full((400,), 80.0), atol=1e-2)
    times = (apart[:, 0, 0, 1] - apart[:, 0, 0, 0]) / 40
    assert (times.min(), times.max()) == (pytest.approx(0.8, abs=0.01), pytest.approx(1.25, abs=0.01))

    power = (Light(p=1, **{**none, "gamma": 0.5})(face, rng()) / 255).log() / (face / 255).log()
    assert (power.min(), power.max()) == (pytest.approx(1 / 1.5, abs=0.01), pytest.approx(1.5, abs=0.01))


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: Jpeg(low=0), "Jpeg: low and high must satisfy 1 <= low <= high <= 100, got 0 and 95"),
        (lambda: Blur(sigma=0.0), "Blur: sigma must be above 0 and at most 5 pixels, got 0.0"),
        (lambda: Light(contrast=-0.5), "Light: contrast must be 0 or more, got -0.5"),
    ],
)
def test_what_no_camera_does_is_refused(build: Callable[[], Augmentation], named: str) -> None:
    with pytest.raises(MienError, match=named):
        build()


def test_albumentations_pipeline_in_text_of_augmentations(tmp_path: Path, faces: torch.Tensor) -> None:
    file = tmp_path / "pipe.json"
    albumentations.save(albumentations.Compose([albumentations.HorizontalFlip(p=1)]), file)
    flip, pipeline = parse_augment(f"flip(p=1) + albumentations:{file}")
    assert torch.equal(pipeline(flip(faces, rng()), rng()), faces)
    assert pipeline.to_dict()["name"] == "albumentations"


def _written(file: Path, *transforms: albumentations.BasicTransform) -> str:
    albumentations.save(albumentations.Compose(list(transforms)), file)
    return str(file)


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (albumentations.HueSaturationValue(p=1), r"cannot be applied to a grey face, uint8 \[48,48,1\]: .*colors"),
        (albumentations.Normalize(mean=(0.5,), std=(0.5,), p=1), "changes the type of the pixels; remove .* Normalize"),
        (albumentations.Resize(32, 32, p=1), "changes the size or the channels of an image"),
    ],
)
def test_unsuitable_pipeline_is_an_error(tmp_path: Path, transform: albumentations.BasicTransform, says: str) -> None:
    file = tmp_path / "pipe.json"
    with pytest.raises(MienError, match=says):
        AUGMENTATIONS["albumentations"](_written(file, transform))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("pipe.json", "flip", "pipe.json: is not JSON: "),
        ("pipe.json", "{}", "pipe.json: is not an Albumentations pipeline: it has no key 'transform'"),
        ("pipe.json", '{"transform": {"__class_fullname__": "Sharpness"}}', "is not an Albumentations pipeline: "),
        ("pipe.yaml", "a: 1", "no such JSON file: '.*pipe.yaml'; write .*save"),
    ],
)
def test_other_file_than_pipeline_is_an_error(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(MienError, match=says):
        AUGMENTATIONS["albumentations"](str(tmp_path / name))
