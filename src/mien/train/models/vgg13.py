"""`vgg13`: the model of the FER+ paper.

Source: Barsoum et al. 2016, arXiv 1608.01041, section 3.1, and its reference code. It has no batch normalization; four
stages of convolutions, each with max pool and dropout, and two fully connected layers before the head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.train.models.base import ExpressionModel, model

SIDE = 64  # size of the faces in the paper
STAGES = ((64, 64), (128, 128), (256, 256, 256), (256, 256, 256))


class VGG13(ExpressionModel):
    """Four stages of 3x3 convolutions and ReLU, each with a max pool of 2 and dropout of 0.25; two layers of 1024."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 1
        for stage in STAGES:
            for outside in stage:
                layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(inplace=True)]
                inside = outside
            layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
        self.features = nn.Sequential(*layers)
        self.wide = nn.Sequential(
            nn.Linear(inside * 4 * 4, 1024), nn.ReLU(inplace=True), nn.Dropout(0.5),
            nn.Linear(1024, 1024), nn.ReLU(inplace=True), nn.Dropout(0.5),
        )  # fmt: skip
        self.head = nn.Linear(1024, num_classes)
        # The reference code uses Glorot initialization. Without batch normalization the signal then vanishes over
        # thirteen layers, so the factor for ReLU is added (He et al. 2015, arXiv 1502.01852).
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if layer is self.head else "relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def maps(self, x_NCHW: Tensor) -> Tensor:
        """Resize faces [N,1,48,48] to 64x64 and compute their maps [N,256,4,4]."""
        x_NCHW = functional.interpolate(x_NCHW, (SIDE, SIDE), mode="bilinear", align_corners=False)
        maps_NCHW: Tensor = self.features(x_NCHW.contiguous(memory_format=torch.channels_last))
        return maps_NCHW

    def logits(self, maps_NCHW: Tensor) -> Tensor:
        """Compute the logits [N,K] from maps [N,256,4,4]."""
        logits_NK: Tensor = self.head(self.wide(maps_NCHW.flatten(1)))
        return logits_NK


@model
def vgg13(num_classes: int) -> ExpressionModel:
    """Build the model of the FER+ paper: 8,757,704 parameters with eight classes, 1.75 GFLOP."""
    return VGG13(num_classes)
