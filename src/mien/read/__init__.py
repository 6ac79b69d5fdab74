"""Pictures in, faces and expressions out; no torch."""

from mien.read.bulk import analyze_sources
from mien.read.detectors import DETECTORS, Detection, Detector, find_detector
from mien.read.drawing import annotate
from mien.read.recognizer import Recognizer, load, sample
from mien.read.results import UNCERTAIN, Analysis, Box, Face, PersonFace, VideoFrame
from mien.read.sources import Source, find_sources
from mien.read.spread import analyze_on_cluster
from mien.read.writers import WRITERS, open_writer

__all__ = [
    "DETECTORS",
    "UNCERTAIN",
    "WRITERS",
    "Analysis",
    "Box",
    "Detection",
    "Detector",
    "Face",
    "PersonFace",
    "Recognizer",
    "Source",
    "VideoFrame",
    "analyze_on_cluster",
    "analyze_sources",
    "annotate",
    "find_detector",
    "find_sources",
    "load",
    "open_writer",
    "sample",
]
