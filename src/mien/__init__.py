"""mien: facial expression recognition in images and videos.

>>> import mien
>>> from mien.recognition import sample  # path of a photo that is installed with the package
>>> recognizer = mien.load()
>>> [face.label for face in recognizer.analyze(sample()).faces]
['happy']

- `load` opens a model; its method `analyze` finds faces and their expressions in a photo, `analyze_video` in a video.
- `load_data` reads a data set, and `evaluate` computes the metrics of predictions on it.
- `mien.train` trains models (it needs torch), and `mien.serve` is the HTTP service.

A public name is imported from its module when it is first used, so `import mien` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mien._lazy import lazy_names

if TYPE_CHECKING:
    from mien.data import Dataset, Split
    from mien.data.load import load as load_data
    from mien.detection.boxes import Box
    from mien.errors import MienError
    from mien.evaluation.evaluate import Evaluation, evaluate
    from mien.labels import FER7, LabelSet
    from mien.recognition import Analysis, Face, Recognizer, load

    __version__: str

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


if not TYPE_CHECKING:  # type checkers use the imports above
    _lazy_getattr, _ = lazy_names(
        __name__,
        {
            "Analysis": "mien.recognition.results",
            "Box": "mien.detection.boxes",
            "Dataset": "mien.data.dataset",
            "Evaluation": "mien.evaluation.evaluate",
            "FER7": "mien.labels",
            "Face": "mien.recognition.results",
            "LabelSet": "mien.labels",
            "MienError": "mien.errors",
            "Recognizer": "mien.recognition.recognizer",
            "Split": "mien.data.dataset",
            "evaluate": "mien.evaluation.evaluate",
            "load": "mien.recognition.recognizer",
            "load_data": "mien.data.load:load",
        },
    )

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("mien")
        if name in (
            "data",
            "detection",
            "evaluation",
            "model",
            "recognition",
        ):  # so that `mien.data.audit` works after `import mien`
            return import_module(f"mien.{name}")
        return _lazy_getattr(name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
