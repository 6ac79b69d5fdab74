"""mien: facial expression recognition that a person can train, trust and use."""

from importlib.metadata import version

from mien.data import Dataset, Split
from mien.data import load as load_data
from mien.errors import MienError
from mien.judge import Evaluation, evaluate
from mien.labels import FER7, LabelSet
from mien.read import Analysis, Box, Face, Recognizer, load

__version__ = version("mien")

__all__ = [
    "FER7",
    "Analysis",
    "Box",
    "Dataset",
    "Evaluation",
    "Face",
    "LabelSet",
    "MienError",
    "Recognizer",
    "Split",
    "__version__",
    "evaluate",
    "load",
    "load_data",
]
