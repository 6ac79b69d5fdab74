"""What a search may try: read from a file, or refused in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mien.errors import MienError
from mien.train import Recipe, find_recipe
from mien.train.search.space import Choice, Range, load_space


def written(folder: Path, text: str) -> Path:
    file = folder / "space.toml"
    file.write_text(text)
    return file


def test_ranges_and_choices_are_read(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "lr = {low = 1e-4, high = 0.1, log = true}\nbatch = {low = 32, high = 256}\n"
        'augment = ["none", "flip+cutout"]\n',
    )
    space = load_space(file)
    assert space.of == {
        "lr": Range(1e-4, 0.1, True), "batch": Range(32, 256), "augment": Choice(("none", "flip+cutout")),
    }  # fmt: skip
    assert space.of["batch"].whole
    assert not space.of["lr"].whole
    space.check_recipe(find_recipe("seed"))


def test_the_default_holds_what_the_student_report_settled_by_hand() -> None:
    assert load_space("default").holds(find_recipe("seed")) == {"lr": 0.003, "weight_decay": 0.0009, "batch": 64}


def test_own_values_are_found_among_choices_or_are_none(tmp_path: Path) -> None:
    space = load_space(written(tmp_path, 'augment = ["flip", "none"]\nlr = {low = 0.001, high = 0.01}\n'))
    assert space.holds(Recipe("a", lr=0.002)) == {"augment": "none", "lr": 0.002}
    assert space.holds(Recipe("a", lr=0.02)) is None
    assert space.holds(replace(find_recipe("seed_augmented"), lr=0.002)) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no field of a recipe"),
        ("lr = ", "is no TOML file that can be read"),
        ("rate = [1]", "rate is no field that can be searched; those are model, augment, batch"),
        ("epochs = [3, 5]", "epochs is no field that can be searched"),
        ("lr = 0.1", r"lr is a list of values or \{low = A, high = B\} .* got 0.1"),
        ("lr = []", "lr is a list of values"),
        ("lr = [true]", "lr is a list of values"),
        ("lr = {low = 1}", "lr is a list of values"),
        ("lr = {low = 1, high = 2, step = 1}", "lr is a list of values"),
        ("lr = {low = 2, high = 1}", "with A below B"),
        ("lr = {low = 0, high = 1, log = true}", "log = true where both are above 0"),
        ("lr = {low = 0.1, high = inf}", "lr is a list of values"),
    ],
)
def test_a_file_that_is_no_space(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MienError, match=says):
        load_space(written(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(MienError, match=r"there is no space called .*nowhere.toml: it is 'default' or a TOML file"):
        load_space(tmp_path / "nowhere.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MienError, match="is no TOML file that can be read"):
        load_space(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('optimizer = ["sgd", "sdg"]', "optimizer must be one of sgd, "),
        ("momentum = {low = 0.5, high = 1.5}", "momentum must be 0 or more and below 1"),
        ("batch = [32, 0.5]", "batch is a whole number, got '0.5'"),
    ],
)
def test_values_that_no_recipe_takes(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MienError, match=says):
        load_space(written(tmp_path, text)).check_recipe(find_recipe("seed"))
