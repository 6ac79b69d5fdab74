"""Augmentations: frozen values with a batched `__call__(x, rng)`.

Each takes and returns float32 pixels [N,1,H,W] on the 0-255 scale, does not change its input, and draws all random
numbers from the given generator, so that the same generator state gives the same pixels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from mien.errors import MienError


class Augmentation(Protocol):
    """Interface of an augmentation."""

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return augmented pixels, float32 [N,1,H,W]."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return name and parameters as JSON types, for the run's record."""
        ...


A = TypeVar("A", bound=Augmentation)
AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {}


def augmentation(cls: type[A]) -> type[A]:
    """Register a class under its name in lower case.

    Raises:
        MienError: Another class has that name.
    """
    name = cls.__name__.lower()
    if name in AUGMENTATIONS:
        raise MienError(f"an augmentation named '{name}' is registered already")
    AUGMENTATIONS[name] = cls
    return cls


@dataclass(frozen=True)
class _AugmentationBase:
    """Base of all augmentations: probability, checks and record."""

    p: float = 0.5

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            kinds = int if type(self).__dataclass_fields__[field].type == "int" else (int, float)
            if not isinstance(value, kinds) or isinstance(value, bool):
                kind = "an integer" if kinds is int else "a number"
                raise MienError(f"{type(self).__name__}: {field} must be {kind}, got {value!r}")
        if not 0 <= self.p <= 1:
            raise MienError(f"{type(self).__name__}: p must be a probability from 0 to 1, got {self.p}")

    def to_dict(self) -> dict[str, Any]:
        """Return name and parameters as JSON types, for the run's record."""
        return {"name": type(self).__name__.lower(), **asdict(self)}

    def _draw_mask(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Draw which images are changed, bool [N,1,1,1]."""
        return torch.rand(len(x_NCHW), 1, 1, 1, generator=rng, device=x_NCHW.device) < self.p


@augmentation
@dataclass(frozen=True)
class Flip(_AugmentationBase):
    """Mirror each image left-right with probability `p`.

    Example:
        >>> x_NCHW = torch.tensor([[[[0.0, 255.0]]]])
        >>> Flip(p=1.0)(x_NCHW, torch.Generator().manual_seed(0))
        tensor([[[[255.,   0.]]]])
    """

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return float32 [N,1,H,W] with some images mirrored."""
        return torch.where(self._draw_mask(x_NCHW, rng), x_NCHW.flip(-1), x_NCHW)


@augmentation
@dataclass(frozen=True)
class Cutout(_AugmentationBase):
    """Set `holes` squares of `size` x `size` pixels to black, with probability `p` per image.

    Source: DeVries & Taylor 2017, arXiv 1708.04552; the squares lie completely inside the image, as in Albumentations'
    CoarseDropout.
    """

    holes: int = 2
    size: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.holes < 1 or self.size < 1:
            raise MienError(f"Cutout: holes and size must be at least 1, got {self.holes} and {self.size}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return float32 [N,1,H,W] with holes in some images."""
        n, _, height, width = x_NCHW.shape
        mask_N11 = self._draw_mask(x_NCHW, rng)[:, 0]
        rows_NSH = self._draw_spans(n, height, rng, x_NCHW)
        columns_NSW = self._draw_spans(n, width, rng, x_NCHW)
        hole_NSHW = rows_NSH[..., None] & columns_NSW[..., None, :]
        return x_NCHW.masked_fill((hole_NSHW.any(1) & mask_N11)[:, None], 0.0)

    def _draw_spans(self, n: int, extent: int, rng: Generator, like: Tensor) -> Tensor:
        """Draw which of `extent` positions along one axis each hole covers, bool [N,holes,extent]."""
        last = max(extent - self.size, 0)
        start = torch.randint(0, last + 1, (n, self.holes, 1), generator=rng, device=like.device)
        position = torch.arange(extent, device=like.device)
        return (position >= start) & (position < start + self.size)


@augmentation
@dataclass(frozen=True)
class Affine(_AugmentationBase):
    """Rotate, shift, scale and shear each image with probability `p`, in one bilinear resampling.

    Source: Barsoum et al. 2016, arXiv 1608.01041, section 3.2; the defaults are those of the reference code. Pixels
    outside the image repeat its border.

    Attributes:
        p: Probability per image.
        degrees: Maximum rotation to either side, in degrees.
        shift: Maximum shift along each axis, as a share of the side.
        scale: Images are enlarged or reduced by a factor of up to 1 + `scale`.
        skew: Maximum horizontal shear, as a share of the side.
    """

    p: float = 1.0
    degrees: float = 20.0
    shift: float = 0.08
    scale: float = 0.05
    skew: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("degrees", "shift", "scale", "skew"):
            if not getattr(self, field) >= 0:
                raise MienError(f"Affine: {field} must be 0 or more, got {getattr(self, field)}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return float32 [N,1,H,W] with some images distorted."""
        n = len(x_NCHW)
        mask = self._draw_mask(x_NCHW, rng)
        draw_5N = 2 * torch.rand(5, n, generator=rng, device=x_NCHW.device) - 1
        angle_N = draw_5N[0] * math.radians(self.degrees)
        # The matrix maps output to input positions, so a scale below 1 enlarges.
        scale_N = torch.exp(-draw_5N[1] * math.log1p(self.scale))
        shear_N = draw_5N[2] * self.skew
        sin_N, cos_N = scale_N * angle_N.sin(), scale_N * angle_N.cos()
        theta_N23 = torch.stack(
            [
                torch.stack([cos_N, cos_N * shear_N - sin_N, 2 * self.shift * draw_5N[3]], 1),
                torch.stack([sin_N, sin_N * shear_N + cos_N, 2 * self.shift * draw_5N[4]], 1),
            ],
            1,
        )
        grid_NHW2 = functional.affine_grid(theta_N23, list(x_NCHW.shape), align_corners=False)
        moved_NCHW = functional.grid_sample(x_NCHW, grid_NHW2, padding_mode="border", align_corners=False)
        return torch.where(mask, moved_NCHW, x_NCHW)


@augmentation
@dataclass(frozen=True)
class GaussianNoise(_AugmentationBase):
    """Add independent Gaussian noise to each pixel with probability `p` per image.

    The result is rounded to integers and clipped to 0-255, as for 8-bit images.

    Attributes:
        p: Probability per image.
        low: Lowest variance of the noise, in squared levels of 0-255; the variance of each image is drawn uniformly.
        high: Highest variance.
    """

    low: float = 10.0
    high: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low <= self.high:
            raise MienError(
                f"GaussianNoise: low and high must satisfy 0 <= low <= high, got {self.low} and {self.high}"
            )

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return float32 [N,1,H,W] with noise in some images."""
        mask = self._draw_mask(x_NCHW, rng)
        share = torch.rand(len(x_NCHW), 1, 1, 1, generator=rng, device=x_NCHW.device)
        std = (self.low + (self.high - self.low) * share).sqrt()
        noise = torch.randn(x_NCHW.shape, generator=rng, device=x_NCHW.device)
        return torch.where(mask, (x_NCHW + std * noise).round_().clamp_(0, 255), x_NCHW)


@augmentation
@dataclass(frozen=True)
class Light(_AugmentationBase):
    """Change gamma, contrast and brightness of each image with probability `p`, in this order, and clip to 0-255.

    Attributes:
        p: Probability per image.
        gamma: Pixels, divided by 255, are raised to a power from 1 / (1 + `gamma`) to 1 + `gamma`.
        contrast: Differences from the mean of the image are multiplied by a factor from 1 / (1 + `contrast`) to
            1 + `contrast`.
        brightness: Up to this share of 255 is added or subtracted.
    """

    gamma: float = 0.3
    contrast: float = 0.4
    brightness: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("gamma", "contrast", "brightness"):
            if not getattr(self, field) >= 0:
                raise MienError(f"Light: {field} must be 0 or more, got {getattr(self, field)}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return float32 [N,1,H,W] with the light of some images changed."""
        mask = self._draw_mask(x_NCHW, rng)
        draw = 2 * torch.rand(3, len(x_NCHW), 1, 1, 1, generator=rng, device=x_NCHW.device) - 1
        changed = 255 * (x_NCHW / 255).pow(torch.exp(draw[0] * math.log1p(self.gamma)))
        mean = changed.mean((1, 2, 3), keepdim=True)
        changed = mean + (changed - mean) * torch.exp(draw[1] * math.log1p(self.contrast))
        return torch.where(mask, (changed + 255 * self.brightness * draw[2]).clamp_(0, 255), x_NCHW)


@augmentation
@dataclass(frozen=True)
class Blur(_AugmentationBase):
    """Blur each image with probability `p` by a Gaussian kernel.

    Pixels outside the image repeat its border.

    Attributes:
        p: Probability per image.
        sigma: Highest standard deviation in pixels; that of each image is drawn from 0 to it. The kernel is truncated
            at three times this value.
    """

    sigma: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma <= 5:
            raise MienError(f"Blur: sigma must be above 0 and at most 5 pixels, got {self.sigma}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return float32 [N,1,H,W] with some images blurred."""
        mask = self._draw_mask(x_NCHW, rng)
        sigma_N1 = self.sigma * torch.rand(len(x_NCHW), 1, generator=rng, device=x_NCHW.device).clamp_(min=0.05)
        radius = math.ceil(3 * self.sigma)
        position = torch.arange(-radius, radius + 1, device=x_NCHW.device)
        weight_NT = torch.exp(-0.5 * (position / sigma_N1) ** 2)
        weight_NT = weight_NT / weight_NT.sum(1, keepdim=True)
        blurred = x_NCHW
        for axis in (2, 3):
            size = blurred.shape[axis]
            padding = [0, 0, radius, radius] if axis == 2 else [radius, radius, 0, 0]
            padded = functional.pad(blurred, padding, mode="replicate")
            parts = (weight_NT[:, t, None, None, None] * padded.narrow(axis, t, size) for t in range(2 * radius + 1))
            blurred = functools.reduce(torch.add, parts)
        return torch.where(mask, blurred.clamp_(0, 255), x_NCHW)


@augmentation
@dataclass(frozen=True)
class Jpeg(_AugmentationBase):
    """Add the artifacts of JPEG compression to each image with probability `p`.

    Source: ITU-T T.81, annexes A.3.3 and A.3.4, with table K.1 scaled by quality as in libjpeg; the lossless part of
    the format (entropy coding) is left out. Height and width must be multiples of 8, as those of faces are.

    Attributes:
        p: Probability per image.
        low: Lowest quality, 1 to 100; the quality of each image is drawn uniformly.
        high: Highest quality.
    """

    low: int = 30
    high: int = 95

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.low <= self.high <= 100:
            raise MienError(f"Jpeg: low and high must satisfy 1 <= low <= high <= 100, got {self.low} and {self.high}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return float32 [N,1,H,W] with compression artifacts in some images."""
        n, c, height, width = x_NCHW.shape
        mask = self._draw_mask(x_NCHW, rng)
        quality_N = torch.randint(self.low, self.high + 1, (n,), generator=rng, device=x_NCHW.device).float()
        percent_N11 = torch.where(quality_N < 50, (5000 / quality_N).floor(), 200 - 2 * quality_N)[:, None, None]
        table_N88 = ((_LUMINANCE.to(x_NCHW.device) * percent_N11 + 50) / 100).floor().clamp_(1, 255)
        step = table_N88[:, None, None, None]
        cosine_88 = _COSINES.to(x_NCHW.device)
        block = (x_NCHW - 128).reshape(n, c, height // 8, 8, width // 8, 8).transpose(3, 4)
        quantized = (cosine_88 @ block @ cosine_88.T / step).round_() * step
        decoded = (cosine_88.T @ quantized @ cosine_88).transpose(3, 4).reshape(x_NCHW.shape)
        return torch.where(mask, (decoded + 128).round_().clamp_(0, 255), x_NCHW)


# Matrix of the orthonormal discrete cosine transform of eight samples (ITU-T T.81, A.3.3).
_COSINES = torch.tensor(
    [[math.cos((2 * x + 1) * u * math.pi / 16) * (0.5 if u else 8**-0.5) for x in range(8)] for u in range(8)]
)
_LUMINANCE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


@augmentation
@dataclass(frozen=True)
class BlankedByNoise(_AugmentationBase):
    """Set each image to the constant 1 (of 255) with probability `p`, as the notebook of the student report did.

    The notebook meant to add noise, but it passed int64 pixels to an Albumentations version that clips types it does
    not know to 1.0.
    """

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return float32 [N,1,H,W] with some images blank."""
        return torch.where(self._draw_mask(x_NCHW, rng), torch.ones_like(x_NCHW), x_NCHW)
