"""The model card: what is known about a model besides its graph."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from mien.errors import MienError, newer_format_message
from mien.imaging.load import CropRule
from mien.labels import LabelSet
from mien.prior import ClassFrequencies

FORMAT = "mien card 3"
# Formats that are still read. Both call the log loss `nll` and the protocol `deduplicated` `clean`; the first lacks the
# class frequencies.
FIRST_FORMAT, SECOND_FORMAT = "mien card 1", "mien card 2"
STORAGES = ("float32", "float16", "int8")
TTAS = ("none", "flip")
OFFICIAL, DEDUPLICATED, STRICT = "official", "deduplicated", "strict"
PROTOCOLS = (OFFICIAL, DEDUPLICATED, STRICT)
OWN_LABELS, MAJORITY_VOTE = "labels", "raters' majority"
AGAINST = (OWN_LABELS, MAJORITY_VOTE)

TEST = "test"  # as `data.split` calls it, a row above

LICENCE = "MIT"
# A card says this of every model; who exports a model of their own may add to it, and cannot take away.
NOT_FOR = (
    "Finding out what a person feels: it tells which expression raters would name on an image of a face.",
    "Decisions about people: hiring, schooling, credit, policing, insurance, health, or the detection of lies.",
    "Emotion recognition at work or in education, which the European Union's AI Act, article 5(1)(f), prohibits except "
    "for medical or safety reasons.",
)


@dataclass(frozen=True)
class Score:
    """How well the model did on one split, one protocol and one kind of label.

    Attributes:
        split: name of the split.
        protocol: `official`, all faces; `deduplicated`, without those that have a byte-identical duplicate in
            training; or `strict`, without those that have a near-duplicate there either.
        against: `labels`, the data's own, or `raters' majority`, that of the FER+ votes.
        tta: `none`, one forward a face, or `flip`, averaged with the mirror image.
        n: faces.
        accuracy, low, high: the share told right, 0 to 1, and its 95 % interval by Wilson.
        macro_f1: plain mean of F1 over the classes, 0 to 1.
        nll: mean negative log probability of the true class.
        ece: expected calibration error, 0 to 1; on what fitted the temperature, cross-fitted.
        selected_on: whether this split chose the epoch or the temperature, so that the figure flatters.
        balanced_ece: class-balanced `ece` (`metrics.balanced_ece`), 0 to 1; None where it was not measured.
    """

    split: str
    protocol: str
    against: str
    tta: str
    n: int
    accuracy: float
    low: float
    high: float
    macro_f1: float
    log_loss: float
    ece: float
    selected_on: bool
    balanced_ece: float | None = None

    def __post_init__(self) -> None:
        for name, there in (("protocol", PROTOCOLS), ("against", AGAINST), ("tta", TTAS)):
            if getattr(self, name) not in there:
                raise MienError(f"a score's {name} is one of {', '.join(there)}, got {getattr(self, name)!r}")
        _whole("a score's n", self.n)
        for name in ("accuracy", "low", "high", "macro_f1", "log_loss", "ece"):
            _number(f"a score's {name}", getattr(self, name))
        if self.balanced_ece is not None:
            _number("a score's balanced_ece", self.balanced_ece)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What one card has at most one score of."""
        return self.split, self.protocol, self.against, self.tta


@dataclass(frozen=True)
class Calibration:
    """The temperature that the logits are divided by, and what it did.

    Attributes:
        temperature: above 1 makes the model less sure of itself (Guo et al. 2017, arXiv 1706.04599).
        split, n: the faces that it was fitted on.
        ece_before: expected calibration error there without it.
        ece_after: with it, each fifth of the faces judged by a temperature fitted on the other four.
        balanced_ece_before, balanced_ece_after: the same of the class-balanced error (`metrics.balanced_ece`); None
            where it was not measured.

    Logits that the export shifts (`ClassFrequencies.export_strength`) are shifted before all of this.
    """

    temperature: float
    split: str
    n: int
    ece_before: float
    ece_after: float
    balanced_ece_before: float | None = None
    balanced_ece_after: float | None = None

    def __post_init__(self) -> None:
        for name in ("temperature", "ece_before", "ece_after"):
            _number(f"the calibration's {name}", getattr(self, name))
        for name in ("balanced_ece_before", "balanced_ece_after"):
            if getattr(self, name) is not None:
                _number(f"the calibration's {name}", getattr(self, name))
        _whole("the calibration's n", self.n)
        if not self.temperature > 0:
            raise MienError(f"the calibration's temperature is above 0, got {self.temperature}")


@dataclass(frozen=True)
class Card:
    """What a person and a program must know of a model beside its graph.

    Attributes:
        name: letters, digits, `_`, `-` and `.`; what `mien.load` calls it.
        labels: the classes in the order of the probabilities.
        sha256: of the ONNX file, hex.
        side: the model takes uint8 faces [N,side,side].
        parameters, flops: of one face's forward; a multiply-add counts as two.
        storage: how the weights lie in the file; they are widened when it is loaded.
        parity: the largest difference of a probability between the file and torch, when it was exported.
        crop: how a face is cut out for it.
        calibration: its temperature.
        class_frequencies: those of training, and those that the probabilities assume; None where they are unknown, as
            on cards of the format `mien card 1`.
        recipe: the fields of the recipe that trained it.
        data: what it was trained on: name, digest, faces, votes.
        origin: seed, epoch judged, what chose that epoch, what the weights began from.
        scores: on validation and training splits.
        test: on test splits; empty until an evaluation fills it.
        licence: of the weights.
        not_for: what it must not be used for.
    """

    name: str
    labels: LabelSet
    sha256: str
    side: int
    parameters: int
    flops: int
    storage: str
    parity: float
    crop: CropRule
    calibration: Calibration
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    origin: Mapping[str, Any]
    class_frequencies: ClassFrequencies | None = None
    scores: tuple[Score, ...] = ()
    test: tuple[Score, ...] = ()
    licence: str = LICENCE
    not_for: tuple[str, ...] = field(default=NOT_FOR)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            raise MienError(f"a model's name has letters, digits, '_', '-' and '.', got '{self.name}'")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise MienError(f"the sha256 of a card is 64 hex digits, got '{self.sha256}'")
        if self.storage not in STORAGES:
            raise MienError(f"a card's storage is one of {', '.join(STORAGES)}, got '{self.storage}'")
        for name in ("side", "parameters", "flops"):
            _whole(f"a card's {name}", getattr(self, name))
        _number("a card's parity", self.parity)
        if not all(isinstance(text, str) and text for text in (self.licence, *self.not_for)):
            raise MienError("a card's licence is text, and its not_for a list of texts")
        if self.class_frequencies is not None and len(self.class_frequencies.training) != len(self.labels):
            raise MienError(
                f"a card of {len(self.labels)} classes has {len(self.class_frequencies.training)} class frequencies"
            )
        if {s.split for s in self.test} - {TEST} or TEST in {s.split for s in self.scores}:
            raise MienError("figures of a test split belong into a card's test, and all others into its scores")
        keys = [s.key for s in (*self.scores, *self.test)]
        if len(set(keys)) != len(keys):
            raise MienError(f"card '{self.name}' has two scores of one kind: {keys}")
        for name in ("recipe", "data", "origin"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def with_scores(self, scores: tuple[Score, ...], *, test: bool = False) -> Card:
        """This card with `scores` in place of those of their kind, among `test` or the others."""
        new = {s.key for s in scores}
        there = self.test if test else self.scores
        kept = tuple(s for s in there if s.key not in new)
        return replace(self, test=kept + scores) if test else replace(self, scores=kept + scores)

    def to_json(self) -> str:
        """The text of `card.json`."""
        told = {
            "format": FORMAT,
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "labels": {"set": self.labels.name, "names": list(self.labels.names)},
            "crop": self.crop.to_dict(),
            "calibration": asdict(self.calibration),
            "class_frequencies": None if self.class_frequencies is None else asdict(self.class_frequencies),
            **{name: dict(getattr(self, name)) for name in ("recipe", "data", "origin")},
            **{name: [asdict(s) for s in getattr(self, name)] for name in ("scores", "test")},
            "not_for": list(self.not_for),
        }
        return json.dumps(told, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> Card:
        """Return the card that `to_json` wrote, in this format or in an earlier one.

        Raises:
            MienError: no card, or one that lacks a field, has an unknown one or a value of the wrong kind; the text
                names `source` and the field.
        """
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            raise MienError(f"{source}: is no card: not JSON") from None
        if not isinstance(told, dict) or told.get("format") not in (FORMAT, SECOND_FORMAT, FIRST_FORMAT):
            form = told.get("format") if isinstance(told, dict) else None
            unknown = f"{source}: is no card of this mien: its format is {form!r}, expected '{FORMAT}'"
            raise MienError(newer_format_message(source, form, FORMAT) or unknown)
        wanted = {f.name for f in fields(cls)} - ({"class_frequencies"} if told["format"] == FIRST_FORMAT else set())
        scores = _scores if told["format"] == FORMAT else _old_scores
        del told["format"]
        if set(told) != wanted:
            odd = [f"lacks {n}" for n in sorted(wanted - set(told))] + [
                f"has an unknown {n}" for n in sorted(set(told) - wanted)
            ]
            raise MienError(f"{source}: {', '.join(odd)}")
        try:
            labels = LabelSet(told["labels"]["set"], tuple(told["labels"]["names"]))
            parts = {
                "labels": labels,
                "crop": CropRule.from_dict(told["crop"]),
                "calibration": Calibration(**told["calibration"]),
                "class_frequencies": _frequencies(told.get("class_frequencies")),
                "scores": scores(told["scores"]),
                "test": scores(told["test"]),
                "not_for": tuple(told["not_for"]) if isinstance(told["not_for"], list) else ("",),
            }
            return cls(**{**told, **parts})
        except (MienError, KeyError, TypeError, ValueError) as error:
            raise MienError(f"{source}: {error}") from None


def _scores(listed: list[dict[str, Any]]) -> tuple[Score, ...]:
    return tuple(Score(**score) for score in listed)


def _old_scores(listed: list[dict[str, Any]]) -> tuple[Score, ...]:
    """Return scores of an earlier format: the log loss was `nll`, the protocol `deduplicated` was `clean`."""
    converted = [{"log_loss" if key == "nll" else key: value for key, value in score.items()} for score in listed]
    return _scores([{**s, "protocol": DEDUPLICATED} if s.get("protocol") == "clean" else s for s in converted])


def _frequencies(told: Any) -> ClassFrequencies | None:
    if told is None:
        return None
    return ClassFrequencies(**{**told, **{name: tuple(told[name]) for name in ("training", "assumed")}})


def _number(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise MienError(f"{what} is a number from 0 on, got {value!r}")


def _whole(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MienError(f"{what} is a whole number above 0, got {value!r}")
