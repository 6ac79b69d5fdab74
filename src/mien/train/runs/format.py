"""Format version of run records, and converters from older versions.

The record (recipe, seed, data, initial weights, metrics of the epochs) is stored in `recipe.json`, in the state of a
checkpoint and in released weights. Each copy states its format and is read through `convert_record`, so that all other
code handles the current format only. A record without a format is of version 0.

To rename a field, a key or a value of the record, append a function to `CONVERTERS`. A new field of the recipe needs
none: `convert_record` sets it to its default.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

from mien.errors import RunError, newer_format_message
from mien.train.recipe import Recipe

KIND = "mien run"
Record = dict[str, Any]


class NewerRunError(RunError):
    """A run that a newer version wrote. It is not damaged, so no other file of the run should replace it."""


def _add_precision_of_epochs(record: Record) -> None:
    """Convert version 0, which had one precision for all epochs, in the state of the checkpoint."""
    if "precision" in record:
        precision = record.pop("precision")
        record["history"] = [{**epoch, "precision": precision} for epoch in record["history"]]


RENAMED_FIELDS = {
    "optimiser": "optimizer",
    "teach": "teacher_weight",
    "drop_twins": "drop_duplicates",
    "doubts": "label_noise",
}


def _rename_fields(record: Record) -> None:
    """Convert version 1, which had other names for four fields of the recipe and one of the data."""
    for part in ("recipe", "data"):
        if part in record:
            record[part] = {RENAMED_FIELDS.get(name, name): value for name, value in record[part].items()}


def _rename_metrics(record: Record) -> None:
    """Convert version 2, which called the metrics on unaugmented training faces `clean_*`."""

    def renamed(metrics: Record) -> Record:
        return {re.sub("^clean_", "train_eval_", name): value for name, value in metrics.items()}

    if record.get("history"):
        record["history"] = [renamed(epoch) for epoch in record["history"]]
    if record.get("figures"):
        record["figures"] = renamed(record["figures"])


# CONVERTERS[n] changes a record of version n into one of version n + 1. A record has `recipe`, and where they are known
# `seed`, `data`, `init`, `teachers`, `class_frequencies`, `history` (all epochs) or `figures` (one epoch).
CONVERTERS: tuple[Callable[[Record], None], ...] = (_add_precision_of_epochs, _rename_fields, _rename_metrics)
FORMAT = f"{KIND} {len(CONVERTERS)}"


def convert_record(record: Mapping[str, Any], source: object) -> Record:
    """Return a record in the current format, with the recipe fields that it lacks at their defaults.

    Args:
        record: A record of any version; it stays as it is.
        source: The file that it was read from, for the error.

    Raises:
        NewerRunError: A newer version wrote it.
        RunError: It is not the record of a run.
    """
    version = record.get("format", f"{KIND} 0")
    check_format(source, version, FORMAT)
    known = [f"{KIND} {number}" for number in range(len(CONVERTERS) + 1)]
    if version not in known:
        raise RunError(f"{source} is not the record of a training run: its format is {version!r}, expected '{FORMAT}'")
    new = copy.deepcopy({**record, "format": FORMAT})
    for convert in CONVERTERS[known.index(version) :]:
        convert(new)
    return {**new, "recipe": {**Recipe("any").to_dict(), **new["recipe"]}}


def check_format(source: object, file_format: object, newest: str) -> None:
    """Raise `NewerRunError` if `file_format`, the format of the file `source`, is a later version of `newest`."""
    message = newer_format_message(source, file_format, newest)
    if message:
        raise NewerRunError(message)
