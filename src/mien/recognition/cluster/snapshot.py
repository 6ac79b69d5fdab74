"""A recognizer as a value that can be sent to other machines."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.model import Model, find_model_files
from mien.model_card import Card
from mien.recognition.cluster.storage import Store
from mien.recognition.recognizer import DEFAULT, Recognizer, build_recognizer, load

GRAPH, RECOGNIZER = "_mien/model.onnx", "_mien/recognizer.json"


@dataclass(frozen=True)
class RecognizerSnapshot:
    """All that `open` needs to build a `Recognizer` on any machine, whatever models are installed there.

    Attributes:
        graph: Content of the model file.
        card: Content of the model card.
        source: Path of the model file, for error messages.
        options: All options of `load` but its threads.
        labels: Classes of the model.

    Example:
        >>> snapshot = RecognizerSnapshot.of("nano", min_confidence=0.5)
        >>> snapshot.open().labels.names == snapshot.labels
        True
    """

    graph: bytes
    card: str
    source: str
    options: Mapping[str, Any]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, name_or_path: str | Path | None = None, **options: Any) -> RecognizerSnapshot:
        """Return a snapshot of the recognizer that `load` would open; raises as `load`."""
        recognizer = load(name_or_path, **options)
        bound = inspect.signature(load).bind(name_or_path, **options)
        bound.apply_defaults()
        every = {n: value for n, value in bound.arguments.items() if n not in ("name_or_path", "threads")}
        model = recognizer.model
        every["prior"] = None if model.prior is None else model.prior.option
        graph = find_model_files(DEFAULT if name_or_path is None else name_or_path)[0].read_bytes()
        return cls(graph, model.card.to_json(), model.source, every, recognizer.labels.names)

    def open(self, *, threads: int | None = None) -> Recognizer:
        """Return the recognizer; `threads` as in `load`."""
        options = dict(self.options)
        card, prior = Card.from_json(self.card, self.source), options.pop("prior")
        model = Model(card, self.graph, source=self.source, threads=threads, prior=prior)
        return build_recognizer(model, threads=threads, **options)

    def save(self, store: Store) -> None:
        """Write the snapshot beside the results, which also documents how they were made; `OSError` if that fails."""
        store.write(GRAPH, self.graph)
        content = {"card": self.card, "source": self.source, "options": dict(self.options), "labels": self.labels}
        store.write(RECOGNIZER, json.dumps(content).encode())

    @classmethod
    def load(cls, store: Store) -> RecognizerSnapshot:
        """Return the snapshot that `save` wrote; `OSError` if it cannot be read."""
        content = json.loads(store.read(RECOGNIZER))
        labels = tuple(content["labels"])
        return cls(store.read(GRAPH), content["card"], content["source"], content["options"], labels)

    @property
    def identity(self) -> dict[str, Any]:
        """Model, card and options, as JSON types; equal for recognizers with equal results."""
        return {
            "model": hashlib.sha256(self.graph).hexdigest(),
            "card": hashlib.sha256(self.card.encode()).hexdigest(),
            **json.loads(json.dumps(dict(self.options))),
        }
