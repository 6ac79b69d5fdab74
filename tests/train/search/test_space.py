"""Search spaces: TOML files, and invalid ranges and values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mien.errors import MienError
from mien.train import Recipe, find_recipe
from mien.train.search.space import Choice, Range, load_space


def write_space(folder: Path, text: str) -> Path:
    file = folder / "space.toml"
    file.write_text(text)
    return file


def test_load_space_reads_ranges_and_choices(tmp_path: Path) -> None:
    file = write_space(
        tmp_path,
        "lr = {low = 1e-4, high = 0.1, log = true}\nbatch = {low = 32, high = 256}\n"
        'augment = ["none", "flip+cutout"]\n',
    )
    space = load_space(file)
    assert space.parameters == {
        "lr": Range(1e-4, 0.1, True), "batch": Range(32, 256), "augment": Choice(("none", "flip+cutout")),
    }  # fmt: skip
    assert space.parameters["batch"].is_integer
    assert not space.parameters["lr"].is_integer
    space.check_recipe(find_recipe("seed"))


def test_default_space_contains_recipe_seed() -> None:
    assert load_space("default").recipe_values(find_recipe("seed")) == {
        "lr": 0.003,
        "weight_decay": 0.0009,
        "batch": 64,
    }


def test_recipe_values_none_if_outside_the_space(tmp_path: Path) -> None:
    space = load_space(write_space(tmp_path, 'augment = ["flip", "none"]\nlr = {low = 0.001, high = 0.01}\n'))
    assert space.recipe_values(Recipe("a", lr=0.002)) == {"augment": "none", "lr": 0.002}
    assert space.recipe_values(Recipe("a", lr=0.02)) is None
    assert space.recipe_values(replace(find_recipe("seed_augmented"), lr=0.002)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; a search space names"),
        ("lr = ", "as a TOML file"),
        ("rate = [1]", "rate cannot be searched; searchable fields are model, augment, batch"),
        ("epochs = [3, 5]", "epochs cannot be searched"),
        ("lr = 0.1", r"lr must be a list of values or \{low = A, high = B\} .* got 0.1"),
        ("lr = []", "lr must be a list of values"),
        ("lr = [true]", "lr must be a list of values"),
        ("lr = {low = 1}", "lr must be a list of values"),
        ("lr = {low = 1, high = 2, step = 1}", "lr must be a list of values"),
        ("lr = {low = 2, high = 1}", "with A below B"),
        ("lr = {low = 0, high = 1, log = true}", "log = true only where both are above 0"),
        ("lr = {low = 0.1, high = inf}", "lr must be a list of values"),
    ],
)
def test_load_space_invalid_file_raises(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MienError, match=message):
        load_space(write_space(tmp_path, text))


def test_load_space_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(
        MienError, match=r"search space not found: .*nowhere.toml; use 'default' or the path of a TOML file"
    ):
        load_space(tmp_path / "nowhere.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MienError, match="as a TOML file"):
        load_space(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('optimizer = ["sgd", "sdg"]', "optimizer must be one of sgd, "),
        ("momentum = {low = 0.5, high = 1.5}", "momentum must be 0 or more and below 1"),
        ("batch = [32, 0.5]", "batch must be an integer, got '0.5'"),
    ],
)
def test_check_recipe_invalid_values_raise(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MienError, match=message):
        load_space(write_space(tmp_path, text)).check_recipe(find_recipe("seed"))
