"""Adapter for Albumentations pipelines, such as `--augment albumentations:pipe.json`.

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
from numpy.typing import NDArray
from torch import Generator, Tensor

from mien.data.dataset import SIDE
from mien.errors import MienError
from mien.train.augment import augmentation


@augmentation
@dataclass(frozen=True)
class Albumentations:
    """Apply an Albumentations pipeline to each image, as uint8 [H,W,1].

    Attributes:
        file: Path of a JSON file that `albumentations.save` wrote.

    Raises:
        MienError: Albumentations is not installed, `file` does not contain a pipeline, or the pipeline cannot be
            applied to a grey face.
    """

    file: str

    def __post_init__(self) -> None:
        pipeline, text = _load(self.file)
        object.__setattr__(self, "_pipeline", pipeline)
        object.__setattr__(self, "_text", text)
        self._apply(np.full((1, SIDE, SIDE, 1), 128, np.uint8), 0)  # fail before the training and not in it

    def to_dict(self) -> dict[str, Any]:
        """Return the name and the whole pipeline as JSON types."""
        text: str = self._text  # type: ignore[attr-defined]
        return {"name": "albumentations", "pipeline": json.loads(text)}

    def __call__(self, x_NCHW: Tensor, rng: Generator) -> Tensor:
        """Return augmented pixels, float32 [N,1,H,W] on the 0-255 scale."""
        seed = int(torch.randint(0, 2**31, (1,), generator=rng, device=x_NCHW.device))
        pixels_NHWC = x_NCHW.permute(0, 2, 3, 1).round().clamp(0, 255).to("cpu", torch.uint8).numpy()
        augmented_NHWC = self._apply(pixels_NHWC, seed)
        return torch.from_numpy(augmented_NHWC).to(x_NCHW).permute(0, 3, 1, 2).contiguous()

    def _apply(self, pixels_NHWC: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return augmented faces, uint8 [N,H,W,1]."""
        pipeline: Any = self._pipeline  # type: ignore[attr-defined]
        pipeline.set_random_seed(seed)
        try:
            images = [pipeline(image=image)["image"] for image in pixels_NHWC]
        except Exception as error:  # transforms of another package may raise anything
            problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise MienError(
                f"the pipeline in {self.file} cannot be applied to a grey face, uint8 [{SIDE},{SIDE},1]: {problem}; "
                "remove transforms that need colors, boxes or other images"
            ) from None
        if any(np.asarray(image).dtype != np.uint8 for image in images):
            raise MienError(
                f"the pipeline in {self.file} changes the type of the pixels; remove transforms such as Normalize, "
                "ToFloat and ToTensorV2: mien normalizes the pixels itself"
            )
        if any(image.size != pixels_NHWC[0].size for image in images):
            raise MienError(
                f"the pipeline in {self.file} changes the size or the channels of an image; "
                "remove transforms that do not keep the shape [H,W,1]"
            )
        return np.stack(images).reshape(pixels_NHWC.shape)


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
    if not file or Path(file).suffix.lower() in (".yaml", ".yml") or not Path(file).is_file():
        raise MienError(
            f"no such JSON file: '{file}'; write the Albumentations pipeline with "
            f"albumentations.save(pipeline, '{Path(file or 'pipe').stem}.json')"
        )
    try:
        pipeline = albumentations.load(file)
    except json.JSONDecodeError as error:
        raise MienError(f"{file}: is not JSON: {error}") from None
    except Exception as error:  # the parser of another package may raise anything
        missing = f"it has no key {error}" if isinstance(error, KeyError) else str(error)
        raise MienError(f"{file}: is not an Albumentations pipeline: {missing}") from None
    if not isinstance(pipeline, albumentations.Compose):
        pipeline = albumentations.Compose([pipeline])
    return pipeline, Path(file).read_text(encoding="utf-8")
