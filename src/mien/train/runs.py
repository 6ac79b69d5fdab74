"""A run is a folder that a stranger can re-run: recipe.json, machine.json, metrics.jsonl, a checkpoint, predictions.

`recipe.json` says what was trained on which data from which seed; `metrics.jsonl` has a line an epoch; the checkpoint
is that of the last epoch; `predictions-SPLIT.npy` are its probabilities [N,K] in row order, so that judging a finished
run needs no torch.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.split import Dataset
from mien.errors import RunError
from mien.train.checkpoint import Checkpoint, load_checkpoint, write_atomically
from mien.train.recipe import Recipe

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """The folder of a training run."""

    folder: Path

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def identity(self) -> dict[str, Any]:
        """Recipe, seed and data as recorded when the run began."""
        return _read_json(self.folder / "recipe.json", ("recipe", "seed", "data"))

    @property
    def machine(self) -> dict[str, Any]:
        return _read_json(self.folder / "machine.json", ("torch",))

    @property
    def history(self) -> tuple[Metrics, ...]:
        """The finished epochs, first to last."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return ()
        try:
            epochs = tuple(json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError) as why:
            raise _damaged(file, why) from None
        if not all(isinstance(epoch, dict) and "seconds" in epoch for epoch in epochs):
            raise _damaged(file, "a line that is no epoch's figures")
        return epochs

    @property
    def finished(self) -> bool:
        """Whether every epoch that the recipe asks for is done."""
        return (self.folder / "recipe.json").exists() and len(self.history) >= self.identity["recipe"]["epochs"]

    def refuse_another(self, identity: Mapping[str, Any], resume: bool = True) -> None:
        """`RunError` where the folder holds a run of something else, or any run and `resume` is false."""
        if (self.folder / "recipe.json").exists():
            differ = differences(self.identity, identity)
            if differ and resume:
                raise RunError(
                    f"{self.folder} holds a run of something else: {'; '.join(differ)}. Choose another --out"
                )
        elif not self.checkpoint_file.exists():
            return
        if not resume:
            raise RunError(f"{self.folder} holds a run already; go on with --resume, or choose another --out")

    def checkpoint(self) -> Checkpoint:
        return load_checkpoint(self.checkpoint_file)

    def predictions(self) -> dict[str, NDArray[np.float32]]:
        """Split name -> probabilities [N,K] of the last epoch."""
        found = {}
        for file in sorted(self.folder.glob("predictions-*.npy")):
            try:
                found[file.stem.removeprefix("predictions-")] = np.load(file, allow_pickle=False)
            except (OSError, ValueError, EOFError) as why:
                raise _damaged(file, why) from None
        return found

    def begin(self, identity: Mapping[str, Any], machine: Mapping[str, Any], history: Sequence[Metrics]) -> None:
        """Make the folder and its records, with the epochs that a resumed run has behind it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as why:
            raise RunError(f"cannot make the run's folder {self.folder}: {why.strerror}") from None
        self._write_json("recipe.json", identity)
        self._write_json("machine.json", machine)
        self.write_history(history)

    def write_history(self, history: Sequence[Metrics]) -> None:
        """Write the figures of all finished epochs; the checkpoint holds the same, so that the two cannot disagree."""
        lines = "".join(json.dumps(metrics) + "\n" for metrics in history)
        write_atomically(self.folder / "metrics.jsonl", lines.encode())

    def write_predictions(self, split: str, probabilities_NK: NDArray[np.float32]) -> None:
        buffer = io.BytesIO()
        np.save(buffer, probabilities_NK)
        write_atomically(self.folder / f"predictions-{split}.npy", buffer.getvalue())

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        write_atomically(self.folder / name, (json.dumps(content, indent=2) + "\n").encode())


def identity_of(recipe: Recipe, seed: int, dataset: Dataset) -> dict[str, Any]:
    """What makes two runs the same run: recipe, seed and the data's content (not its place on the disk)."""
    return {
        "recipe": recipe.to_dict(),
        "seed": seed,
        "data": {
            "name": dataset.name,
            "digest": dataset.digest,
            "labels": list(dataset.labels.names),
            "label_set": dataset.labels.name,
            "faces": {name: len(split) for name, split in dataset.splits.items()},
        },
    }


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any], at: str = "") -> list[str]:
    """Where two identities differ, in words: `recipe.lr is 0.003 there and 0.01 here`."""
    found = []
    for key in sorted({*recorded, *wanted}):
        a, b = recorded.get(key), wanted.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{at}{key}.")
        elif a != b:
            found.append(f"{at}{key} is {json.dumps(a)} there and {json.dumps(b)} here")
    return found


def _read_json(file: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """The object in `file`, which must have these keys."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{file.parent} is no whole run of mien's: it has no {file.name}") from None
    except (OSError, ValueError) as why:
        raise _damaged(file, why) from None
    if not isinstance(content, dict) or not set(keys) <= set(content):
        raise _damaged(file, f"expected an object with {', '.join(keys)}")
    return content


def _damaged(file: Path, why: object) -> RunError:
    return RunError(f"{file} is damaged ({why}); delete the folder {file.parent} and train again")
