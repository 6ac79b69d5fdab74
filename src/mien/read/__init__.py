"""Pictures in, faces and expressions out; no torch."""

from mien.read.detectors import DETECTORS, Detection, Detector, find_detector
from mien.read.recognizer import Recognizer, load, sample
from mien.read.results import UNCERTAIN, Analysis, Box, Face, PersonFace, VideoFrame

__all__ = [
    "DETECTORS",
    "UNCERTAIN",
    "Analysis",
    "Box",
    "Detection",
    "Detector",
    "Face",
    "PersonFace",
    "Recognizer",
    "VideoFrame",
    "find_detector",
    "load",
    "sample",
]
