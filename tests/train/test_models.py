"""The contract of every architecture, driven by the registry; and some of them, layer by layer."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mien.errors import MienError
from mien.train.models import MODELS, build_model, model
from mien.train.models.base import ExpressionModel
from mien.train.models.deep_emotion import DeepEmotion

NAMES = sorted(MODELS)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "seed_cnn"])
@pytest.mark.parametrize("classes", [3, 7])
def test_log_probabilities_for_any_number_of_classes(name: str, classes: int) -> None:
    out = build_model(name, classes)(torch.rand(2, 1, 48, 48))
    assert out.shape == (2, classes)
    assert torch.allclose(out.exp().sum(1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    """In the second step, that is: a layer that begins at zero lets no gradient through in the first."""
    torch.manual_seed(0)
    model = build_model(name, 7)
    sgd = torch.optim.SGD(
        model.parameters(), lr=0.0001
    )  # a larger step may leave a model so sure that no gradient is left
    for _step in range(2):
        sgd.zero_grad()
        torch.nn.functional.nll_loss(model(torch.rand(2, 1, 48, 48)), torch.tensor([1, 2])).backward()
        sgd.step()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle, f"{name}: no gradient reaches {idle}"


# name, classes, parameters, floating-point operations of one face (a multiply-add counted as two), as docstrings say.
COUNTS = {
    "seed_cnn": (7, 20_582_432, 5_826_727_424),
    "seed_cnn_quarter": (7, 1_288_328, 364_917_632),
    "seed_cnn_eighth": (7, 322_724, 91_478_464),
    "deep_emotion": (7, 66_857, 7_830_900),
    "vgg13": (8, 8_757_704, 1_751_662_592),
    "mien_base": (7, 1_873_031, 215_104_576),
    "mien_nano": (7, 303_479, 12_553_984),
}


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_of_the_docstring(name: str) -> None:
    """Parameters to the last one, operations to the digits that are given; and the caps of our own models."""
    classes, parameters, operations = COUNTS[name]
    model = build_model(name, classes).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 1, 48, 48))
    assert (sum(p.numel() for p in model.parameters()), counter.get_total_flops()) == (parameters, operations)
    words = " ".join((MODELS[name].__doc__ or "").split())
    told = re.search(r"([\d,]+) parameters.*?, ([\d.]+) GFLOP", words)
    assert told, f"{name}: its docstring gives no parameters and FLOPs"
    assert int(told[1].replace(",", "")) == parameters
    digits = len(told[2].partition(".")[2])
    assert float(told[2]) == round(operations / 1e9, digits)


@pytest.mark.parametrize(("name", "parameters", "gflop"), [("mien_base", 6e6, 0.45), ("mien_nano", 0.5e6, 0.05)])
def test_our_own_models_stay_below_their_caps(name: str, parameters: float, gflop: float) -> None:
    for classes in (7, 8):
        model = build_model(name, classes).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.rand(1, 1, 48, 48))
        assert sum(p.numel() for p in model.parameters()) <= parameters
        assert counter.get_total_flops() <= gflop * 1e9


@pytest.mark.parametrize("name", [n for n in NAMES if n != "seed_cnn"])
def test_maps_lie_between_the_images_and_the_logits(name: str) -> None:
    """Where a model says that it is `pooled`, its head on the mean of each map gives the logits."""
    torch.manual_seed(0)
    model = build_model(name, 5).eval()
    faces = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        maps_NCHW = model.maps(faces)
        assert maps_NCHW.ndim == 4
        assert torch.allclose(model(faces), model.logits(maps_NCHW).log_softmax(1), atol=1e-6)
        if model.pooled:
            assert isinstance(model.head, nn.Linear | nn.Conv2d)
            weight_KC = model.head.weight.flatten(1)
            by_hand = maps_NCHW.mean((2, 3)) @ weight_KC.T
            by_hand += 0 if model.head.bias is None else model.head.bias
            assert torch.allclose(by_hand, model.logits(maps_NCHW), atol=1e-5)


def test_the_transformer_of_deep_emotion_begins_by_changing_nothing_and_then_moves_the_face() -> None:
    model = DeepEmotion(7).eval()
    face = torch.rand(1, 1, 48, 48)
    with torch.no_grad():
        assert torch.allclose(model.spatial_transform(face), face, atol=1e-5)
        model.aim[2].bias.copy_(
            torch.tensor([1.0, 0.0, 0.5, 0.0, 1.0, 0.0])
        )  # looks a quarter of the side to the right
        assert torch.allclose(model.spatial_transform(face)[..., :36], face[..., 12:], atol=1e-5)


def test_seed_cnn_is_the_reports_model_written_out() -> None:
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
    with pytest.raises(MienError, match=r"unknown model 'resnet'; available: .*seed_cnn"):
        build_model("resnet", 7)

    def seed_cnn(num_classes: int) -> ExpressionModel:
        return ExpressionModel()

    with pytest.raises(MienError, match="two architectures"):
        model(seed_cnn)
