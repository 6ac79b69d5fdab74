"""The model card: what is known about a model besides its graph.

The card is the file `card.json` beside `model.onnx`:

>>> from mien.model_files import read_card
>>> card = read_card("base")
>>> card.name, card.labels.name, card.side, card.licence
('base', 'fer7', 48, 'MIT')
>>> score = card.scores[0]
>>> score.split, score.protocol, score.against, score.n
('val', 'official', 'labels', 3589)
>>> Card.from_json(card.to_json(), "card.json") == card
True
"""

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
# Former formats, which are still read. Both call the log loss `nll` and the protocol `deduplicated` `clean`; the first
# lacks the class frequencies.
FIRST_FORMAT, SECOND_FORMAT = "mien card 1", "mien card 2"

STORAGES = ("float32", "float16", "int8")
TTAS = ("none", "flip")
OFFICIAL, DEDUPLICATED, STRICT = "official", "deduplicated", "strict"
PROTOCOLS = (OFFICIAL, DEDUPLICATED, STRICT)
OWN_LABELS, MAJORITY_VOTE = "labels", "raters' majority"  # as cards and records spell the majority vote of FER+
AGAINST = (OWN_LABELS, MAJORITY_VOTE)
TEST = "test"  # name of the test split, as in `mien.data`, which this module must not import

LICENCE = "MIT"
# Every card has these sentences. An export can add others but cannot remove them.
NOT_FOR = (
    "Inferring what a person feels: the models predict which expression raters would assign to an image of a face.",
    "Decisions about people: hiring, schooling, credit, policing, insurance, health, or the detection of lies.",
    "Emotion recognition at work or in education, which the European Union's AI Act, article 5(1)(f), prohibits except "
    "for medical or safety reasons.",
)


@dataclass(frozen=True)
class Score:
    """Metrics of a model on one split, with one protocol and one kind of label.

    Attributes:
        split: Name of the split.
        protocol: Which faces are evaluated: `official`, all of them; `deduplicated`, without those that have a
            byte-identical duplicate in the training split; `strict`, without those that have a near-duplicate there.
        against: Ground truth: `labels`, those of the data set, or `raters' majority`, the majority vote of FER+.
        tta: Test-time augmentation: `none`, one forward pass per face, or `flip`, averaged with the mirror image.
        n: Number of faces.
        accuracy: Share of correct predictions, 0 to 1.
        low: Lower end of the 95 % Wilson interval of the accuracy.
        high: Upper end of that interval.
        macro_f1: Unweighted mean of the F1 of the classes, 0 to 1.
        log_loss: Mean negative log probability of the true class.
        ece: Expected calibration error, 0 to 1; cross-fitted on faces that fitted the temperature.
        selected_on: Whether this split selected the epoch or fitted the temperature, so that the score is optimistic.
        balanced_ece: Class-balanced `ece` (`metrics.balanced_ece`), 0 to 1; None where it was not measured.

    Raises:
        MienError: A value is out of its range.

    >>> score = Score("test", "official", "labels", "none", n=3589, accuracy=0.7, low=0.685, high=0.715, macro_f1=0.68,
    ...               log_loss=0.85, ece=0.01, selected_on=False)
    >>> score.key
    ('test', 'official', 'labels', 'none')
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
        for name, choices in (("protocol", PROTOCOLS), ("against", AGAINST), ("tta", TTAS)):
            if getattr(self, name) not in choices:
                raise MienError(f"a score's {name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        _require_count("a score's n", self.n)
        for name in ("accuracy", "low", "high", "macro_f1", "log_loss", "ece"):
            _require_number(f"a score's {name}", getattr(self, name))
        if self.balanced_ece is not None:
            _require_number("a score's balanced_ece", self.balanced_ece)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Return split, protocol, ground truth and test-time augmentation; a card has one score for each key."""
        return self.split, self.protocol, self.against, self.tta


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling of a model: the logits are divided by the temperature (Guo et al. 2017, arXiv 1706.04599).

    Logits that the export shifts (`ClassFrequencies.export_strength`) are shifted before.

    Attributes:
        temperature: The temperature; above 1 it lowers the confidence of the model.
        split: Split on which the temperature was fitted; empty if validation has too few faces and it is 1.
        n: Number of faces of validation.
        ece_before: Expected calibration error on these faces without the temperature, 0 to 1.
        ece_after: The same with it, cross-fitted: each fifth of the faces is evaluated with a temperature fitted on the
            other four.
        balanced_ece_before: Class-balanced `ece_before` (`metrics.balanced_ece`); None where it was not measured.
        balanced_ece_after: Class-balanced `ece_after`; None where it was not measured.

    Raises:
        MienError: A value is out of its range.

    >>> Calibration(temperature=1.2, split="val", n=3589, ece_before=0.05, ece_after=0.01).temperature
    1.2
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
            _require_number(f"the calibration's {name}", getattr(self, name))
        for name in ("balanced_ece_before", "balanced_ece_after"):
            if getattr(self, name) is not None:
                _require_number(f"the calibration's {name}", getattr(self, name))
        _require_count("the calibration's n", self.n)
        if not self.temperature > 0:
            raise MienError(f"the calibration's temperature must be above 0, got {self.temperature}")


