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

GRAPH, REST = "_mien/model.onnx", "_mien/reader.json"


@dataclass(frozen=True)
class RecognizerSnapshot:
    """What `open` makes a `Recognizer` of, anywhere; so all read with the same model, whatever is installed there.

    Attributes:
        graph, card: the content of the model's files.
        source: what the graph's file is called.
        options: those of `load`, all of them, but its threads.
        labels: the model's classes.
    """

    graph: bytes
    card: str
    source: str
    options: Mapping[str, Any]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, name_or_path: str | Path | None = None, **options: Any) -> RecognizerSnapshot:
        """The recognizer that `load` would open; raises as `load`."""
        opened = load(name_or_path, **options)
        bound = inspect.signature(load).bind(name_or_path, **options)
        bound.apply_defaults()
        every = {name: value for name, value in bound.arguments.items() if name not in ("name_or_path", "threads")}
        every["prior"] = None if opened.model.prior is None else opened.model.prior.option
        graph = find_model_files(DEFAULT if name_or_path is None else name_or_path)[0].read_bytes()
        return cls(graph, opened.model.card.to_json(), opened.model.source, every, opened.labels.names)

    def open(self, *, threads: int | None = None) -> Recognizer:
        """The recognizer; `threads` as in `load`."""
        options = dict(self.options)
        card, prior = Card.from_json(self.card, self.source), options.pop("prior")
        model = Model(card, self.graph, source=self.source, threads=threads, prior=prior)
        return build_recognizer(model, threads=threads, **options)

    def save(self, store: Store) -> None:
        """Put it beside the results, which then also tell for good what made them; `OSError` where that fails."""
        store.write(GRAPH, self.graph)
        rest = {"card": self.card, "source": self.source, "options": dict(self.options), "labels": self.labels}
        store.write(REST, json.dumps(rest).encode())

    @classmethod
    def saved(cls, store: Store) -> RecognizerSnapshot:
        """What `save` put there; `OSError` where it cannot be read."""
        rest = json.loads(store.read(REST))
        return cls(store.read(GRAPH), rest["card"], rest["source"], rest["options"], tuple(rest["labels"]))

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two of them read alike, as JSON types."""
        return {
            "model": hashlib.sha256(self.graph).hexdigest(),
            "card": hashlib.sha256(self.card.encode()).hexdigest(),
            **json.loads(json.dumps(dict(self.options))),
        }
