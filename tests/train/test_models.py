"""The contract of every architecture, driven by the registry; and the seed network, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mien.errors import MienError
from mien.train.models import MODELS, build_model, model

NAMES = sorted(MODELS)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "seed_cnn"])
@pytest.mark.parametrize("classes", [3, 7])
def test_log_probabilities_for_any_number_of_classes(name: str, classes: int) -> None:
    out = build_model(name, classes)(torch.rand(2, 1, 48, 48))
    assert out.shape == (2, classes)
    assert torch.allclose(out.exp().sum(1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    net = build_model(name, 7)
    torch.nn.functional.nll_loss(net(torch.rand(2, 1, 48, 48)), torch.tensor([1, 2])).backward()
    idle = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle, f"{name}: no gradient reaches {idle}"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("seed_cnn", 20_582_432), ("seed_cnn_quarter", 1_288_328), ("seed_cnn_eighth", 322_724)],
)
def test_number_of_parameters(name: str, parameters: int) -> None:
    assert sum(p.numel() for p in build_model(name, 7).parameters()) == parameters


def test_seed_cnn_is_the_reports_net_written_out() -> None:
    """The same weights in the plain list of layers that the report gives compute the same function."""
    torch.manual_seed(0)
    ours = build_model("seed_cnn_eighth", 7).eval()
    c = [4, 8, 16, 32, 64, 128, 64, 32]

    def block(i: int, o: int, k: int, p: int) -> list[nn.Module]:
        return [nn.Conv2d(i, o, k, padding=p, bias=False), nn.ReLU(), nn.BatchNorm2d(o)]

    plain = nn.Sequential(
        *block(3, c[0], 3, 1), *block(c[0], c[1], 3, 1), nn.MaxPool2d(2),
        *block(c[1], c[2], 3, 1), *block(c[2], c[3], 3, 1), *block(c[3], c[4], 1, 1), nn.MaxPool2d(2),
        *block(c[4], c[5], 3, 1), *block(c[5], c[5], 3, 1), nn.MaxPool2d(2),
        *block(c[5], c[6], 3, 1), *block(c[6], c[7], 3, 0), nn.AvgPool2d(4),
        nn.Conv2d(c[7], 7, 1, bias=False), nn.Flatten(), nn.LogSoftmax(1),
    ).eval()  # fmt: skip
    with torch.no_grad():
        for mine, theirs in zip(ours.state_dict().values(), plain.state_dict().values(), strict=True):
            assert mine.shape == theirs.shape
            # Weights at the size that keeps signals alive through nine layers; running statistics off their start.
            filled = (
                torch.randn(mine.shape) / mine[0].numel() ** 0.5 if mine.ndim == 4 else 0.5 + torch.rand(mine.shape)
            )
            mine.copy_(filled), theirs.copy_(filled)
        faces = torch.rand(3, 1, 48, 48)
        assert torch.allclose(ours(faces), plain(faces.expand(-1, 3, -1, -1)), atol=1e-5)
        assert ours(faces).std(0).max() > 1e-3  # it says something different of different faces


def test_unknown_and_doubled_names() -> None:
    with pytest.raises(MienError, match=r"unknown model 'resnet'; there is: .*seed_cnn"):
        build_model("resnet", 7)

    def seed_cnn(num_classes: int) -> nn.Module:
        return nn.Identity()

    with pytest.raises(MienError, match="two architectures"):
        model(seed_cnn)