@dataclass(frozen=True)
class Card:
    """Description of a model: classes, checksum, preprocessing, calibration, training and scores.

    Attributes:
        name: Name of the model, from letters, digits, `_`, `-` and `.`.
        labels: Classes in the order of the probabilities.
        sha256: SHA-256 of the ONNX file, 64 hex digits.
        side: Side of the faces in pixels: the model takes uint8 [N,side,side].
        parameters: Number of parameters.
        flops: Floating-point operations of the forward pass of one face; a multiply-add counts as two.
        storage: Type in which the file stores the weights; onnxruntime converts them when it loads the file.
        parity: Largest difference of a probability between the ONNX graph and torch, measured by the export.
        crop: How a face is cropped for the model.
        calibration: Temperature scaling.
        recipe: Fields of the recipe that trained the model.
        data: Data set of the training: name, digest, number of faces, votes.
        origin: Random seed, selected epoch, what selected it, and the initial weights.
        class_frequencies: Class frequencies of training and those that the probabilities assume; None where they are
            unknown, as on cards of the format `mien card 1`.
        scores: Scores on validation and training splits.
        test: Scores on test splits; empty until `mien evaluate --split test --card` adds them.
        licence: Licence of the weights.
        not_for: Uses that are excluded.

    Raises:
        MienError: A field has the wrong type or is out of its range; the message names it.

    >>> from mien.model_files import read_card
    >>> card = read_card("nano")
    >>> card.parameters, card.storage, card.calibration.split
    (303479, 'float16', 'val')
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
            raise MienError(f"a model's name may have letters, digits, '_', '-' and '.', got '{self.name}'")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise MienError(f"a card's sha256 must be 64 hex digits, got '{self.sha256}'")
        if self.storage not in STORAGES:
            raise MienError(f"a card's storage must be one of {', '.join(STORAGES)}, got '{self.storage}'")
        for name in ("side", "parameters", "flops"):
            _require_count(f"a card's {name}", getattr(self, name))
        _require_number("a card's parity", self.parity)
        if not all(isinstance(text, str) and text for text in (self.licence, *self.not_for)):
            raise MienError("a card's licence must be text, and its not_for a list of texts")
        if self.class_frequencies is not None and len(self.class_frequencies.training) != len(self.labels):
            raise MienError(
                f"a card with {len(self.labels)} classes has {len(self.class_frequencies.training)} class frequencies; "
                "the numbers must be equal"
            )
        if {s.split for s in self.test} - {TEST} or TEST in {s.split for s in self.scores}:
            raise MienError("a card has scores of test splits in its field test, and all others in its field scores")
        keys = [s.key for s in (*self.scores, *self.test)]
        if len(set(keys)) != len(keys):
            raise MienError(f"card '{self.name}' has two scores with the same key: {keys}")
        for name in ("recipe", "data", "origin"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def with_scores(self, scores: tuple[Score, ...], *, test: bool = False) -> Card:
        """Return this card with new scores, which replace those with the same key.

        Args:
            scores: Scores to add.
            test: Whether to add them to `test` instead of `scores`.

        >>> from dataclasses import replace
        >>> from mien.model_files import read_card
        >>> card = read_card("base")
        >>> better = replace(card.scores[0], accuracy=0.9)
        >>> card.with_scores((better,)).scores[-1].accuracy
        0.9
        """
        new = {s.key for s in scores}
        kept = tuple(s for s in (self.test if test else self.scores) if s.key not in new)
        return replace(self, test=kept + scores) if test else replace(self, scores=kept + scores)

    def to_json(self) -> str:
        """Return the content of `card.json`."""
        record = {
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
        return json.dumps(record, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> Card:
        """Parse the content of `card.json`, in this format or a former one.

        Args:
            text: Content of the file.
            source: Path of the file, for error messages.

        Raises:
            MienError: The text is not a card, lacks a field, has an unknown one or an invalid value; the message names
                `source` and the field.

        >>> Card.from_json("[]", "card.json")
        Traceback (most recent call last):
        mien.errors.MienError: card.json is not a model card: its format is None, expected 'mien card 3'
        """
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            raise MienError(f"{source} is not a model card: not JSON") from None
        form = record.get("format") if isinstance(record, dict) else None
        if form not in (FORMAT, SECOND_FORMAT, FIRST_FORMAT):
            unknown = f"{source} is not a model card: its format is {form!r}, expected '{FORMAT}'"
            raise MienError(newer_format_message(source, form, FORMAT) or unknown)
        expected = {f.name for f in fields(cls)} - ({"class_frequencies"} if form == FIRST_FORMAT else set())
        del record["format"]
        if set(record) != expected:
            missing = [f"lacks {name}" for name in sorted(expected - set(record))]
            unexpected = [f"has an unknown {name}" for name in sorted(set(record) - expected)]
            raise MienError(f"{source}: {', '.join(missing + unexpected)}")
        parse_scores = _parse_scores if form == FORMAT else _parse_former_scores
        try:
            values = {
                "labels": LabelSet(record["labels"]["set"], tuple(record["labels"]["names"])),
                "crop": CropRule.from_dict(record["crop"]),
                "calibration": Calibration(**record["calibration"]),
                "class_frequencies": _parse_class_frequencies(record.get("class_frequencies")),
                "scores": parse_scores(record["scores"]),
                "test": parse_scores(record["test"]),
                "not_for": tuple(record["not_for"]) if isinstance(record["not_for"], list) else ("",),
            }
            return cls(**{**record, **values})
        except (MienError, KeyError, TypeError, ValueError) as error:
            raise MienError(f"{source}: {error}") from None


def _parse_scores(records: list[dict[str, Any]]) -> tuple[Score, ...]:
    return tuple(Score(**record) for record in records)


def _parse_former_scores(records: list[dict[str, Any]]) -> tuple[Score, ...]:
    renamed = [{"log_loss" if key == "nll" else key: value for key, value in r.items()} for r in records]
    return _parse_scores([{**r, "protocol": DEDUPLICATED} if r.get("protocol") == "clean" else r for r in renamed])


def _parse_class_frequencies(record: Any) -> ClassFrequencies | None:
    if record is None:
        return None
    return ClassFrequencies(**{**record, **{name: tuple(record[name]) for name in ("training", "assumed")}})


def _require_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise MienError(f"{name} must be a number of 0 or more, got {value!r}")


def _require_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MienError(f"{name} must be a whole number above 0, got {value!r}")
