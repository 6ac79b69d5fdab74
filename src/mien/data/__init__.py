"""Data sets: readers of FER2013 in its published formats, image folders, and the synthetic data set.

>>> from mien.data import sketch  # the synthetic data set; `load` reads fer2013.csv or a folder of images
>>> data = sketch(train=8, val=4, test=4)
>>> {name: len(split) for name, split in data.splits.items()}
{'train': 8, 'val': 4, 'test': 4}

A public name is imported from its module when it is first used, so that `import mien.data` loads neither audits nor
synthetic faces. For an audit: `from mien.data.audit import audit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien._lazy import lazy_names
from mien.data.load import load  # at once: a module of the same name would take its place

if TYPE_CHECKING:
    from mien.data.dataset import Dataset, Split
    from mien.data.duplicates import find_near_duplicates
    from mien.data.previews import class_histogram_png, sample_sheet
    from mien.data.synthetic import sketch, write_csv
    from mien.data.votes import relabel_by_majority

__all__ = [
    "Dataset",
    "Split",
    "class_histogram_png",
    "find_near_duplicates",
    "load",
    "relabel_by_majority",
    "sample_sheet",
    "sketch",
    "write_csv",
]

if not TYPE_CHECKING:  # a type checker reads the imports above
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Dataset": "mien.data.dataset",
            "Split": "mien.data.dataset",
            "relabel_by_majority": "mien.data.votes",
            "class_histogram_png": "mien.data.previews",
            "find_near_duplicates": "mien.data.duplicates",
            "sample_sheet": "mien.data.previews",
            "sketch": "mien.data.synthetic",
            "write_csv": "mien.data.synthetic",
        },
    )
