"""Compare architectures for the fast model. Writes results/nano_shapes.json and prints its figures.

Run:   python experiments/nano_shapes.py fer2013.csv        (about ten minutes on one core)

Three architectures of similar speed are trained with the same recipe for eight epochs and one seed: the one that became
`mien_nano`, one with a larger stem and one residual block less, and one with depthwise separable convolutions
(MobileNet; Howard et al. 2017, arXiv 1704.04861). Times are those of onnxruntime with one thread on batches of 256
faces, the median of 15 calls.
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
    """A depthwise 3x3 convolution, then a 1x1 convolution, with a shortcut if the shape is the same."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False),
            nn.BatchNorm2d(in_channels),
        )
        self.pointwise = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        )
        self.has_shortcut = in_channels == out_channels and stride == 1

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = self.pointwise(functional.relu(self.depthwise(x_NCHW)))
        return functional.relu(x_NCHW + y_NCHW if self.has_shortcut else y_NCHW)


@model
def separable(num_classes: int) -> ExpressionModel:
    """Channels 32 at 24x24, 64 at 12x12, 128 at 6x6."""
    network = MienNet(num_classes, stem=((32, 2),), blocks=(), dropout=0.0)
    plan, in_channels = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (128, 1)), 32
    for out_channels, stride in plan:
        network.features.append(Separable(in_channels, out_channels, stride))
        in_channels = out_channels
    network.head = nn.Linear(in_channels, num_classes)
    return network


@model
def wide_stem(num_classes: int) -> ExpressionModel:
    """Two convolutions of 16 and 48 channels, then blocks of 64 and 128."""
    return MienNet(num_classes, stem=((16, 2), (48, 2)), blocks=((64, 2), (128, 2)), dropout=0.0)


SHAPES = ("mien_nano", "wide_stem", "separable")


def milliseconds_per_face() -> dict[str, list[float]]:
    """Return the times of each architecture; their calls alternate."""
    faces = np.random.default_rng(0).integers(0, 256, (256, 48, 48), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {}
    for name in SHAPES:
        graph = serialize_graph(build_graph(PixelModel(build_model(name, 7), 0.5, 0.5), [str(k) for k in range(7)]))
        sessions[name] = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    milliseconds: dict[str, list[float]] = {name: [] for name in SHAPES}
    for _round in range(16):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(["probabilities"], {"faces": faces})
            milliseconds[name].append(1000 * (time.perf_counter() - start) / len(faces))
    return {name: values[1:] for name, values in milliseconds.items()}  # without the warm-up


def main(csv: str) -> None:
    """Train all architectures and write the record."""
    data = load(csv)
    rows: list[dict[str, Any]] = []
    milliseconds = milliseconds_per_face()
    for name in SHAPES:
        with tempfile.TemporaryDirectory() as temporary:
            history = train(replace(RECIPE, model=name), data, Path(temporary) / name, device="cpu").history
            predicted_N = predict(Path(temporary) / name, data, VAL, device="cpu").argmax(1)
        correct_N = predicted_N == data[VAL].labels_N
        rows.append(
            {
                "model": name,
                "shape": " ".join((MODELS[name].__doc__ or "").split()),
                "parameters": sum(p.numel() for p in build_model(name, 7).parameters()),
                "milliseconds_per_face": round(statistics.median(milliseconds[name]), 4),
                "training_images_per_second": round(statistics.median(m["images_per_second"] for m in history)),
                "val_accuracy": [m["val_accuracy"] for m in history],
                "val_accuracy_deduplicated": float(correct_N[without_duplicates(data, VAL)].mean()),
            }
        )
        print(rows[-1], flush=True)
    record = {
        "question": "which of three architectures of similar speed is most accurate after eight epochs",
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
