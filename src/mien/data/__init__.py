"""What nets learn from: readers of FER2013 in its published forms, picture folders, and the embedded data set."""

from __future__ import annotations

from mien.data.audit import Audit, NearTwins, audit, copies_of_judged, without_twins
from mien.data.pictures import class_histogram_png, sample_sheet
from mien.data.sketch import sketch, write_csv
from mien.data.sources import DATASETS, load
from mien.data.split import NO_LABEL, SIDE, SPLITS, TEST, TRAIN, USAGE, VAL, Dataset, Split
from mien.data.tables import audit_tables
from mien.data.twins import Twins, near_twins
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
