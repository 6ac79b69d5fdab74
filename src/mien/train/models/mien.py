"""`mien_base` and `mien_nano`: residual networks of plain 3x3 convolutions.

onnxruntime merges batch normalization into the convolution, which then runs near the peak of the processor. Separable
convolutions do not: of two models with the same speed, the one with plain convolutions was as accurate and trained
three times faster (experiments/LOG.md). The residual blocks are those of He et al. 2015, arXiv 1512.03385, figure 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.train.models.base import ExpressionModel, model


class Block(nn.Module):
    """A residual block: two 3x3 convolutions, and a shortcut that is a 1x1 convolution where the shape changes.

    Args:
        inside: Channels of the input.
        outside: Channels of the output.
        stride: Stride of the first convolution.
    """

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inside, outside, 3, stride)
        self.second = _convolution(outside, outside, 3, 1)
        changes = inside != outside or stride != 1
        self.short = _convolution(inside, outside, 1, stride) if changes else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map [N,inside,H,W] to [N,outside,H/stride,W/stride]."""
        return functional.relu(self.short(x_NCHW) + self.second(functional.relu(self.first(x_NCHW))))


class MienNet(ExpressionModel):
    """A stem of plain convolutions, residual blocks, the mean of each map, dropout and a linear head.

    Args:
        num_classes: Number of classes, K.
        stem: Channels and stride of each convolution of the stem.
        blocks: Channels and stride of each residual block.
        dropout: Share of the pooled channels that are dropped in training.
    """

    pooled = True

    def __init__(
        self, num_classes: int, stem: tuple[tuple[int, int], ...], blocks: tuple[tuple[int, int], ...], dropout: float
    ) -> None:
        super().__init__()
        inside, layers = 1, []
        for outside, stride in stem:
            layers += [_convolution(inside, outside, 3, stride), nn.ReLU(inplace=True)]
            inside = outside
        for outside, stride in blocks:
            layers.append(Block(inside, outside, stride))
            inside = outside
        self.features = nn.Sequential(*layers)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(inside, num_classes)

    def maps(self, x_NCHW: Tensor) -> Tensor:
        """Compute the maps [N,C,h,w] of faces [N,1,48,48]."""
        maps_NCHW: Tensor = self.features(x_NCHW.contiguous(memory_format=torch.channels_last))
        return maps_NCHW

    def logits(self, maps_NCHW: Tensor) -> Tensor:
        """Compute the logits [N,K] from maps [N,C,h,w]."""
        logits_NK: Tensor = self.head(self.drop(maps_NCHW.mean((2, 3))))
        return logits_NK


def _convolution(inside: int, outside: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside))


@model
def mien_base(num_classes: int) -> ExpressionModel:
    """Build the accurate model: 1,873,031 parameters with seven classes, 0.215 GFLOP; last maps [N,224,6,6]."""
    blocks = ((32, 1), (96, 2), (96, 1), (224, 2), (224, 1))
    return MienNet(num_classes, stem=((32, 2),), blocks=blocks, dropout=0.2)


@model
def mien_nano(num_classes: int) -> ExpressionModel:
    """Build the fast model: 303,479 parameters with seven classes, 0.013 GFLOP; last maps [N,128,3,3]."""
    return MienNet(num_classes, stem=((16, 2),), blocks=((32, 2), (64, 2), (128, 2)), dropout=0.0)
