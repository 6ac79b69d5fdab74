"""Run folders: recipe.json, machine.json, metrics.jsonl, a checkpoint, predictions.

`recipe.json` says what was trained on which data from which seed and weights, and in which format the folder is
(`run_format`); `metrics.jsonl` has a line an epoch; the
checkpoint is that of the last epoch, and beside it lies the one before; `predictions-SPLIT.npy` are the chosen epoch's
probabilities [N,K] in row order, so that judging a finished run needs no torch.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from mien.data.dataset import TEST, VAL
from mien.errors import RunError
from mien.labels import same_classes
from mien.train.best_epoch import is_finished, select_epoch
from mien.train.recipe import Recipe
from mien.train.runs.checkpoint import Checkpoint, before, load_checkpoint, write_atomically
from mien.train.runs.format import FORMAT, NewerRunError, converted
from mien.train.targets.schemes import TrainingTargets

Metrics = Mapping[str, Any]  # name -> number; `precision` alone is text
OWN_FILES = (".checkpoint", ".metrics", ".predictions", ".recipe", ".machine")


@dataclass(frozen=True)
class Run:
    """The folder of a training run."""

    folder: Path

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def identity(self) -> dict[str, Any]:
        """Return recipe, seed, data and first weights as recorded when the run began, in the current format."""
        return self._record()

    @property
    def machine(self) -> dict[str, Any]:
        """Where it began; `resumed` has where it went on, if that was elsewhere."""
        return _read_json(self.folder / "machine.json", ("torch",))

    @property
    def history(self) -> tuple[Metrics, ...]:
        """Return the finished epochs, first to last, in the current format."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return ()
        try:
            epochs = tuple(json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError) as error:
            raise _damaged(file, error) from None
        if not all(isinstance(epoch, dict) and "seconds" in epoch for epoch in epochs):
            raise _damaged(file, "a line that is no epoch's figures")
        return tuple(self._record(history=epochs)["history"]) if self._recorded else epochs

    @property
    def finished(self) -> bool:
        """Whether every epoch that the recipe asks for is done, or its patience has run out, and all records are there.

        A record that was deleted makes it unfinished: to go on is then to write it anew.
        """
        if not self._recorded:
            return False
        recipe, history = self.identity["recipe"], self.history
        if not is_finished(history, recipe["epochs"], recipe["select"], recipe["patience"]):
            return False
        told = [f"predictions-{split}.npy" for split in (VAL, TEST) if f"{split}_loss" in history[-1]]
        # Whoever has deleted all checkpoints to save space has a finished run still; the older one alone is of no use.
        whole = self.checkpoint_file.exists() or not before(self.checkpoint_file).exists()
        return whole and all((self.folder / name).exists() for name in ("machine.json", *told))

    @property
    def selected_epoch(self) -> int:
        """The epoch, counted from 1, whose weights and predictions are kept; 0 before the first."""
        return select_epoch(self.history, self.identity["recipe"]["select"])

    @property
    def recorded_init(self) -> dict[str, str] | None:
        """The identity of the weights that a run with a checkpoint began from; it needs them no more."""
        return self.identity.get("init") if self._recorded and self._checkpoints() else None

    def check_same(self, identity: Mapping[str, Any], resume: bool = True) -> None:
        """`RunError` where the folder holds a run of something else, or any run and `resume` is false."""
        if self._recorded:
            differ = differences(self.identity, identity)
            if differ and resume:
                raise RunError(
                    f"{self.folder} holds a run of something else: {'; '.join(differ)}. "
                    "Give it what it began with, or choose another --out"
                )
        elif not self._checkpoints():
            return
        if not resume:
            raise RunError(f"{self.folder} holds a run already; go on with --resume, or choose another --out")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder and keep other processes out of it; the system ends that when the process does.

        Raises:
            RunError: another process is at work there, or the folder cannot be made or written.
        """
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise RunError(
                f"another process is training the run in {self.folder}; wait for it, stop it, or choose another --out"
            ) from None
        except OSError as error:
            raise RunError(f"cannot write into the run's folder {self.folder}: {error.strerror or error}") from None
        try:
            for left in self.folder.glob(".*-*.part"):  # by a process that was killed while it wrote
                if left.name.startswith(OWN_FILES):
                    with contextlib.suppress(OSError):  # if it matters, the first file to be written will tell
                        left.unlink()
            yield
        finally:
            lock.release()

    def checkpoint(self) -> Checkpoint:
        """The state to go on from: the last checkpoint, or the one before where a crash or a hand took the last away.

        Raises:
            RunError: there is none, or the last is damaged or foreign; the text says what is left and what to do.
        """
        there = self._checkpoints()
        if not there:
            raise RunError(f"{self.folder} holds no {self.checkpoint_file.name}; is it the folder of a run?")
        try:
            return load_checkpoint(there[0])
        except NewerRunError:
            raise  # it is whole: to delete it would lose its epochs
        except RunError as error:
            raise RunError(f"{error}. {_way_out(there, 'Move it away, or train in another --out')}") from None

    def _record(self, **more: object) -> dict[str, Any]:
        """Read `recipe.json`, which states the format of all text files in the folder, and convert it and `more`."""
        file = self.folder / "recipe.json"
        recorded = _read_json(file, ("recipe", "seed", "data"))
        if not isinstance(recorded["recipe"], dict):
            raise _damaged(file, "its recipe is no object")
        return converted({**recorded, **more}, file)

    @property
    def _recorded(self) -> bool:
        """Whether a run began here; asked before all else, so it is what meets a folder that may not be entered."""
        try:
            return (self.folder / "recipe.json").exists()
        except OSError as error:
            raise RunError(f"cannot read the run's folder {self.folder}: {error.strerror or error}") from None

    def _checkpoints(self) -> list[Path]:
        return [file for file in (self.checkpoint_file, before(self.checkpoint_file)) if file.exists()]

    def find_resume_checkpoint(self, identity: Mapping[str, Any]) -> Checkpoint | None:
        """The checkpoint to go on from, None where there is none; `RunError` where it is of something else."""
        there = self._checkpoints()
        if not there:
            return None
        kept = self.checkpoint()
        differ = _differences_of(kept, identity)
        if differ:
            way_out = _way_out(there, "Choose another --out", identity)
            raise RunError(f"{there[0]} is of something else: {'; '.join(differ)}. {way_out}")
        return kept

    def predictions(self) -> dict[str, NDArray[np.float32]]:
        """Split name -> probabilities [N,K] of the judged epoch."""
        found = {}
        for file in sorted(self.folder.glob("predictions-*.npy")):
            try:
                found[file.stem.removeprefix("predictions-")] = np.load(file, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise _damaged(file, error) from None
        return found

    def begin(self, identity: Mapping[str, Any], machine: Mapping[str, Any], kept: Checkpoint | None) -> None:
        """Write the records; those of a resumed run are brought to what its checkpoint says."""
        self._write_json("recipe.json", identity)
        if kept is None:
            self._write_json("machine.json", machine)
            self.write_history(())
            return
        began = self.machine if (self.folder / "machine.json").exists() else dict(machine)
        elsewhere = [*began.pop("resumed", [])]
        if machine != {k: v for k, v in (elsewhere[-1] if elsewhere else began).items() if k != "after_epoch"}:
            elsewhere.append({"after_epoch": len(kept.state["history"]), **machine})
        self._write_json("machine.json", {**began, **({"resumed": elsewhere} if elsewhere else {})})
        self.write_derived_files(kept)

    def write_derived_files(self, checkpoint: Checkpoint) -> None:
        """Write beside the checkpoint what can be read without torch; the figures last, as they say what is done."""
        for split, probs_NK in checkpoint.probs.items():
            buffer = io.BytesIO()
            np.save(buffer, probs_NK.numpy())
            write_atomically(self.folder / f"predictions-{split}.npy", buffer.getvalue())
        self.write_history(checkpoint.state["history"])

    def write_history(self, history: Sequence[Metrics]) -> None:
        lines = "".join(json.dumps(metrics) + "\n" for metrics in history)
        write_atomically(self.folder / "metrics.jsonl", lines.encode())

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        write_atomically(self.folder / name, (json.dumps(content, indent=2) + "\n").encode())


def run_identity(
    recipe: Recipe,
    seed: int,
    learned: TrainingTargets,
    init: Mapping[str, str] | None = None,
    teachers: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """What makes two runs the same run: recipe, seed, the data's content (not its place on the disk), other models."""
    dataset = learned.dataset
    return {
        "format": FORMAT,
        "recipe": recipe.to_dict(),
        "seed": seed,
        "data": {
            "name": dataset.name,
            "digest": dataset.digest,
            **({"votes": learned.votes} if learned.votes else {}),
            **({"label_noise": learned.label_noise} if learned.label_noise else {}),
            "labels": list(dataset.labels.names),
            "label_set": dataset.labels.name,
            "faces": {name: len(split) for name, split in dataset.splits.items()},
        },
        "init": dict(init) if init else None,
        **({"teachers": [dict(teacher) for teacher in teachers]} if teachers else {}),
    }


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any], at: str = "") -> list[str]:
    """Where two identities differ, in words: `recipe.lr is 0.003 there and 0.01 here`."""
    found = []
    by_name = {"name"} if at == "init." else set()  # weights may be moved and renamed: their sum is compared
    for key in sorted({*recorded, *wanted} - by_name):
        a, b = recorded.get(key), wanted.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{at}{key}.")
        elif a != b and not (f"{at}{key}" == "data.labels" and _same_labels(a, b)):
            found.append(f"{at}{key} is {json.dumps(a)} there and {json.dumps(b)} here")
    return found


