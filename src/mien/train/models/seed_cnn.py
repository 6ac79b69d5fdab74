"""`seed_cnn`: the deep CNN of the student report, and two narrower versions.

Source: the report's notebook. The full width has 20,582,432 parameters and needs 5.8 GFLOP per 48x48 face
(a multiply-add counted as two).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.train.models.base import ExpressionModel, model


class SeedCNN(ExpressionModel):
    """Blocks of convolution, ReLU and batch normalization without bias, three max pools, and a 1x1 convolution as head.

    Args:
        num_classes: Number of classes, K.
        width: Factor of the number of channels.
    """

    pooled = True

    def __init__(self, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        c = [max(1, round(n * width)) for n in (32, 64, 128, 256, 512, 1024, 512, 256)]
        self.features = nn.Sequential(
            *_block(3, c[0]),
            *_block(c[0], c[1]),
            nn.MaxPool2d(2),  # 24x24
            *_block(c[1], c[2]),
            *_block(c[2], c[3]),
            *_block(c[3], c[4], kernel=1, pad=1),  # a 1x1 kernel with padding: 26x26, with zeros at the border
            nn.MaxPool2d(2),  # 13x13
            *_block(c[4], c[5]),
            *_block(c[5], c[5]),
            nn.MaxPool2d(2),  # 6x6
            *_block(c[5], c[6]),
            *_block(c[6], c[7], pad=0),  # 4x4
        )
        self.pool = nn.AvgPool2d(4)
        self.head = nn.Conv2d(c[7], num_classes, 1, bias=False)

    def maps(self, x_NCHW: Tensor) -> Tensor:
        """Compute the maps [N,C,4,4] of faces [N,1,48,48]; the gray channel is repeated as in the report."""
        rgb = x_NCHW.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        maps_NCHW: Tensor = self.features(rgb)
        return maps_NCHW

    def logits(self, maps_NCHW: Tensor) -> Tensor:
        """Compute the logits [N,K] from maps [N,C,4,4]."""
        logits_NK: Tensor = self.head(self.pool(maps_NCHW)).flatten(1)
        return logits_NK


def _block(inside: int, outside: int, kernel: int = 3, pad: int = 1) -> list[nn.Module]:
    # Without bias, a padded 1x1 kernel gives zeros at the border; padding its output is cheaper.
    after: list[nn.Module] = [nn.ZeroPad2d(pad)] if kernel == 1 else []
    conv = nn.Conv2d(inside, outside, kernel, padding=0 if kernel == 1 else pad, bias=False)
    return [conv, *after, nn.ReLU(inplace=True), nn.BatchNorm2d(outside)]


@model
def seed_cnn(num_classes: int) -> ExpressionModel:
    """Build the report's model with full width: 20,582,432 parameters, 5.8 GFLOP."""
    return SeedCNN(num_classes)


@model
def seed_cnn_quarter(num_classes: int) -> ExpressionModel:
    """Build it with a quarter of the channels: 1,288,328 parameters, 0.36 GFLOP; minutes per epoch on two CPU cores."""
    return SeedCNN(num_classes, width=1 / 4)


@model
def seed_cnn_eighth(num_classes: int) -> ExpressionModel:
    """Build it with an eighth of the channels: 322,724 parameters, 0.09 GFLOP; for the demo and for tests."""
    return SeedCNN(num_classes, width=1 / 8)
