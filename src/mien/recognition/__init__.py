"""Faces and their expressions in images and videos; no torch.

A public name is imported from its module when it is first used, so that `import mien.recognition` loads neither the
cluster nor the video and output modules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.recognition.annotate.panels import annotate
    from mien.recognition.cluster.run import analyze_on_cluster
    from mien.recognition.inputs import find_sources
    from mien.recognition.output.registry import open_writer
    from mien.recognition.parallel import analyze_sources
    from mien.recognition.recognizer import Recognizer, load, sample
    from mien.recognition.results import Analysis, Face, PersonFace, VideoFrame

__all__ = [
    "Analysis",
    "Face",
    "PersonFace",
    "Recognizer",
    "VideoFrame",
    "analyze_on_cluster",
    "analyze_sources",
    "annotate",
    "find_sources",
    "load",
    "open_writer",
    "sample",
]

if not TYPE_CHECKING:  # a type checker reads the imports above
    _MODULES = {
        **dict.fromkeys(("Recognizer", "load", "sample"), "recognizer"),
        **dict.fromkeys(("Analysis", "Face", "PersonFace", "VideoFrame"), "results"),
        "analyze_on_cluster": "cluster.run",
        "analyze_sources": "parallel",
        "annotate": "annotate.panels",
        "find_sources": "inputs",
        "open_writer": "output.registry",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
