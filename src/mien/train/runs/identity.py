"""Identity of a run: what was trained on which data, and how two runs differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mien.labels import same_classes
from mien.train.recipe import Recipe
from mien.train.runs.format import FORMAT
from mien.train.targets.schemes import TrainingTargets


def run_identity(
    recipe: Recipe,
    seed: int,
    targets: TrainingTargets,
    init: Mapping[str, str] | None = None,
    teachers: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Return the identity of a run: recipe, seed, content of the data (not its path), initial weights and teachers."""
    dataset = targets.dataset
    return {
        "format": FORMAT,
        "recipe": recipe.to_dict(),
        "seed": seed,
        "data": {
            "name": dataset.name,
            "digest": dataset.digest,
            **({"votes": targets.votes} if targets.votes else {}),
            **({"label_noise": targets.label_noise} if targets.label_noise else {}),
            "labels": list(dataset.labels.names),
            "label_set": dataset.labels.name,
            "faces": {name: len(split) for name, split in dataset.splits.items()},
        },
        "init": dict(init) if init else None,
        **({"teachers": [dict(teacher) for teacher in teachers]} if teachers else {}),
    }


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the differences of two identities, such as `recipe.lr=0.003 instead of 0.01`.

    Args:
        recorded: Identity of the run in the folder.
        wanted: Identity of the run to train.
        prefix: Path of the keys, for nested identities.
    """
    lines = []
    ignored = {"name"} if prefix == "init." else set()  # weights may be renamed: their checksum is compared
    for key in sorted({*recorded, *wanted} - ignored):
        a, b = recorded.get(key), wanted.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b and not (f"{prefix}{key}" == "data.labels" and _same_labels(a, b)):
            lines.append(f"{prefix}{key}={json.dumps(a)} instead of {json.dumps(b)}")
    return lines


def _same_labels(recorded: Any, wanted: Any) -> bool:
    """Return whether two lists of class names mean the same classes; old runs record `happiness` for `happy`."""
    if not (isinstance(recorded, list) and isinstance(wanted, list)):
        return False
    return same_classes([str(name) for name in recorded], [str(name) for name in wanted])
