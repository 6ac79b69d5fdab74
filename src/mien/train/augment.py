"""Augmentations: frozen values with a batched `__call__(x, rng)`.

All take and return float pixels [N,1,H,W] on the 0-255 scale, never write into their input, and draw everything they
need from the generator that they are given: the same generator, the same pixels.
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
    """What the loop asks of an augmentation."""

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor: ...

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, for the run's record."""
        ...


A = TypeVar("A", bound=Augmentation)
AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {}


def augmentation(cls: type[A]) -> type[A]:
    """Register a class under its lower-case name; a second class of that name is an error."""
    name = cls.__name__.lower()
    if name in AUGMENTATIONS:
        raise MienError(f"two augmentations are called '{name}'")
    AUGMENTATIONS[name] = cls
    return cls


@dataclass(frozen=True)
class _Value:
    """The probability and the record that all augmentations share."""

    p: float = 0.5

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            wanted = int if type(self).__dataclass_fields__[field].type == "int" else (int, float)
            if not isinstance(value, wanted) or isinstance(value, bool):
                kind = "whole number" if wanted is int else "number"
                raise MienError(f"{type(self).__name__}: {field} is a {kind}, got {value!r}")
        if not 0 <= self.p <= 1:
            raise MienError(f"{type(self).__name__}: p is a probability from 0 to 1, got {self.p}")

    def to_dict(self) -> dict[str, Any]:
        return {"name": type(self).__name__.lower(), **asdict(self)}

    def _hit(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Which images are changed, bool [N,1,1,1]."""
        return torch.rand(len(x_NCHW), 1, 1, 1, generator=rng, device=x_NCHW.device) < self.p


@augmentation
@dataclass(frozen=True)
class Flip(_Value):
    """Mirror each image left-right with probability `p`."""

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        return torch.where(self._hit(x_NCHW, rng), x_NCHW.flip(-1), x_NCHW)


@augmentation
@dataclass(frozen=True)
class Cutout(_Value):
    """Blacken `holes` squares of `size` pixels, anywhere inside, with probability `p` an image.

    Source: DeVries & Taylor 2017, arXiv 1708.04552; the holes lie wholly inside, as in Albumentations' CoarseDropout.
    """

    holes: int = 2
    size: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.holes < 1 or self.size < 1:
            raise MienError(f"Cutout: holes and size are at least 1, got {self.holes} and {self.size}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        n, _, high, wide = x_NCHW.shape
        hit_N11 = self._hit(x_NCHW, rng)[:, 0]
        hole_NHW = self._inside(n, high, rng, x_NCHW)[..., None] & self._inside(n, wide, rng, x_NCHW)[..., None, :]
        return x_NCHW.masked_fill((hole_NHW.any(1) & hit_N11)[:, None], 0.0)

    def _inside(self, n: int, extent: int, rng: Generator, like: Tensor) -> Tensor:
        """For each image and hole, which of `extent` positions along one axis it covers, bool [N,holes,extent]."""
        last = max(extent - self.size, 0)
        start = torch.randint(0, last + 1, (n, self.holes, 1), generator=rng, device=like.device)
        place = torch.arange(extent, device=like.device)
        return (place >= start) & (place < start + self.size)


@augmentation
@dataclass(frozen=True)
class Affine(_Value):
    """Turn, shift, scale and skew each image with probability `p`, all in one bilinear sample.

    Source: the distortions of Barsoum et al. 2016, arXiv 1608.01041, section 3.2; the defaults are those of the
    reference code. What comes in from outside repeats the rim.

    Attributes:
        degrees: turned by up to this much to either side, in the plane.
        shift: moved by up to this share of the side, along each axis.
        scale: made larger or smaller by a factor of up to 1 + `scale`.
        skew: slanted by up to this share of the side, along the rows.
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
                raise MienError(f"Affine: {field} is 0 or more, got {getattr(self, field)}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        n = len(x_NCHW)
        hit = self._hit(x_NCHW, rng)
        draw_5N = 2 * torch.rand(5, n, generator=rng, device=x_NCHW.device) - 1
        angle_N = draw_5N[0] * math.radians(self.degrees)
        # A sample is taken where the face was: so the map is the inverse, and its scale below 1 enlarges.
        size_N = torch.exp(-draw_5N[1] * math.log1p(self.scale))
        slant_N = draw_5N[2] * self.skew
        sin_N, cos_N = size_N * angle_N.sin(), size_N * angle_N.cos()
        theta_N23 = torch.stack(
            [
                torch.stack([cos_N, cos_N * slant_N - sin_N, 2 * self.shift * draw_5N[3]], 1),
                torch.stack([sin_N, sin_N * slant_N + cos_N, 2 * self.shift * draw_5N[4]], 1),
            ],
            1,
        )
        grid_NHW2 = functional.affine_grid(theta_N23, list(x_NCHW.shape), align_corners=False)
        moved_NCHW = functional.grid_sample(x_NCHW, grid_NHW2, padding_mode="border", align_corners=False)
        return torch.where(hit, moved_NCHW, x_NCHW)


@augmentation
@dataclass(frozen=True)
class GaussianNoise(_Value):
    """Add pixel-wise normal noise with probability `p`; its variance is drawn per image from `low` to `high`.

    The variance is on the 0-255 scale; the result is rounded and clipped, as it is for 8-bit images.
    """

    low: float = 10.0
    high: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low <= self.high:
            raise MienError(f"GaussianNoise: needs 0 <= low <= high, got {self.low} and {self.high}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        hit = self._hit(x_NCHW, rng)
        share = torch.rand(len(x_NCHW), 1, 1, 1, generator=rng, device=x_NCHW.device)
        spread = (self.low + (self.high - self.low) * share).sqrt()
        noise = torch.randn(x_NCHW.shape, generator=rng, device=x_NCHW.device)
        return torch.where(hit, (x_NCHW + spread * noise).round_().clamp_(0, 255), x_NCHW)


@augmentation
@dataclass(frozen=True)
class Light(_Value):
    """Change gamma, contrast and brightness of each image with probability `p`, in this order; cut at 0 and 255.

    Attributes:
        gamma: levels, as shares of 255, are raised to a power of up to 1 + `gamma`, or to that power's inverse.
        contrast: distances from the image's mean grow or shrink by a factor of up to 1 + `contrast`.
        brightness: up to this share of 255 is added or taken away.
    """

    gamma: float = 0.3
    contrast: float = 0.4
    brightness: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("gamma", "contrast", "brightness"):
            if not getattr(self, field) >= 0:
                raise MienError(f"Light: {field} is 0 or more, got {getattr(self, field)}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        hit = self._hit(x_NCHW, rng)
        draw = 2 * torch.rand(3, len(x_NCHW), 1, 1, 1, generator=rng, device=x_NCHW.device) - 1
        lit = 255 * (x_NCHW / 255).pow(torch.exp(draw[0] * math.log1p(self.gamma)))
        mean = lit.mean((1, 2, 3), keepdim=True)
        lit = mean + (lit - mean) * torch.exp(draw[1] * math.log1p(self.contrast))
        return torch.where(hit, (lit + 255 * self.brightness * draw[2]).clamp_(0, 255), x_NCHW)


@augmentation
@dataclass(frozen=True)
class Blur(_Value):
    """Blur each image with probability `p` by a Gaussian whose sigma, in pixels, is drawn from 0 to `sigma`.

    Beyond its rim an image goes on as the rim; the Gaussian is cut at three of the largest sigma.
    """

    sigma: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma <= 5:
            raise MienError(f"Blur: sigma is above 0 and at most 5 pixels, got {self.sigma}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        hit = self._hit(x_NCHW, rng)
        sigma_N1 = self.sigma * torch.rand(len(x_NCHW), 1, generator=rng, device=x_NCHW.device).clamp_(min=0.05)
        reach = math.ceil(3 * self.sigma)
        place = torch.arange(-reach, reach + 1, device=x_NCHW.device)
        weight_NT = torch.exp(-0.5 * (place / sigma_N1) ** 2)
        weight_NT = weight_NT / weight_NT.sum(1, keepdim=True)
        blurred = x_NCHW
        for axis in (2, 3):
            size = blurred.shape[axis]
            beyond = [0, 0, reach, reach] if axis == 2 else [reach, reach, 0, 0]
            wide = functional.pad(blurred, beyond, mode="replicate")
            parts = (weight_NT[:, t, None, None, None] * wide.narrow(axis, t, size) for t in range(2 * reach + 1))
            blurred = functools.reduce(torch.add, parts)
        return torch.where(hit, blurred.clamp_(0, 255), x_NCHW)


@augmentation
@dataclass(frozen=True)
class Jpeg(_Value):
    """Store each image as a JPEG with probability `p`, at a quality drawn from `low` to `high`, and read it again.

    Source: ITU-T T.81, annexes A.3.3 and A.3.4, with the table K.1 scaled by quality as libjpeg does; the part of the
    format that loses nothing is left out. Sides are multiples of 8, as those of faces are.
    """

    low: int = 30
    high: int = 95

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.low <= self.high <= 100:
            raise MienError(f"Jpeg: needs 1 <= low <= high <= 100, got {self.low} and {self.high}")

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        n, c, high, wide = x_NCHW.shape
        hit = self._hit(x_NCHW, rng)
        quality_N = torch.randint(self.low, self.high + 1, (n,), generator=rng, device=x_NCHW.device).float()
        percent_N11 = torch.where(quality_N < 50, (5000 / quality_N).floor(), 200 - 2 * quality_N)[:, None, None]
        table_N88 = ((_LUMINANCE.to(x_NCHW.device) * percent_N11 + 50) / 100).floor().clamp_(1, 255)
        step = table_N88[:, None, None, None]
        cosine_88 = _COSINES.to(x_NCHW.device)
        block = (x_NCHW - 128).reshape(n, c, high // 8, 8, wide // 8, 8).transpose(3, 4)
        kept = (cosine_88 @ block @ cosine_88.T / step).round_() * step
        read = (cosine_88.T @ kept @ cosine_88).transpose(3, 4).reshape(x_NCHW.shape)
        return torch.where(hit, (read + 128).round_().clamp_(0, 255), x_NCHW)


# The rows of the cosine transform of eight samples, orthonormal (ITU-T T.81, A.3.3).
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
class BlankedByNoise(_Value):
    """What the report's notebook did in place of noise: a hit image becomes the constant 1 of 255.

    It handed int64 pixels to an Albumentations of its day, whose noise clips types that it does not know to 1.0.
    """

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        return torch.where(self._hit(x_NCHW, rng), torch.ones_like(x_NCHW), x_NCHW)
