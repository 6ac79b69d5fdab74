"""Deep-Emotion: a small model with a spatial transformer.

Source: Minaee & Abdolrashidi 2019, arXiv 1902.01019, section 3 and figure 2. The paper gives the order of
the layers but not all sizes; those here are from public implementations of it and agree with its small number of
parameters. The spatial transformer is that of Jaderberg et al. 2015, arXiv 1506.02025.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.train.models.base import ExpressionModel, model


class DeepEmotion(ExpressionModel):
    """Four 3x3 convolutions with ten channels on the transformed face, dropout, and a layer of 50 units.

    The names of the layers are the keys of checkpoints: `look` and `aim` predict the affine transformation.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, 8, 7), nn.MaxPool2d(2), nn.ReLU(inplace=True),  # 21x21
            nn.Conv2d(8, 10, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True),  # 8x8
        )  # fmt: skip
        last = nn.Linear(32, 6)
        # The initial transformation is the identity (Jaderberg et al., section 4).
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
        self.aim = nn.Sequential(nn.Linear(10 * 8 * 8, 32), nn.ReLU(inplace=True), last)
        self.features = nn.Sequential(
            nn.Conv2d(1, 10, 3), nn.ReLU(inplace=True),
            nn.Conv2d(10, 10, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),  # 22x22
            nn.Conv2d(10, 10, 3), nn.ReLU(inplace=True),
            nn.Conv2d(10, 10, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),  # 9x9
        )  # fmt: skip
        self.drop = nn.Dropout(0.5)
        self.wide = nn.Sequential(nn.Linear(10 * 9 * 9, 50), nn.ReLU(inplace=True))
        self.head = nn.Linear(50, num_classes)

    def spatial_transform(self, x_NCHW: Tensor) -> Tensor:
        """Apply to each face [N,1,48,48] the affine transformation that the model predicts for it."""
        theta_N6 = self.aim(self.look(x_NCHW).flatten(1)).float()
        grid_NHW2 = functional.affine_grid(theta_N6.view(-1, 2, 3), list(x_NCHW.shape), align_corners=False)
        return functional.grid_sample(x_NCHW.float(), grid_NHW2, align_corners=False)

    def maps(self, x_NCHW: Tensor) -> Tensor:
        """Compute the maps [N,10,9,9] of the transformed faces [N,1,48,48]."""
        maps_NCHW: Tensor = self.features(self.spatial_transform(x_NCHW))
        return maps_NCHW

    def logits(self, maps_NCHW: Tensor) -> Tensor:
        """Compute the logits [N,K] from maps [N,10,9,9]."""
        logits_NK: Tensor = self.head(self.wide(self.drop(maps_NCHW).flatten(1)))
        return logits_NK


@model
def deep_emotion(num_classes: int) -> ExpressionModel:
    """Build Deep-Emotion: 66,857 parameters with seven classes, 0.008 GFLOP."""
    return DeepEmotion(num_classes)
