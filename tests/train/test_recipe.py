"""Recipes as values, and `--set` as a person types it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mien.errors import MienError
from mien.train import RECIPES, apply_overrides, find_recipe
from mien.train.augment import BlankedByNoise, Cutout, Flip, GaussianNoise
from mien.train.overrides import parse_augment


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipe_is_named_after_its_function_and_becomes_json(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.name == name
    assert json.loads(json.dumps(recipe.to_dict()))["name"] == name


def test_seed_is_the_reports_recipe() -> None:
    seed = find_recipe("seed")
    assert (seed.batch, seed.epochs, seed.lr, seed.momentum, seed.weight_decay) == (64, 9, 0.003, 0.9, 0.0009)
    assert (seed.model, seed.mean, seed.std, seed.augment) == ("seed_cnn", 0.5, 0.5, ())


def test_arms_differ_in_augmentation_alone() -> None:
    arms = [find_recipe(n).to_dict() for n in ("seed", "seed_augmented", "seed_augmented_as_run")]
    for arm in arms:
        del arm["name"], arm["augment"]
    assert arms[0] == arms[1] == arms[2]
    assert find_recipe("seed_augmented").augment == (
        Flip(p=0.5), Cutout(p=0.5, holes=2, size=2), GaussianNoise(p=0.5, low=10, high=50),
    )  # fmt: skip
    assert find_recipe("seed_augmented_as_run").augment == (Flip(), Cutout(p=1.0, holes=2, size=2), BlankedByNoise())


def test_settings_take_the_type_of_their_field() -> None:
    changed = apply_overrides(find_recipe("seed"), ["lr=1e-2", "epochs=3", "model=seed_cnn_eighth", "augment=flip"])
    assert (changed.lr, changed.epochs, changed.model, changed.augment) == (0.01, 3, "seed_cnn_eighth", (Flip(),))
    assert [apply_overrides(changed, [f"drop_duplicates={word}"]).drop_duplicates for word in ("yes", "no")] == [
        True,
        False,
    ]


def test_augmentations_as_text() -> None:
    assert parse_augment("flip + cutout(holes=1, size=14) + gaussiannoise(p=1)") == (
        Flip(), Cutout(holes=1, size=14), GaussianNoise(p=1),
    )  # fmt: skip
    assert parse_augment("none") == ()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("speed=3", r"unknown recipe field 'speed'.*name \(text\).*lr \(number\)"),
        ("epoch=3", r"unknown recipe field 'epoch' in 'epoch=3'; did you mean 'epochs'\? available: "),
        ("weightdecay=0", r"did you mean 'weight_decay'\?"),
        ("augment=flip+cutoff", r"cannot parse 'flip\+cutoff'; did you mean 'cutout'\?"),
        ("augment=albumentations:missing.json", "no such JSON file: 'missing.json'; write the Albumentations pipeline"),
        ("lr", "write FIELD=VALUE"),
        ("lr=fast", "lr must be a number, got 'fast'"),
        ("epochs=2.5", "epochs must be an integer, got '2.5'"),
        ("epochs=0", "epochs must be above 0"),
        ("lr=nan", "lr must be a number, got nan"),
        ("mean=inf", "mean must be a number, got inf"),
        ("batch=99999999999999999999", "batch must be above 0 and below 1,000,000"),
        ("name=../evil", "invalid recipe name"),
        ("name=", "invalid recipe name"),
        ("augment=cutout(holes=1.5)", "Cutout: holes must be an integer, got 1.5"),
        ("augment=flip(p='x')", "Flip: p must be a number, got 'x'"),
        ("augment=cutout(**{'holes': 9})", "is not supported"),
        ("momentum=1", "momentum"),
        ("model=vgg99", "model must be one of .*seed_cnn, .*, got 'vgg99'; did you mean 'vgg13'\\?"),
        ("model=nano", "got 'nano'; did you mean 'mien_nano'\\?"),
        ("accumulate=0", "accumulate must be above 0"),
        ("schedule=step", "schedule must be one of constant, cosine, triangular, got 'step'"),
        (
            "scheme=voting",
            "scheme must be one of fer2013, majority, multi_label, drawing, distribution, mixed, expected",
        ),
        ("label_set=fer8", "label_set must be one of auto, fer7, ferplus8, got 'fer8'"),
        ("mix=1.5", "mix must be from 0 .* to 1 .*, got 1.5"),
        ("warmup=9", "warmup must be shorter than the training of 9 epochs, got 9"),
        ("warmup=-1", "warmup must be 0 or more"),
        ("label_smoothing=1", "label_smoothing must be 0 or more and below 1, got 1"),
        ("class_weights=1.1", "class_weights must be from 0 .* to 1 .*, got 1.1"),
        ("balanced_sampling=-0.1", "balanced_sampling must be from 0"),
        ("ema=1", "ema must be 0 or more and below 1"),
        (
            "select=test_accuracy",
            "select must be one of last, val_accuracy, val_macro_f1, val_loss, got 'test_accuracy'",
        ),
        ("drop_duplicates=perhaps", "drop_duplicates must be yes or no, got 'perhaps'"),
        ("drop_noisy=1", "drop_noisy must be 0 or more and below 1"),
        ("soften_noisy=0.1", "label_noise must be set to a file with out-of-fold predictions, got ''"),
        ("patience=3", "patience needs a metric to watch; set select to one of val_accuracy"),
        ("precision=fp8", "precision must be one of auto, bf16, float32"),
        ("augment=flop", "available: .*albumentations, .*cutout, .*flip, .*gaussiannoise"),
        ("augment=flip(q=1)", "unexpected keyword"),
        ("augment=flip(p=7)", "probability"),
        ("augment=flip+", "cannot parse"),
        ("augment=__import__('os')", "available"),
    ],
)
def test_apply_overrides_invalid_value_is_refused(setting: str, says: str) -> None:
    with pytest.raises(MienError, match=says):
        apply_overrides(find_recipe("seed"), [setting])


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("batch", 14.0, "batch must be an integer, got 14.0"),
        ("batch", True, "batch must be an integer, got True"),
        ("epochs", 1.5, "epochs must be an integer"),
        ("epochs", 10**400, "epochs must be above 0 and below 1,000,000"),
        ("lr", "0.1", "lr must be a number, got '0.1'"),
        ("lr", np.float32(0.1), "lr must be a number"),
        ("patience", np.int64(3), "patience must be an integer"),
        ("optimizer", ["sgd"], "optimizer must be text"),
        ("drop_duplicates", 1, "drop_duplicates must be true or false, got 1"),
        ("augment", None, "augment must be a tuple of augmentations"),
        ("augment", [Flip()], "augment must be a tuple of augmentations"),
    ],
)
def test_recipe_value_of_another_type_is_refused(field: str, value: object, says: str) -> None:
    with pytest.raises(MienError, match=says):
        replace(find_recipe("seed"), **{field: value})


def test_recipe_dropping_more_than_all_faces_is_refused() -> None:
    with pytest.raises(MienError, match=r"soften_noisy plus drop_noisy \(0\.6\) must be at most 1, got 0\.5"):
        replace(find_recipe("seed"), label_noise="x.npz", drop_noisy=0.6, soften_noisy=0.5)


def test_find_recipe_unknown_name_lists_the_recipes() -> None:
    with pytest.raises(
        MienError, match=r"unknown recipe 'sed'; did you mean 'seed'\? available: .*seed_augmented_as_run"
    ):
        find_recipe("sed")
