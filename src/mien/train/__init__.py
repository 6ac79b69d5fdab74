"""Training: recipes, models, the training loop and exports. The only package that imports torch.

>>> import tempfile
>>> from mien.data import sketch
>>> from mien.train import apply_overrides, find_recipe, train
>>> recipe = apply_overrides(find_recipe("seed"), ["model=mien_nano", "epochs=1"])
>>> with tempfile.TemporaryDirectory() as folder:
...     train(recipe, sketch(train=16, val=8, test=8), folder, device="cpu").finished
True
"""

from mien.errors import MissingExtra

try:
    import lightning_fabric as _fabric  # noqa: F401
    import onnx as _onnx  # noqa: F401
    import safetensors as _safetensors  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError:
    raise MissingExtra("train", "training") from None

from mien.train.compare import compare
from mien.train.export.export import export
from mien.train.loop import train
from mien.train.out_of_fold import out_of_fold
from mien.train.overrides import apply_overrides
from mien.train.predict import predict
from mien.train.recipe import Recipe
from mien.train.recipes import RECIPES, find_recipe
from mien.train.runs.folder import Run
from mien.train.runs.weights import find_weights
from mien.train.search.tune import tune

__all__ = [
    "RECIPES",
    "Recipe",
    "Run",
    "apply_overrides",
    "compare",
    "export",
    "find_recipe",
    "find_weights",
    "out_of_fold",
    "predict",
    "train",
    "tune",
]
