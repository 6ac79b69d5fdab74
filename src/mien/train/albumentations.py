"""Adapter for Albumentations pipelines.

Albumentations is optional and not one of mien's extras: 2.0.8 is its last release under the MIT licence.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from mien.errors import MienError
from mien.train.augment import augmentation


@augmentation
@dataclass(frozen=True)
class Albumentations:
    """Apply an Albumentations pipeline to each image, as uint8 [H,W,1].

    Attributes:
        file: Path of a JSON file that `albumentations.save` wrote.

    Raises:
        MienError: Albumentations is not installed, or `file` does not contain a pipeline.
    """

    file: str

    def __post_init__(self) -> None:
        pipeline, text = _load(self.file)
        object.__setattr__(self, "_pipeline", pipeline)
        object.__setattr__(self, "_text", text)

    def to_dict(self) -> dict[str, Any]:
        """Return the name and the whole pipeline as JSON types."""
        text: str = self._text  # type: ignore[attr-defined]
        return {"name": "albumentations", "pipeline": json.loads(text)}

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return augmented pixels, float32 [N,1,H,W] on the 0-255 scale."""
        pipeline: Any = self._pipeline  # type: ignore[attr-defined]
        seed = int(torch.randint(0, 2**31, (1,), generator=rng, device=x_NCHW.device))
        pipeline.set_random_seed(seed)
        pixels_NHWC = x_NCHW.permute(0, 2, 3, 1).round().clamp(0, 255).to("cpu", torch.uint8).numpy()
        images = [pipeline(image=image)["image"] for image in pixels_NHWC]
        if any(image.size != pixels_NHWC[0].size for image in images):
            raise MienError(
                f"the pipeline in {self.file} changes the size or the channels of an image; "
                "remove transforms that do not keep the shape [H,W,1]"
            )
        return torch.from_numpy(np.stack(images).reshape(pixels_NHWC.shape)).to(x_NCHW).permute(0, 3, 1, 2).contiguous()


def _load(file: str) -> tuple[Any, str]:
    """Return the pipeline and the text of its file."""
    # Without this, importing Albumentations asks the network for a newer version.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        import albumentations
    except ImportError:
        raise MienError(
            "Albumentations is not installed, and the recipe has an Albumentations pipeline; "
            "install it with: pip install 'albumentations==2.0.8'"
        ) from None
    if not Path(file).is_file():
        raise MienError(
            f"no such file: {file}; write the Albumentations pipeline with albumentations.save(pipeline, '{file}')"
        )
    try:
        pipeline = albumentations.load(file)
    except Exception as error:  # the parser of another package may raise anything
        raise MienError(f"{file} is not an Albumentations pipeline: {error}") from None
    if not isinstance(pipeline, albumentations.Compose):
        pipeline = albumentations.Compose([pipeline])
    return pipeline, Path(file).read_text(encoding="utf-8")
