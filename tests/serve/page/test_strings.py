"""The texts of the page: both languages have the same keys and placeholders, and every key is used."""

from __future__ import annotations

import re

from browser import STRINGS
from mien.labels import FER7, FERPLUS8
from mien.recognition.results import UNCERTAIN
from mien.serve.routes.page import FOLDER

SERVE = FOLDER.parent
SOURCES = [file for file in FOLDER.iterdir() if file.suffix in (".js", ".html") and file.name != "strings.js"]
FILE_NAMES = {"faces.json", "faces.png", "portrait.jpg"}  # quoted in the same way as keys
TEXT = "\n".join(file.read_text() for file in SOURCES)


def used_keys() -> set[str]:
    """Return the keys in calls and attributes, with those that are put together from a prefix or a suffix."""
    keys = set(re.findall(r'"([a-z_]+\.\w+)"', TEXT))
    prefixes = tuple(re.findall(r"`([a-z_]+\.)\$\{", TEXT))
    keys |= {key for key in STRINGS["en"] if key.startswith(prefixes)}
    return keys | {f"{key}_hint" for key in keys if f"{key}_hint" in STRINGS["en"]}


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_languages_have_the_same_keys() -> None:
    assert list(STRINGS) == ["en", "de"]
    assert list(STRINGS["en"]) == list(STRINGS["de"])


def test_languages_have_the_same_placeholders() -> None:
    for key, text in STRINGS["en"].items():
        assert placeholders(text) == placeholders(STRINGS["de"][key]), key
        assert text.count("**") == STRINGS["de"][key].count("**")
        assert text.count("`") == STRINGS["de"][key].count("`")


def test_every_key_is_used_and_every_used_key_exists() -> None:
    assert len(STRINGS["en"]) > 100
    assert used_keys() - FILE_NAMES == set(STRINGS["en"])


def test_errors_have_a_message_and_a_hint() -> None:
    errors = [key for key in STRINGS["en"] if key.split(".")[0] in ("error", "image", "server", "webcam_error")]
    messages = {key for key in errors if not key.endswith("_hint")}
    assert {f"{key}_hint" for key in messages} == set(errors) - messages


def test_labels_of_the_package_have_a_text() -> None:
    labels = {key.removeprefix("label.") for key in STRINGS["en"] if key.startswith("label.")}
    assert labels == {*FER7.names, *FERPLUS8.names, UNCERTAIN}


def test_server_errors_have_codes_of_the_service() -> None:
    python = "\n".join(file.read_text() for file in SERVE.rglob("*.py"))
    for key in STRINGS["en"]:
        if key.startswith("server.") and not key.endswith("_hint"):
            assert f'"{key.removeprefix("server.")}"' in python
