"""Explanations explain the model: shuffle what it has learned, and the maps change."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mien.model import load

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def sanity() -> ModuleType:
    """Import experiments/explain_sanity.py, which is not in a package."""
    spec = importlib.util.spec_from_file_location("explain_sanity", EXPERIMENTS / "explain_sanity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shuffled_weights_destroy_the_maps(sanity: ModuleType) -> None:
    trained, others = (
        sanity.explain_sample(load(sanity.MODEL)),
        [sanity.explain_sample(sanity.shuffle_weights(seed)) for seed in range(3)],
    )
    for kind in sanity.KINDS:
        kept = [sanity.rank_correlation(trained, other, kind) for other in others]
        assert np.mean(np.abs(kept)) < 0.5, (kind, kept)


def test_the_same_weights_give_the_same_maps_and_the_same_crop(sanity: ModuleType) -> None:
    trained, again, other = (
        sanity.explain_sample(model) for model in (load(sanity.MODEL), load(sanity.MODEL), sanity.shuffle_weights(0))
    )
    np.testing.assert_array_equal(trained.face_HW, other.face_HW)
    for kind in sanity.KINDS:
        assert sanity.rank_correlation(trained, again, kind) > 0.999


def test_the_record_is_of_the_model_that_ships(sanity: ModuleType) -> None:
    record = json.loads((EXPERIMENTS / "results" / "explain_sanity.json").read_text())
    assert record["sha256"] == load(sanity.MODEL).card.sha256
    assert all(k["mean_size"] < 0.5 for k in record["rank_correlation"].values())
