"""Trained weights: found by run, file or name, loaded into a model, released as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto
from safetensors.torch import save
from torch import nn

from mien.errors import MienError, RunError
from mien.labels import counterpart
from mien.model import CARD, GRAPH, SHIPPED, read_model, shipped_models
from mien.model_card import Card
from mien.model_files import not_found_message
from mien.train.best_epoch import select_epoch
from mien.train.recipe import Recipe
from mien.train.runs.checkpoint import FORMATS as CHECKPOINTS
from mien.train.runs.checkpoint import (
    Checkpoint,
    Tensors,
    checkpoint_from_tensors,
    digest,
    read_safetensors,
    write_atomically,
)
from mien.train.runs.folder import Run
from mien.train.runs.format import convert_record
from mien.train.runs.graph_state import half_precision, read_state

FORMAT = "mien weights 1"
RECORDED = ("format", "recipe", "seed", "data", "init", "teachers", "class_frequencies")  # of the state of a checkpoint
SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a trained model and the record of its training.

    Attributes:
        name: Name of the shipped model, the run folder or the file.
        tensors: State dict of the model.
        about: Record of the run (`format`): recipe, seed, data (labels in order, name, digest), initial weights
            (`init`), teachers, class frequencies of the training targets (`class_frequencies`) and metrics of the epoch
            of these weights (`figures`).
    """

    name: str
    tensors: Tensors
    about: Mapping[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the class names, in the order of the model's outputs."""
        return tuple(self.about["data"]["labels"])

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the recipe that the model was trained with, as JSON types."""
        return dict(self.about["recipe"])

    @property
    def identity(self) -> dict[str, str]:
        """Return name and checksum for the record of a run that starts from these weights; only the checksum counts."""
        return {"name": self.name, "sha256": digest(self.tensors, "")}

    def load_into(self, model: nn.Module, labels: Sequence[str]) -> None:
        """Load the weights into a model, which may have other classes.

        Classes that both models have keep their row of the head, in any spelling; the other rows of `model` do not
        change.

        Args:
            model: Model of the same architecture.
            labels: Class names of `model`.

        Raises:
            RunError: The model has another architecture.
        """
        state = dict(self.tensors)
        if tuple(labels) != self.labels:
            own = model.state_dict()
            for key in [k for k in state if k.startswith("head.") and len(state[k]) == len(self.labels)]:
                rows = own[key].clone()
                for row, label in enumerate(labels):
                    index = counterpart(label, self.labels)
                    if index is not None:
                        rows[row] = state[key][index]
                state[key] = rows
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise RunError(
                f"cannot load the weights '{self.name}' into the model {self.recipe['model']}: {error}"
            ) from None

    def release(self, file: str | Path, *, half: bool = False) -> None:
        """Write a safetensors file for `find_weights`, with the weights and their record, without the optimizer state.

        Args:
            file: Path of the file.
            half: Whether to store float16 as `mien export --storage float16` does, at half the size; a model that loads
                the file converts the weights to float32.

        Raises:
            RunError: The file cannot be written, or a weight is too large for float16.
        """
        about = json.dumps(self.about)
        plain = {k: (half_precision(k, v) if half else v).contiguous() for k, v in self.tensors.items()}
        write_atomically(Path(file), save(plain, {"format": FORMAT, "state": about, "sha256": digest(plain, about)}))


def shipped_names() -> tuple[str, ...]:
    """Return the names of the models in the package."""
    return tuple(sorted({f.stem for f in SHIPPED.glob(f"*{SUFFIX}")} | set(shipped_models())))


def find_weights(source: str | Path) -> Weights:
    """Find trained weights by name, folder or file.

    Args:
        source: Name of a shipped model; folder of a run or of an exported model (of the run, if the folder has both);
            or path of a checkpoint, of a file of `Weights.release`, or of the `model.onnx` or `card.json` of an
            exported model. A folder or file named like a shipped model is written `./NAME`.

    Raises:
        RunError: There is no such model, its file is damaged or foreign, or it was exported without training weights.

    Example:
        >>> from mien.train import find_weights
        >>> find_weights("nano").recipe["model"]
        'mien_nano'
    """
    if str(source) in shipped_names():
        file = SHIPPED / f"{source}{SUFFIX}"
        return _read(file, str(source)) if file.is_file() else _read_exported(SHIPPED / source, str(source))
    path = Path(source)
    try:
        if path.is_dir():
            if not Run(path).checkpoint_file.exists() and ((path / GRAPH).exists() or (path / CARD).exists()):
                return _read_exported(path, path.resolve().name)
            return _from_checkpoint(Run(path).checkpoint(), path.resolve().name)
        exists = path.exists()
    except OSError as error:
        raise RunError(f"cannot read {source}: {error.strerror or error}") from None
    if not exists:
        raise RunError(not_found_message(source))
    if path.suffix in (".onnx", ".json"):
        return _read_exported(path, path.resolve().parent.name)
    return _read(path, path.name)


def find_initial_weights(recipe: Recipe, source: str | Path) -> Weights:
    """Find the weights from which a recipe starts training.

    Args:
        recipe: Recipe to train.
        source: Name, folder or file, as in `find_weights`.

    Raises:
        RunError: There are no such weights, or the recipe has another architecture, mean or standard deviation.
    """
    weights = find_weights(source)
    differ = [field for field in ("model", "mean", "std") if weights.recipe[field] != getattr(recipe, field)]
    if differ:
        has = ", ".join(f"{f}={weights.recipe[f]}" for f in differ)
        needs = ", ".join(f"{f}={getattr(recipe, f)}" for f in differ)
        options = " ".join(f"--set {f}={weights.recipe[f]}" for f in differ)
        raise RunError(
            f"cannot start training from {source}: it has {has}, and recipe '{recipe.name}' has {needs}; use {options}"
        )
    return weights


def _read(file: Path, name: str) -> Weights:
    tensors, state, file_format = read_safetensors(file, FORMAT, *CHECKPOINTS)
    return (
        Weights(name, tensors, state)
        if file_format == FORMAT
        else _from_checkpoint(checkpoint_from_tensors(tensors, state, file_format), name)
    )


def _read_exported(source: Path, name: str) -> Weights:
    """Return the weights in an exported model: tensors from its graph, all else from its card."""
    try:
        card, graph = read_model(source)
    except MienError as error:
        raise RunError(str(error)) from None
    labels, state = read_state(ModelProto.FromString(graph))
    if labels != card.labels.names:
        raise RunError(f"the graph and the card of {source} do not match: labels {labels} and {card.labels.names}")
    if state is None:
        how = "as int8" if card.storage == "int8" else "by an earlier version of mien"
        raise RunError(
            f"{source} was exported {how}, without training weights; start from its run, or export the run again as "
            "float32 or float16"
        )
    return Weights(name, state, _about(card, source))


def _about(card: Card, source: Path) -> dict[str, Any]:
    """Return the record of the run that a model was exported from, as far as its card has it."""
    # `convert_record` renames `doubts`, as cards of version 1 call the label noise.
    data = {key: card.data.get(key) for key in ("name", "digest", "votes", "doubts", "label_noise", "faces")}
    recorded = {key: value for key, value in data.items() if value is not None}
    record = {
        **({"format": card.origin["run_format"]} if "run_format" in card.origin else {}),  # none in the first cards
        "recipe": dict(card.recipe),
        "data": {**recorded, "labels": list(card.labels.names), "label_set": card.labels.name},
        **{key: card.origin.get(key) for key in ("seed", "init", "teachers", "figures")},
    }
    if card.class_frequencies is not None:
        record["class_frequencies"] = list(card.class_frequencies.training)
    return convert_record(record, source)


def _from_checkpoint(checkpoint: Checkpoint, name: str) -> Weights:
    recipe, history = checkpoint.state["recipe"], checkpoint.state["history"]
    figures = history[select_epoch(history, recipe["select"]) - 1]
    record = {k: checkpoint.state.get(k) for k in RECORDED}
    return Weights(name, checkpoint.evaluated_weights, {**record, "figures": figures})
