"""Run folders: recipe.json, machine.json, metrics.jsonl, checkpoints, predictions.

`recipe.json` has the recipe, the data, the seed, the initial weights and the format of the folder (`format`);
`metrics.jsonl` has one line per epoch; `checkpoint.safetensors` is of the last epoch, `checkpoint-before.safetensors`
of the one before; `predictions-SPLIT.npy` has the probabilities of the selected epoch, [N,K] in row order, so that a
finished run can be evaluated without torch.
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
from mien.train.best_epoch import is_finished, select_epoch
from mien.train.runs.checkpoint import Checkpoint, load_checkpoint, previous_file, write_atomically
from mien.train.runs.format import NewerRunError, convert_record
from mien.train.runs.identity import differences

Metrics = Mapping[str, Any]  # name -> number; only `precision` is text
OWN_FILES = (".checkpoint", ".metrics", ".predictions", ".recipe", ".machine")


@dataclass(frozen=True)
class Run:
    """The folder of a training run.

    Attributes:
        folder: Path of the folder.

    Example:
        >>> from pathlib import Path
        >>> from mien.train import Run
        >>> Run(Path("runs/not-there")).history
        ()
    """

    folder: Path

    @property
    def checkpoint_file(self) -> Path:
        """Return the path of the last checkpoint."""
        return self.folder / "checkpoint.safetensors"

    @property
    def identity(self) -> dict[str, Any]:
        """Return recipe, seed, data and initial weights as recorded when the run started, in the current format."""
        return self._record()

    @property
    def machine(self) -> dict[str, Any]:
        """Return the machine that the run started on; `resumed` lists other machines that it was resumed on."""
        return _read_json(self.folder / "machine.json", ("torch",))

    @property
    def history(self) -> tuple[Metrics, ...]:
        """Return the metrics of the finished epochs, first to last, in the current format."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return ()
        try:
            epochs = tuple(json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError) as error:
            raise _damaged(file, error) from None
        if not all(isinstance(epoch, dict) and "seconds" in epoch for epoch in epochs):
            raise _damaged(file, "a line is not the metrics of an epoch")
        return tuple(self._record(history=epochs)["history"]) if self._recorded else epochs

    @property
    def finished(self) -> bool:
        """Return whether training is over, after all epochs or by early stopping, and all files are there.

        A run with a deleted file is not finished: resuming it writes the file again.
        """
        if not self._recorded:
            return False
        recipe, history = self.identity["recipe"], self.history
        if not is_finished(history, recipe["epochs"], recipe["select"], recipe["patience"]):
            return False
        predictions = [f"predictions-{split}.npy" for split in (VAL, TEST) if f"{split}_loss" in history[-1]]
        # A finished run without checkpoints, deleted to save space, is finished; one with only the older one is not.
        complete = self.checkpoint_file.exists() or not previous_file(self.checkpoint_file).exists()
        return complete and all((self.folder / name).exists() for name in ("machine.json", *predictions))

    @property
    def selected_epoch(self) -> int:
        """Return the number of the epoch whose weights and predictions are kept, from 1; 0 before the first."""
        return select_epoch(self.history, self.identity["recipe"]["select"])

    @property
    def recorded_init(self) -> dict[str, str] | None:
        """Return the identity of the weights that a run with a checkpoint started from; it is resumed without them."""
        return self.identity.get("init") if self._recorded and self._checkpoints() else None

    def check_identity(self, identity: Mapping[str, Any], resume: bool = True) -> None:
        """Check that training can start or resume in the folder.

        Args:
            identity: Identity of the run to train (`identity.run_identity`).
            resume: Whether a run that exists may be resumed.

        Raises:
            RunError: The folder contains a run with other settings, or any run and `resume` is false.
        """
        if self._recorded:
            differ = differences(self.identity, identity)
            if differ and resume:
                raise RunError(
                    f"cannot resume: {self.folder} contains a run with other settings ({'; '.join(differ)}); "
                    "use the same settings or another --out"
                )
        elif not self._checkpoints():
            return
        if not resume:
            raise RunError(f"{self.folder} contains a run already; continue it with --resume, or use another --out")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder and lock it against other processes; the lock is released when the process ends.

        Raises:
            RunError: Another process has locked the folder, or it cannot be created or written.
        """
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise RunError(
                f"another process is training the run in {self.folder}; wait for it, stop it, or use another --out"
            ) from None
        except OSError as error:
            raise RunError(f"cannot write to the run folder {self.folder}: {error.strerror or error}") from None
        try:
            for part in self.folder.glob(".*-*.part"):  # left by a process that was killed while writing
                if part.name.startswith(OWN_FILES):
                    with contextlib.suppress(OSError):  # if the folder is not writable, writing the first file fails
                        part.unlink()
            yield
        finally:
            lock.release()

    def checkpoint(self) -> Checkpoint:
        """Read the last checkpoint, or the one before if the last is missing.

        Raises:
            RunError: There is no checkpoint, or it is damaged; the message says how to recover.
        """
        files = self._checkpoints()
        if not files:
            raise RunError(f"{self.folder} is not a run folder: it contains no {self.checkpoint_file.name}")
        try:
            return load_checkpoint(files[0])
        except NewerRunError:
            raise  # the file is not damaged, so the advice to delete it would be wrong
        except RunError as error:
            advice = _recovery_advice(files, "Move it to another folder, or use another --out")
            raise RunError(f"{error}. {advice}") from None

    def _record(self, **more: object) -> dict[str, Any]:
        """Read `recipe.json`, which states the format of all text files in the folder, and convert it with `more`."""
        file = self.folder / "recipe.json"
        recorded = _read_json(file, ("recipe", "seed", "data"))
        if not isinstance(recorded["recipe"], dict):
            raise _damaged(file, "the recipe is not an object")
        return convert_record({**recorded, **more}, file)

    @property
    def _recorded(self) -> bool:
        """Return whether the folder has a `recipe.json`; raises if the folder is not readable."""
        try:
            return (self.folder / "recipe.json").exists()
        except OSError as error:
            raise RunError(f"cannot read the run folder {self.folder}: {error.strerror or error}") from None

    def _checkpoints(self) -> list[Path]:
        return [file for file in (self.checkpoint_file, previous_file(self.checkpoint_file)) if file.exists()]

    def find_resume_checkpoint(self, identity: Mapping[str, Any]) -> Checkpoint | None:
        """Return the checkpoint to resume from; None if there is none.

        Raises:
            RunError: The checkpoint is damaged or belongs to another run.
        """
        files = self._checkpoints()
        if not files:
            return None
        checkpoint = self.checkpoint()
        differ = _checkpoint_differences(checkpoint, identity)
        if differ:
            advice = _recovery_advice(files, "Use another --out", identity)
            raise RunError(f"{files[0]} is the checkpoint of another run ({'; '.join(differ)}). {advice}")
        return checkpoint

    def predictions(self) -> dict[str, NDArray[np.float32]]:
        """Return split name -> probabilities of the selected epoch, float32 [N,K].

        Raises:
            RunError: A file is damaged.
        """
        predictions = {}
        for file in sorted(self.folder.glob("predictions-*.npy")):
            try:
                predictions[file.stem.removeprefix("predictions-")] = np.load(file, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise _damaged(file, error) from None
        return predictions

    def write_records(
        self, identity: Mapping[str, Any], machine: Mapping[str, Any], checkpoint: Checkpoint | None
    ) -> None:
        """Write all files but the checkpoint when a run starts or resumes.

        Args:
            identity: Identity of the run.
            machine: Machine that trains it now.
            checkpoint: Checkpoint that it resumes from; None for a new run.
        """
        self._write_json("recipe.json", identity)
        if checkpoint is None:
            self._write_json("machine.json", machine)
            self.write_history(())
            return
        first = self.machine if (self.folder / "machine.json").exists() else dict(machine)
        others = [*first.pop("resumed", [])]
        if machine != {k: v for k, v in (others[-1] if others else first).items() if k != "after_epoch"}:
            others.append({"after_epoch": len(checkpoint.state["history"]), **machine})
        self._write_json("machine.json", {**first, **({"resumed": others} if others else {})})
        self.write_derived_files(checkpoint)

    def write_derived_files(self, checkpoint: Checkpoint) -> None:
        """Write predictions and metrics of a checkpoint; metrics last, as they say which epochs are finished."""
        for split, probs_NK in checkpoint.probs.items():
            buffer = io.BytesIO()
            np.save(buffer, probs_NK.numpy())
            write_atomically(self.folder / f"predictions-{split}.npy", buffer.getvalue())
        self.write_history(checkpoint.state["history"])

    def write_history(self, history: Sequence[Metrics]) -> None:
        """Write `metrics.jsonl`."""
        lines = "".join(json.dumps(metrics) + "\n" for metrics in history)
        write_atomically(self.folder / "metrics.jsonl", lines.encode())

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        write_atomically(self.folder / name, (json.dumps(content, indent=2) + "\n").encode())


def _checkpoint_differences(checkpoint: Checkpoint, identity: Mapping[str, Any]) -> list[str]:
    return differences({k: checkpoint.state.get(k) for k in identity}, identity)


def _recovery_advice(files: Sequence[Path], otherwise: str, identity: Mapping[str, Any] | None = None) -> str:
    """Return what to do if the first of the checkpoint files cannot be used.

    That is to go back to the next one, if it is not damaged and belongs to `identity`; else `otherwise`.
    """
    last, *older = files
    for file in older:
        with contextlib.suppress(RunError):
            checkpoint = load_checkpoint(file)
            if identity is None or not _checkpoint_differences(checkpoint, identity):
                epoch = len(checkpoint.state["history"])
                return f"Delete {last} and train with --resume to continue after epoch {epoch}, from {file.name}"
    return otherwise


def _read_json(file: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON object in `file`, which must have these keys."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{file.parent} is not a complete run folder: it contains no {file.name}") from None
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from None
    if not isinstance(content, dict) or not set(keys) <= set(content):
        raise _damaged(file, f"expected an object with {', '.join(keys)}")
    return content


def _damaged(file: Path, error: object) -> RunError:
    return RunError(
        f"{file} is damaged ({error}); delete it and train with --resume, which restores it from the checkpoint"
    )
