"""Training: recipes, models, the training loop and exports. The only package that imports torch."""

from mien.errors import MissingExtra

try:
    import lightning_fabric as _fabric  # noqa: F401
    import onnx as _onnx  # noqa: F401
    import safetensors as _safetensors  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError:
    raise MissingExtra("train", "training") from None

from mien.train.compare import augmentation_sheet, compare
from mien.train.export.export import export
from mien.train.label_noise.scores import Doubts, find_doubts
from mien.train.loop import train
from mien.train.out_of_fold import out_of_fold
from mien.train.overrides import with_settings
from mien.train.predict import as_net, predict
from mien.train.processes import train_on
from mien.train.recipe import Recipe
from mien.train.recipes import RECIPES, find_recipe
from mien.train.runs.folder import Run
from mien.train.runs.weights import find_weights
from mien.train.search.space import Space, find_space
from mien.train.search.tune import searching, tune

__all__ = [
    "RECIPES",
    "Doubts",
    "Recipe",
    "Run",
    "Space",
    "as_net",
    "augmentation_sheet",
    "compare",
    "export",
    "find_doubts",
    "find_recipe",
    "find_space",
    "find_weights",
    "out_of_fold",
    "predict",
    "searching",
    "train",
    "train_on",
    "tune",
    "with_settings",
]
