"""The label column of a csv file: numbers of FER2013, or names of classes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mien.labels import FER7, FERPLUS8, SPELLINGS, LabelSet, canonical_name, label_set_for

_NUMBER = re.compile(r"(\d{1,6})(\.0*)?")


@dataclass(frozen=True)
class LabelColumn:
    """What the texts of a label column mean.

    Attributes:
        labels: Label set.
        indices: Class index of each valid text.
        errors: Why each of the other texts is not a label.
        problem: Why the column as a whole cannot be read, or None.
        note: Sentences on what was interpreted; empty if nothing was.
    """

    labels: LabelSet
    indices: Mapping[str, int]
    errors: Mapping[str, str]
    problem: str | None = None
    note: str = ""


def read_labels(counts: Mapping[str, int], column: str) -> LabelColumn:
    """Return what the texts of a label column mean.

    Numbers are FER2013's. Names are FER2013's classes in any spelling, or all of them are classes of another label set.

    Args:
        counts: Number of rows with each text.
        column: Name of the column, for messages.

    Example:
        >>> read_labels({"Happiness": 2, "sad": 1}, "label").indices
        {'Happiness': 3, 'sad': 4}
        >>> read_labels({"0": 2, "9": 1}, "emotion").errors
        {'9': "emotion '9', expected a whole number from 0 to 6"}
    """
    numbers = {text: int(match[1]) for text in counts if (match := _NUMBER.fullmatch(text))}
    names = {text: canonical_name(text) for text in counts if text and text not in numbers}
    if _rows(counts, numbers) >= _rows(counts, names):
        return _numbered(counts, numbers, column)
    return _named(counts, names, column)


def _numbered(counts: Mapping[str, int], numbers: Mapping[str, int], column: str) -> LabelColumn:
    highest = len(FER7) - 1
    indices = {text: number for text, number in numbers.items() if number <= highest}
    errors = {
        text: f"{column} {_quoted(text)}, expected a whole number from 0 to {highest}"
        for text in counts
        if text not in indices
    }
    if any(numbers.get(text) == len(FER7) for text in errors):
        hint = "; if 7 is contempt, write the names of the classes instead of numbers"
        errors = {text: error + hint * (numbers.get(text) == len(FER7)) for text, error in errors.items()}
    problem = None
    if numbers and set(numbers.values()) == set(range(1, len(FER7) + 1)):
        problem = (
            f"the column {column} has the numbers 1 to {len(FER7)}, but FER2013's are 0 (angry) to 6 (neutral), and "
            "other data sets order the classes differently; write the names of the classes instead of numbers"
        )
    decimal = next((text for text in indices if "." in text), None)
    note = f"Labels such as '{decimal}' are read as whole numbers." if decimal else ""
    return LabelColumn(FER7, indices, errors, problem, note)


def _named(counts: Mapping[str, int], names: Mapping[str, str], column: str) -> LabelColumn:
    errors = {
        text: f"{column} {_quoted(text)}, expected the name of a class as in the other rows"
        for text in counts
        if text not in names
    }
    known = {name for name in names.values() if name in FERPLUS8.names}
    if known:  # a misspelled name is not a class of its own
        for text, name in names.items():
            similar = difflib.get_close_matches(name, [*FERPLUS8.names, *SPELLINGS], 1, cutoff=0.75)
            if name not in known and similar:
                errors[text] = f"{column} {_quoted(text)}; did you mean '{canonical_name(similar[0])}'?"
    valid = {text: name for text, name in names.items() if text not in errors}
    if len(set(valid.values())) < 2 and not known:
        only = "".join(list(valid)[:1])
        problem = f"the column {column} has only the label '{only}', expected at least two classes"
        return LabelColumn(FER7, {}, errors, problem)
    labels = label_set_for(sorted(set(valid.values())))
    note = f"Labels are read as names: {', '.join(labels.names)}."
    return LabelColumn(labels, {text: labels.index(name) for text, name in valid.items()}, errors, None, note)


def _rows(counts: Mapping[str, int], texts: Mapping[str, object]) -> int:
    return sum(counts[text] for text in texts)


def _quoted(text: str, longest: int = 40) -> str:
    return repr(text[:longest] + "..." if len(text) > longest else text)
