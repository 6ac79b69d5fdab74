"""Faces and their expressions in images and videos; no torch.

>>> from mien.recognition import load, sample
>>> analysis = load("nano").analyze(sample())
>>> [(face.label, round(face.confidence, 1)) for face in analysis.faces]
[('happy', 1.0)]

A public name is imported from its module when it is first used, so that `import mien.recognition` loads neither the
cluster nor the video and output modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien._lazy import lazy_names

if TYPE_CHECKING:
    from mien.recognition.annotation.panels import annotate
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
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Analysis": "mien.recognition.results",
            "Face": "mien.recognition.results",
            "PersonFace": "mien.recognition.results",
            "Recognizer": "mien.recognition.recognizer",
            "VideoFrame": "mien.recognition.results",
            "analyze_on_cluster": "mien.recognition.cluster.run",
            "analyze_sources": "mien.recognition.parallel",
            "annotate": "mien.recognition.annotation.panels",
            "find_sources": "mien.recognition.inputs",
            "load": "mien.recognition.recognizer",
            "open_writer": "mien.recognition.output.registry",
            "sample": "mien.recognition.recognizer",
        },
    )
