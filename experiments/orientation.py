#!/usr/bin/env python3
"""Train the model that says how a face crop is rotated. Writes assets/orientation.onnx and results/orientation.json.

Run:   python experiments/orientation.py fer2013.csv     (four minutes on one core)

The model sees a grey crop of 48x48 pixels and returns the probabilities that it must be rotated clockwise by 0, 90, 180
or 270 degrees to be upright. It is trained on FER2013's training faces, each rotated in one of the four ways, and
further by up to 30 degrees, shifted, scaled, mirrored, blurred, darkened and shown with noise, as a detector's box on a
rotated face is not accurate. It is measured on PublicTest with the same changes. H rows, W columns, N faces.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from mien.data import load

HERE = Path(__file__).parent
GRAPH = HERE.parent / "src" / "mien" / "assets" / "orientation.onnx"
EPOCHS, BATCH, RATE, SEED = 16, 256, 3e-3, 0
MAX_ROLL, MAX_SHIFT, SCALES = 30.0, 0.2, (0.7, 1.35)  # degrees; halves of the crop; side of the crop in faces


def build() -> nn.Sequential:
    """Return the model: three convolutions on the crop at half size, then a linear layer."""
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 36, 4),
    )  # fmt: skip


def rotated(faces_NHW: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return faces changed at random, float32 [N,1,H,W] from -1 to 1, and the class that makes each upright, [N]."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=rng) * (high - low) + low

    n = len(faces_NHW)
    target_N = torch.randint(4, (n,), generator=rng)
    angle_N = -target_N * (math.pi / 2) + torch.deg2rad(uniform(-MAX_ROLL, MAX_ROLL))
    scale_N, mirror_N = uniform(*SCALES), torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cos_N, sin_N = scale_N * torch.cos(angle_N), scale_N * torch.sin(angle_N)
    rows = (
        torch.stack([mirror_N * cos_N, mirror_N * sin_N, uniform(-MAX_SHIFT, MAX_SHIFT)], 1),
        torch.stack([-sin_N, cos_N, uniform(-MAX_SHIFT, MAX_SHIFT)], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), [n, 1, *faces_NHW.shape[1:]], align_corners=False)
    x = F.grid_sample(faces_NHW[:, None].float() / 127.5 - 1, grid, padding_mode="border", align_corners=False)
    small = F.interpolate(F.avg_pool2d(x, 3), size=x.shape[2:], mode="bilinear")
    x = torch.where((uniform(0, 1) < 0.3)[:, None, None, None], small, x)
    gain_N, shift_N = uniform(0.4, 1.2), uniform(-0.4, 0.4)
    x = gain_N[:, None, None, None] * x + shift_N[:, None, None, None]
    noise = torch.randn(x.shape, generator=rng) * uniform(0, 0.08)[:, None, None, None]
    return (x + noise).clamp(-1, 1), target_N


def train(faces_NHW: Tensor) -> nn.Sequential:
    """Return the model, trained on upright faces, uint8 [N,H,W]."""
    torch.manual_seed(SEED)
    rng, model = torch.Generator().manual_seed(SEED), build()
    steps = EPOCHS * (len(faces_NHW) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(faces_NHW), generator=rng)[: steps // EPOCHS * BATCH].split(BATCH):
            x, target_N = rotated(faces_NHW[batch], rng)
            loss = F.cross_entropy(model(x), target_N, label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}: loss {total * EPOCHS / steps:.4f}", flush=True)
    return model.eval()


def export(model: nn.Sequential) -> bytes:
    """Return the graph: faces uint8 [N,48,48] to probabilities float32 [N,4]."""
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float", "axis"], ["plane"]),
        helper.make_node("Mul", ["plane", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "one"], ["x"]),
    ]
    constants = {"axis": np.array([1], np.int64), "scale": np.float32(1 / 127.5), "one": np.float32(1)}
    last = "x"
    for number, layer in enumerate(model):
        name = f"layer{number}"
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.bias is not None
            constants |= {f"{name}.{key}": value.numpy() for key, value in layer.state_dict().items()}
            inputs = [last, f"{name}.weight", f"{name}.bias"]
            attributes = {"pads": [1, 1, 1, 1]} if isinstance(layer, nn.Conv2d) else {"transB": 1}
            nodes.append(helper.make_node("Conv" if attributes.get("pads") else "Gemm", inputs, [name], **attributes))
        elif isinstance(layer, nn.AvgPool2d | nn.MaxPool2d):
            kind = "AveragePool" if isinstance(layer, nn.AvgPool2d) else "MaxPool"
            nodes.append(helper.make_node(kind, [last], [name], kernel_shape=[2, 2], strides=[2, 2]))
        else:
            nodes.append(helper.make_node("Relu" if isinstance(layer, nn.ReLU) else "Flatten", [last], [name]))
        last = name
    nodes.append(helper.make_node("Softmax", [last], ["rotations"], axis=1))
    graph = helper.make_graph(
        nodes, "orientation",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["faces", 48, 48])],
        [helper.make_tensor_value_info("rotations", TensorProto.FLOAT, ["faces", 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="mien")
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fer2013", type=Path)
    dataset = load(parser.parse_args().fer2013)
    model = train(torch.from_numpy(dataset["train"].pixels_NHW))
    content = export(model)
    GRAPH.write_bytes(content)
    with torch.no_grad():
        x, target_N = rotated(torch.from_numpy(dataset["val"].pixels_NHW), torch.Generator().manual_seed(SEED + 1))
        probs_N4 = model(x).softmax(1)
    sure_N, right_N = probs_N4.max(1).values, probs_N4.argmax(1) == target_N
    record = {
        "question": "how often the orientation model says by how much a face is rotated",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "epochs": EPOCHS,
        "faces": {"train": len(dataset["train"].pixels_NHW), "val": len(target_N)},
        "changes": {"roll_degrees": MAX_ROLL, "shift": MAX_SHIFT, "scales": SCALES},
        "val_accuracy": round(float(right_N.float().mean()), 4),
        "upright_taken_for_rotated": round(float((~right_N)[target_N == 0].float().mean()), 4),
        "by_probability": {
            str(p): {
                "share": round(float((sure_N >= p).float().mean()), 4),
                "accuracy": round(float(right_N[sure_N >= p].float().mean()), 4),
            }
            for p in (0.5, 0.7, 0.8, 0.9, 0.95)
        },
    }
    (HERE / "results" / "orientation.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
