"""Trained weights: found by run, file or name, loaded into a model, released."""

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
from mien.train.runs.format import converted
from mien.train.runs.graph_state import half_precision, read_state

FORMAT = "mien weights 1"
RECORDED = ("format", "recipe", "seed", "data", "init", "teachers", "class_frequencies")  # of a checkpoint's state
ENDING = ".safetensors"


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a trained model, and what it was trained as.

    Attributes:
        name: what they were asked for by, without folders.
        tensors: the model's state, one tensor per name.
        about: the record of the run (`run_format`): recipe, seed, data (labels in order, name, digest), what they began
            from (`init`), who taught them (`teachers`), the class frequencies of the training targets
            (`class_frequencies`), and the figures of the epoch that they are of.
    """

    name: str
    tensors: Tensors
    about: Mapping[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.about["data"]["labels"])

    @property
    def recipe(self) -> dict[str, Any]:
        return dict(self.about["recipe"])

    @property
    def identity(self) -> dict[str, str]:
        """For the record of a run that starts from them; of the two the sum is what counts."""
        return {"name": self.name, "sha256": digest(self.tensors, "")}

    def load_into(self, model: nn.Module, labels: Sequence[str]) -> None:
        """Load into a model of this architecture; of its `head`, a class that both have, in any spelling, keeps its
        row.

        Other rows stay as they are in `model`: fresh. Where the labels are the same, that is all of the head.

        Raises:
            RunError: the tensors do not fit the model.
        """
        state = dict(self.tensors)
        if tuple(labels) != self.labels:
            own = model.state_dict()
            for key in [k for k in state if k.startswith("head.") and len(state[k]) == len(self.labels)]:
                rows = own[key].clone()
                for row, label in enumerate(labels):
                    place = counterpart(label, self.labels)
                    if place is not None:
                        rows[row] = state[key][place]
                state[key] = rows
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise RunError(f"the weights of '{self.name}' do not fit a {self.recipe['model']}: {error}") from None

    def release(self, file: str | Path, *, half: bool = False) -> None:
        """Write one safetensors file that `find_weights` reads: weights and where they come from, no optimizer.

        Args:
            half: store them as `mien export --storage float16` does, in half the room; a model that they are put into
                widens them.

        Raises:
            RunError: the file cannot be written, or a weight is too large for float16.
        """
        about = json.dumps(self.about)
        plain = {k: (half_precision(k, v) if half else v).contiguous() for k, v in self.tensors.items()}
        write_atomically(Path(file), save(plain, {"format": FORMAT, "state": about, "sha256": digest(plain, about)}))


def shipped() -> tuple[str, ...]:
    """The names of the models in the package."""
    return tuple(sorted({f.stem for f in SHIPPED.glob(f"*{ENDING}")} | set(shipped_models())))


def find_weights(source: str | Path) -> Weights:
    """The weights called `source`: of a shipped model by its name, a run or an exported model by its folder, or a file.

    A file is a checkpoint, what `Weights.release` wrote, or the `model.onnx` or `card.json` of an exported model. A
    folder with both a run and an exported model is the run. A folder or file called like a shipped model is `./NAME`.

    Raises:
        RunError: none of these; a damaged or foreign file; an exported model without training weights. Where nothing is
            called `source`, the text lists the names that there are.
    """
    if str(source) in shipped():
        file = SHIPPED / f"{source}{ENDING}"
        return _read(file, str(source)) if file.is_file() else _exported(SHIPPED / source, str(source))
    path = Path(source)
    try:
        if path.is_dir():
            if not Run(path).checkpoint_file.exists() and ((path / GRAPH).exists() or (path / CARD).exists()):
                return _exported(path, path.resolve().name)
            return _of(Run(path).checkpoint(), path.resolve().name)
        there = path.exists()
    except OSError as error:
        raise RunError(f"cannot read {source}: {error.strerror or error}") from None
    if not there:
        raise RunError(f"no run, no file and no shipped model is called {source}; shipped are: {', '.join(shipped())}")
    if path.suffix in (".onnx", ".json"):
        return _exported(path, path.resolve().parent.name)
    return _read(path, path.name)


def find_initial_weights(recipe: Recipe, source: str | Path) -> Weights:
    """`find_weights` for a model that `recipe` trains further.

    Raises:
        RunError: nothing is called so, or `recipe` trains another architecture, or on pixels normalised otherwise.
    """
    found = find_weights(source)
    differ = [field for field in ("model", "mean", "std") if found.recipe[field] != getattr(recipe, field)]
    if differ:
        asked = ", ".join(f"{f} {getattr(recipe, f)}" for f in differ)
        mend = " ".join(f"--set {f}={found.recipe[f]}" for f in differ)
        raise RunError(f"{source} cannot start recipe '{recipe.name}' with {asked}; to train what it is: {mend}")
    return found


def _read(file: Path, name: str) -> Weights:
    tensors, state, form = read_safetensors(file, FORMAT, *CHECKPOINTS)
    return Weights(name, tensors, state) if form == FORMAT else _of(checkpoint_from_tensors(tensors, state, form), name)


def _exported(source: Path, name: str) -> Weights:
    """The weights in an exported model: tensors from its graph, all else from its card."""
    try:
        card, graph = read_model(source)
    except MienError as error:
        raise RunError(str(error)) from None
    labels, state = read_state(ModelProto.FromString(graph))
    if labels != card.labels.names:
        raise RunError(f"{source} does not fit its card: its labels are {labels}, the card says {card.labels.names}")
    if state is None:
        how = "as int8" if card.storage == "int8" else "by mien < 0.2"
        raise RunError(
            f"{source} was exported {how} without training weights; start from its run, or export that again "
            "as float32 or float16"
        )
    return Weights(name, state, _about(card, source))


def _about(card: Card, source: Path) -> dict[str, Any]:
    """Return the record of the run that a model was exported from, out of its card."""
    data = {key: card.data.get(key) for key in ("name", "digest", "votes", "label_noise", "faces")}
    known = {key: value for key, value in data.items() if value is not None}
    record = {
        "format": card.origin["run_format"],
        "recipe": dict(card.recipe),
        "data": {**known, "labels": list(card.labels.names), "label_set": card.labels.name},
        **{key: card.origin.get(key) for key in ("seed", "init", "teachers", "figures")},
    }
    if card.class_frequencies is not None:
        record["class_frequencies"] = list(card.class_frequencies.training)
    return converted(record, source)


def _of(checkpoint: Checkpoint, name: str) -> Weights:
    recipe, history = checkpoint.state["recipe"], checkpoint.state["history"]
    figures = history[select_epoch(history, recipe["select"]) - 1]
    kept = {k: checkpoint.state.get(k) for k in RECORDED}
    return Weights(name, checkpoint.judged, {**kept, "figures": figures})
