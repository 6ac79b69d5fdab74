"""mien: facial expression recognition that a person can train, trust and use.

A public name is imported from its room when it is first asked for: who only reads pictures does not wait for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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

if not TYPE_CHECKING:  # a type checker reads the imports above
    _ROOMS = {
        **dict.fromkeys(("Dataset", "Split", "load_data"), "mien.data"),
        **dict.fromkeys(("Evaluation", "evaluate"), "mien.evaluation"),
        **dict.fromkeys(("Analysis", "Face", "Recognizer", "load"), "mien.recognition"),
        **dict.fromkeys(("FER7", "LabelSet"), "mien.labels"),
        "Box": "mien.detection.boxes",
        "MienError": "mien.errors",
    }

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            found = version("mien")
        elif name in _ROOMS:
            found = getattr(import_module(_ROOMS[name]), {"load_data": "load"}.get(name, name))
        elif name in ("data", "detection", "evaluation", "model", "recognition"):  # `mien.data.audit` without an import
            found = import_module(f"mien.{name}")
        else:
            raise AttributeError(f"module 'mien' has no attribute {name!r}")
        globals()[name] = found  # the next time it is there
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
