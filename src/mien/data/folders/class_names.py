"""Class and split names in the spellings that folders and files of labels have."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from mien.data.dataset import TEST, TRAIN, VAL
from mien.labels import FER7, FERPLUS8, SPELLINGS, canonical_name

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"), VAL),
    **dict.fromkeys(("test", "testing", "tst"), TEST),
    "publictest": VAL,
    "privatetest": TEST,
}
# Words beside the name of a split: `train_set`, `test images`, `Validation Data`.
_FILLERS = {"set", "split", "data", "dataset", "images", "image", "imgs", "faces", "class", "classes", "aligned"}
_NUMBERED = re.compile(r"[\s(\[]*\d+\s*[\s_.:)\]-]+(?P<before>\D.*)|(?P<after>.*\D)[\s_.:([-]+\d+[\s)\]]*")
_NUMBER = re.compile(r"(?:class|label|emotion|expression)?[\s_-]*(\d{1,3})", re.IGNORECASE)
_EXPRESSIONS = set(FERPLUS8.names)
_SIMILARITY = 0.75  # of two names of which one may be a misspelling of the other

# What numbers mean in published data sets; the names are those of FER2013 and FER+.
NUMBERS: dict[str, dict[int, str]] = {
    "fer2013": dict(enumerate(FER7.names)),
    "raf-db": dict(enumerate(("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), 1)),
    "affectnet": dict(enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"))),
}


def split_for_folder(name: str) -> str | None:
    """Return the split that the name of a folder means, in any usual spelling; None if it is not one.

    Args:
        name: Name of a folder.

    Example:
        >>> [split_for_folder(name) for name in ("Training", "valid_set", "PublicTest", "trainval")]
        ['train', 'val', 'val', None]
    """
    words = [word for word in re.split(r"[\W\d_]+", name.casefold()) if word]
    joined = "".join(word for word in words if word not in _FILLERS)
    return SPLIT_WORDS.get(joined) or SPLIT_WORDS.get(joined.removesuffix("set"))


def expression_for(name: str) -> str | None:
    """Return the expression that a class name means, without a number before or after it; None if it is not one.

    Args:
        name: Name of a class or of its folder.

    Example:
        >>> [expression_for(name) for name in ("Happiness", "0_angry", "05. Suprised", "fear_2", "bored")]
        ['happy', 'angry', 'surprise', 'fear', None]
    """
    text = normalize(name)
    match = _NUMBERED.fullmatch(text)
    for candidate in (text, match and (match["before"] or match["after"])):
        if candidate and canonical_name(candidate.strip()) in _EXPRESSIONS:
            return canonical_name(candidate.strip())
    return None


def number_for(name: str) -> int | None:
    """Return the number that a class is called by, else None.

    Example:
        >>> number_for("3"), number_for("class003"), number_for("3_happy")
        (3, 3, None)
    """
    match = _NUMBER.fullmatch(name.strip())
    return int(match[1]) if match else None


def normalize(name: str) -> str:
    """Return the form that all spellings of a name have in common: lower case, NFC, without spaces around it."""
    return unicodedata.normalize("NFC", name.strip().casefold())


def unify_names(names_by_split: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return one class name for each spelling of it.

    Names that mean the same expression, or differ only in case, spaces around them or Unicode form, are one class. It
    is spelled as in the first split that has it; of several spellings in one split the first is used.

    Args:
        names_by_split: Class names of each split, in the order of preference.

    Example:
        >>> unify_names({"train": ["Happy", "bored"], "test": ["happiness", "Bored "]})
        {'Happy': 'Happy', 'bored': 'bored', 'happiness': 'Happy', 'Bored ': 'bored'}
    """
    spelling: dict[str, str] = {}
    unified: dict[str, str] = {}
    for names in names_by_split.values():
        for name in names:
            key = expression_for(name) or normalize(name)
            plain = name.strip() if normalize(name) in SPELLINGS or key == normalize(name) else key
            unified[name] = spelling.setdefault(key, plain)
    return unified


def misspelled(names: Sequence[str]) -> dict[str, str]:
    """Return the expression that each name may be a misspelling of, for names of classes that are not expressions.

    Args:
        names: Names of all classes of a data set.

    Example:
        >>> misspelled(["happy", "sad", "neutrol", "bored"])
        {'neutrol': 'neutral'}
    """
    known = {expression_for(name) for name in names} - {None}
    similar = {}
    for name in names:
        if expression_for(name) is None and known:
            match = difflib.get_close_matches(normalize(name), [*_EXPRESSIONS, *SPELLINGS], 1, _SIMILARITY)
            if match and canonical_name(match[0]) not in known:
                similar[name] = canonical_name(match[0])
    return similar


def describe_numbers(layout: str) -> str:
    """Return the meaning of the numbers of a layout in words.

    Example:
        >>> describe_numbers("raf-db")
        '1 = surprise, 2 = fear, 3 = disgust, 4 = happy, 5 = sad, 6 = angry, 7 = neutral'
    """
    return ", ".join(f"{number} = {name}" for number, name in NUMBERS[layout].items())
