"""Data sets: readers of FER2013 in its published forms, image folders, and the synthetic data set."""

from __future__ import annotations

from mien.data.audit import Audit, NearTwins, audit, copies_of_judged, without_twins
from mien.data.audit_tables import audit_tables
from mien.data.dataset import NO_LABEL, SIDE, SPLITS, TEST, TRAIN, USAGE, VAL, Dataset, Split
from mien.data.duplicates import Twins, near_twins
from mien.data.load import DATASETS, load
from mien.data.previews import class_histogram_png, sample_sheet
from mien.data.synthetic import sketch, write_csv
from mien.data.votes import by_majority, judged_as

__all__ = [
    "DATASETS",
    "NO_LABEL",
    "SIDE",
    "SPLITS",
    "TEST",
    "TRAIN",
    "USAGE",
    "VAL",
    "Audit",
    "Dataset",
    "NearTwins",
    "Split",
    "Twins",
    "audit",
    "audit_tables",
    "by_majority",
    "class_histogram_png",
    "copies_of_judged",
    "judged_as",
    "load",
    "near_twins",
    "sample_sheet",
    "sketch",
    "without_twins",
    "write_csv",
]
