"""Compare architectures for the fast model. Writes results/nano_shapes.json and prints its figures.

Run:   python experiments/nano_shapes.py fer2013.csv        (about ten minutes on one core)

Three models that answer about equally fast, trained alike for eight epochs, one seed: the one that became `mien_nano`,
one that spends more on its stem and has a residual block less, and one of separable convolutions (MobileNet's; Howard
et al. 2017, arXiv 1704.04861). The milliseconds are onnxruntime's on one thread, 256 faces at once, median of 15
forwards.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.data import load
from mien.data.audit import without_duplicates
from mien.data.dataset import VAL
from mien.train import Recipe, predict, train
from mien.train.augment import Affine, Cutout, Flip
from mien.train.export.onnx_graph import PixelModel, build_graph, serialize_graph
from mien.train.models import MODELS, build_model, model
from mien.train.models.base import ExpressionModel
from mien.train.models.mien import MienNet

HERE = Path(__file__).parent
RECIPE = Recipe(
    name="nano_shapes",
    augment=(Flip(), Affine(degrees=10.0), Cutout(holes=1, size=14)),
    batch=128,
    epochs=8,
    lr=0.1,
    weight_decay=0.0005,
    schedule="triangular",
    warmup=1.0,
)


class Separable(nn.Module):
    """A 3x3 convolution of each channel alone, then a 1x1 across them, with a short cut where the shape stays."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.each = nn.Sequential(
            nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False), nn.BatchNorm2d(inside)
        )
        self.across = nn.Sequential(nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside))
        self.stays = inside == outside and stride == 1

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = self.across(functional.relu(self.each(x_NCHW)))
        return functional.relu(x_NCHW + y_NCHW if self.stays else y_NCHW)


@model
def separable(num_classes: int) -> ExpressionModel:
    """Channels 32 at 24x24, 64 at 12x12, 128 at 6x6."""
    network = MienNet(num_classes, stem=((32, 2),), blocks=(), dropout=0.0)
    plan, inside = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (128, 1)), 32
    for outside, stride in plan:
        network.features.append(Separable(inside, outside, stride))
        inside = outside
    network.head = nn.Linear(inside, num_classes)
    return network


@model
def wide_stem(num_classes: int) -> ExpressionModel:
    """Two convolutions of 16 and 48 channels, then blocks of 64 and 128."""
    return MienNet(num_classes, stem=((16, 2), (48, 2)), blocks=((64, 2), (128, 2)), dropout=0.0)


SHAPES = ("mien_nano", "wide_stem", "separable")


def milliseconds_per_face() -> dict[str, list[float]]:
    """Of each shape, whose forwards take turns."""
    faces = np.random.default_rng(0).integers(0, 256, (256, 48, 48), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {}
    for name in SHAPES:
        graph = serialize_graph(build_graph(PixelModel(build_model(name, 7), 0.5, 0.5), [str(k) for k in range(7)]))
        sessions[name] = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    spent: dict[str, list[float]] = {name: [] for name in SHAPES}
    for _round in range(16):
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(["probabilities"], {"faces": faces})
            spent[name].append(1000 * (time.perf_counter() - began) / len(faces))
    return {name: values[1:] for name, values in spent.items()}  # the first warms up


def main(csv: str) -> None:
    data = load(csv)
    rows: list[dict[str, Any]] = []
    spent = milliseconds_per_face()
    for name in SHAPES:
        with tempfile.TemporaryDirectory() as place:
            history = train(replace(RECIPE, model=name), data, Path(place) / name, device="cpu").history
            predicted_N = predict(Path(place) / name, data, VAL, device="cpu").argmax(1)
        right_N = predicted_N == data[VAL].labels_N
        rows.append(
            {
                "model": name,
                "shape": " ".join((MODELS[name].__doc__ or "").split()),
                "parameters": sum(p.numel() for p in build_model(name, 7).parameters()),
                "milliseconds_per_face": round(statistics.median(spent[name]), 4),
                "training_images_per_second": round(statistics.median(m["images_per_second"] for m in history)),
                "val_accuracy": [m["val_accuracy"] for m in history],
                "val_accuracy_deduplicated": float(right_N[without_duplicates(data, VAL)].mean()),
            }
        )
        print(rows[-1], flush=True)
    record = {
        "question": "which of three equally fast models learns best in eight epochs",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "threads": torch.get_num_threads(),
        "recipe": RECIPE.to_dict(),
        "shapes": rows,
    }
    (HERE / "results" / "nano_shapes.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
