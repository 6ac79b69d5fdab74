"""The one room with torch: nets, recipes, the loop, and the study that trains what a comparison needs."""

from mien.errors import MissingExtra

try:
    import lightning_fabric as _fabric  # noqa: F401
    import onnx as _onnx  # noqa: F401
    import safetensors as _safetensors  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError:
    raise MissingExtra("train", "training") from None

from mien.train.doubts import Doubts, find_doubts
from mien.train.export import export
from mien.train.loop import train
from mien.train.noise import out_of_fold
from mien.train.predict import as_net, predict
from mien.train.processes import train_on
from mien.train.recipe import Recipe
from mien.train.recipes import RECIPES, find_recipe
from mien.train.runs import Run
from mien.train.settings import with_settings
from mien.train.space import Space, find_space
from mien.train.study import augmentation_sheet, compare
from mien.train.tune import searching, tune
from mien.train.weights import find_weights

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
