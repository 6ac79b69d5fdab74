"""Adapter for Albumentations pipelines.

Albumentations is optional and not among mien's extras: 2.0.8 is its last release under the MIT licence.
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
    """Run the pipeline in `file`, a JSON that `albumentations.save` wrote, on each image as uint8 [H,W,1].

    Raises:
        MienError: Albumentations is not installed, or `file` holds no pipeline that it can read.
    """

    file: str

    def __post_init__(self) -> None:
        pipeline, text = _load(self.file)
        object.__setattr__(self, "_pipeline", pipeline)
        object.__setattr__(self, "_text", text)

    def to_dict(self) -> dict[str, Any]:
        text: str = self._text  # type: ignore[attr-defined]
        return {"name": "albumentations", "pipeline": json.loads(text)}

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        pipeline: Any = self._pipeline  # type: ignore[attr-defined]
        seed = int(torch.randint(0, 2**31, (1,), generator=rng, device=x_NCHW.device))
        pipeline.set_random_seed(seed)
        pixels_NHWC = x_NCHW.permute(0, 2, 3, 1).round().clamp(0, 255).to("cpu", torch.uint8).numpy()
        done = [pipeline(image=image)["image"] for image in pixels_NHWC]
        if any(image.size != pixels_NHWC[0].size for image in done):
            raise MienError(f"{self.file} changes the images' size or channels; a pipeline must keep [H,W,1]")
        return torch.from_numpy(np.stack(done).reshape(pixels_NHWC.shape)).to(x_NCHW).permute(0, 3, 1, 2).contiguous()


def _load(file: str) -> tuple[Any, str]:
    """The pipeline, and the text that it was read from."""
    # Its import would ask the network for a newer version, which nobody here asked for by name.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        import albumentations
    except ImportError:
        raise MienError("an Albumentations pipeline needs the package: pip install 'albumentations==2.0.8'") from None
    if not Path(file).is_file():
        raise MienError(f"no Albumentations pipeline at {file}; write one with albumentations.save(pipeline, '{file}')")
    try:
        pipeline = albumentations.load(file)
    except Exception as error:  # whatever a foreign parser raises on a foreign file
        raise MienError(f"{file} is no Albumentations pipeline: {error}") from None
    if not isinstance(pipeline, albumentations.Compose):
        pipeline = albumentations.Compose([pipeline])
    return pipeline, Path(file).read_text(encoding="utf-8")