def _same_labels(recorded: Any, wanted: Any) -> bool:
    """Tell whether two records of class names mean the same classes; old runs record `happiness` for `happy`."""
    if not (isinstance(recorded, list) and isinstance(wanted, list)):
        return False
    return same_classes([str(name) for name in recorded], [str(name) for name in wanted])


def _differences_of(kept: Checkpoint, identity: Mapping[str, Any]) -> list[str]:
    return differences({k: kept.state.get(k) for k in identity}, identity)


def _way_out(there: Sequence[Path], otherwise: str, identity: Mapping[str, Any] | None = None) -> str:
    """What to do when the first of the checkpoints in `there` is of no use: go back to the next, if that is whole.

    And if it is of `identity`, where that is given.
    """
    last, *older = there
    for file in older:
        with contextlib.suppress(RunError):
            kept = load_checkpoint(file)
            if identity is None or not _differences_of(kept, identity):
                done = len(kept.state["history"])
                return f"The one before it is whole: delete {last}, and --resume goes on after epoch {done}"
    return otherwise


def _read_json(file: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """The object in `file`, which must have these keys."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{file.parent} is no whole run of mien's: it has no {file.name}") from None
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from None
    if not isinstance(content, dict) or not set(keys) <= set(content):
        raise _damaged(file, f"expected an object with {', '.join(keys)}")
    return content


def _damaged(file: Path, error: object) -> RunError:
    return RunError(
        f"{file} is damaged ({error}); delete it and train with --resume, which writes it from the checkpoint"
    )
