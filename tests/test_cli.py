"""The command line as a person uses it: what is printed, what is written, and what a mistake looks like."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mien.cli import COMMANDS, app
from mien.cli.output import stoppable
from mien.data import find_near_duplicates, load, sketch, write_csv
from mien.errors import Stopped

Command = Callable[..., tuple[int, str, str]]
SHORT = ("--set", "model=mien_nano", "--set", "epochs=1", "--set", "precision=float32")


@pytest.fixture(scope="module")
def study(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison of two arms and three seeds."""
    from mien.train import apply_overrides, compare, find_recipe

    folder = tmp_path_factory.mktemp("study")
    arms = [apply_overrides(find_recipe(n), SHORT[1::2]) for n in ("seed", "seed_augmented")]
    compare(load(csv), arms, seeds=3, out=folder)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_options_has_placeholders_of_one_style(command: str) -> None:
    """A flag has none; an option with a value has `NAME`, `N` or its choices, and not the name of a Python type."""
    program = typer.main.get_command(app)
    context = program.make_context("mien", [], resilient_parsing=True)
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
    assert "<" not in shown
    options = [p for p in program.get_command(context, command).params if p.param_type_name == "option"]
    assert [p.name for p in options if not p.is_flag and not p.metavar] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_in_a_weakref_callback_stops_the_command(number: signal.Signals) -> None:
    """Python ignores the exception of a signal handler that runs in such a callback."""
    ignored = threading.Event()

    def callback(_: object) -> None:
        ignored.set()
        signal.raise_signal(number)

    def work() -> None:
        thing = threading.Event()
        reference = weakref.ref(thing, callback)
        del thing
        assert reference() is None
        threading.Event().wait(60)

    with pytest.raises(Stopped, match="stopped; some rows are kept") as stopped, stoppable("some rows are kept"):
        work()
    assert ignored.is_set()
    assert stopped.value.exit_code == 128 + number


def test_version_and_help(mien: Command) -> None:
    assert mien("--version")[1].startswith("mien 0.")
    details = mien("--version", "--verbose")[1]
    assert all(word in details for word in ("Python 3.", "numpy ", "CPUExecutionProvider", "threads ", "CPU flags"))
    assert "--verbose needs --version" in mien("--verbose")[2]
    code, out, _ = mien("--help")
    assert code == 0
    assert all(command in out for command in ("data", "train", "compare", "evaluate", "benchmark", "models"))


def test_data_shows_counts_defects_and_images(mien: Command, csv: Path, tmp_path: Path) -> None:
    code, out, err = mien("data", csv, "--out", tmp_path / "shown", "--json", tmp_path / "audit.json")
    assert (code, err) == (0, "")
    assert all(word in out for word in ("disgust", "train", "val", "test", "70", "35"))
    assert json.loads((tmp_path / "audit.json").read_text())["counts"]["train"]
    for name in ("classes.png", "faces.png"):
        image = cv2.imread(str(tmp_path / "shown" / name))
        assert image is not None
        assert image.std() > 5


def test_near_duplicates_are_looked_for_where_asked(mien: Command, tmp_path: Path) -> None:
    """Of the one data set: shown, left out of training, and left out of the judging."""
    drawn = sketch(train=21, val=14, test=0)
    val_NHW = drawn["val"].pixels_NHW.copy()
    val_NHW[2] = drawn["train"].pixels_NHW[4] * 0.7 + 30
    leaky = replace(drawn, splits={**drawn.splits, "val": replace(drawn["val"], pixels_NHW=val_NHW)})
    write_csv(tmp_path / "leaky.csv", leaky)
    data = load(tmp_path / "leaky.csv")
    duplicates = find_near_duplicates(data)
    copies = int(duplicates.mask(data["train"], data["val"]).sum())
    assert copies
    shown = ("data", tmp_path / "leaky.csv", "--out", tmp_path / "shown", "--json", tmp_path / "audit.json")
    assert "near-duplicate" not in mien(*shown)[1]
    code, out, err = mien(*shown, "--audit")
    assert (code, err) == (0, "")
    assert "near-duplicate" in out
    near = json.loads((tmp_path / "audit.json").read_text())["near"]
    assert sum(near["faces"]["val in train"].values()) == int(duplicates.mask(data["val"], data["train"]).sum())
    words = ("train", "seed", "--data", tmp_path / "leaky.csv", "--out", tmp_path / "run", *SHORT)
    code, out, _ = mien(*words, "--drop-twins")
    assert code == 0
    assert f"trained on {21 - copies} of 21 training faces" in out
    record = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert record["recipe"]["drop_duplicates"] is True
    assert record["data"]["faces"]["train"] == 21 - copies
    code, _, err = mien(*words, "--resume")
    assert code == 2
    assert "recipe.drop_duplicates=true instead of false" in err
    judge = ("evaluate", tmp_path / "run", "--data", tmp_path / "leaky.csv", "--split", "val")
    code, out, err = mien(*judge, "--strict", "--json", tmp_path / "f.json")
    assert (code, err) == (0, "")
    assert "strict: also without faces that have a near-duplicate" in out
    told = json.loads((tmp_path / "f.json").read_text())
    assert told["deduplicated"]["n"] == 14
    assert told["strict"]["n"] == 14 - int(duplicates.mask(data["val"], data["train"]).sum())
    assert "strict" not in mien(*judge)[1]


def test_sketch_is_written_and_nothing_else_can_be(mien: Command, tmp_path: Path) -> None:
    assert mien("data", "sketch", tmp_path / "s.csv")[0] == 0
    assert (tmp_path / "s.csv").read_text().startswith("emotion,pixels,Usage\n")
    code, _, err = mien("data", tmp_path / "s.csv", tmp_path / "t.csv")
    assert code == 2
    assert "only 'sketch' can be written" in err


@pytest.mark.parametrize("command", ["recipes", "augmentations"])
def test_lists_have_one_line_each(mien: Command, command: str) -> None:
    from mien.train import RECIPES
    from mien.train.augment import AUGMENTATIONS

    code, out, err = mien(command)
    assert (code, err) == (0, "")
    names = [re.split(r"[ (:]", line)[0] for line in out.splitlines()]
    assert names == list({"recipes": RECIPES, "augmentations": AUGMENTATIONS}[command])
    assert all(line.endswith(".") for line in out.splitlines())


def test_train_options_change_recipe(mien: Command, csv: Path, tmp_path: Path) -> None:
    options = ("--epochs", 1, "--batch", 35, "--lr", 0.01, "--model", "mien_nano", "--augment", "flip+cutout(size=4)")
    code, _, err = mien("train", "seed", "--data", csv, "--out", tmp_path / "run", *options, "--set", "lr=0.5")
    assert code == 0, err
    assert err.startswith(f"reading {csv}\nseed, random seed 0\nmien_nano on ")
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]
    assert {field: recipe[field] for field in ("epochs", "batch", "lr", "model")} == {
        "epochs": 1, "batch": 35, "lr": 0.01, "model": "mien_nano",
    }  # fmt: skip
    assert [change["name"] for change in recipe["augment"]] == ["flip", "cutout"]


def test_train_then_evaluate(mien: Command, csv: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, out, err = mien("train", "seed_augmented", "--data", csv, "--out", run, "--seed", 4, *SHORT)
    assert code == 0, err
    assert f"mien evaluate {run}" in out
    assert "epoch 1/1" in err
    code, out, err = mien("evaluate", run, "--data", csv, "--split", "test",
                          "--json", tmp_path / "f.json", "--predictions", tmp_path / "p.npy")  # fmt: skip
    assert (code, err) == (0, "")
    figures, p_NK = json.loads((tmp_path / "f.json").read_text()), np.load(tmp_path / "p.npy")
    assert p_NK.shape == (35, 7)
    assert figures["n"] == 35
    assert figures["split"] == "test"
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert figures["accuracy"] == pytest.approx(last["test_accuracy"])
    code, _, err = mien("train", "seed_augmented", "--data", csv, "--out", run, "--seed", 4, *SHORT)
    assert code == 2
    assert "--resume" in err
    assert mien("train", "seed_augmented", "--data", csv, "--out", run, "--seed", 4, "--resume", *SHORT)[0] == 0


@pytest.mark.slow
def test_compare_reuses_what_is_finished_and_writes_the_report(
    mien: Command, csv: Path, study: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(study, folder)
    shutil.rmtree(folder / "seed_augmented-seed2")
    before = {f: f.stat().st_mtime_ns for f in folder.glob("*/checkpoint.safetensors")}
    code, out, err = mien("compare", "--data", csv, "--arms", "seed,seed_augmented", "--out", folder, *SHORT)
    assert code == 0, err
    assert all(f.stat().st_mtime_ns == at for f, at in before.items())
    assert (folder / "seed_augmented-seed2" / "checkpoint.safetensors").exists()
    sentence = json.loads((folder / "comparison.json").read_text())["verdicts"][0]["sentence"]
    assert sentence in out
    page = (folder / "report.html").read_text()
    assert "35 faces" in sentence
    assert "3 random seeds" in sentence
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert sorted(f.suffix for f in (folder / "plots").iterdir()) == [".png"] * len(list((folder / "plots").iterdir()))
    assert len(list((folder / "plots").iterdir())) >= 5


def test_mistakes_are_one_sentence_and_exit_2(mien: Command, csv: Path, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "never"
    cases = [
        (("data", tmp_path / "no.csv"), "no.csv"),
        (("train", "sed", "--data", csv, "--out", out), "unknown recipe 'sed'; did you mean 'seed'?"),
        (("train", "seed", "--data", csv, "--out", out, "--set", "speed=1"), "available: name (text)"),
        (
            ("train", "seed", "--data", csv, "--out", out, "--device", "tpu"),
            "device 'tpu' is not available on this machine; available: cpu",
        ),
        (("compare", "--data", csv, "--arms", "seed", "--out", out), "needs at least two different arms, got seed"),
        (("compare", "--data", csv, "--arms", "seed,seed", "--out", out), "needs at least two different arms"),
        (("evaluate", study / "seed-seed0", "--data", csv, "--split", "dev"), "has no split 'dev'"),
        (("evaluate", tmp_path / "no", "--data", csv, "--split", "val"), "model not found"),
        (("evaluate", tmp_path, "--data", csv, "--split", "val"), "contains no checkpoint.safetensors"),
    ]
    for words, says in cases:
        code, said, err = mien(*words)
        assert code == 2, words
        assert says in err
        assert err.removeprefix(f"reading {csv}\n").startswith("mien: ")
        assert "Traceback" not in err
        assert said == ""
    assert not out.exists()


def test_figures_that_cannot_be_written(mien: Command, csv: Path, study: Path) -> None:
    for option in ("--json", "--predictions"):
        code, _, err = mien("evaluate", study / "seed-seed0", "--data", csv, "--split", "val", option, csv / "f.x")
        assert code == 2
        assert err.startswith(f"mien: cannot write {csv / 'f.x'}: ")
        assert err.count("\n") == 1


def test_faces_without_labels_get_probabilities_and_no_figures(
    mien: Command, csv: Path, study: Path, tmp_path: Path
) -> None:
    blank = tmp_path / "test.csv"
    rows = [line.split(",")[1] for line in csv.read_text().splitlines()[1:]]
    blank.write_text("\n".join(["pixels", *rows[:9]]) + "\n")
    code, out, err = mien("evaluate", study / "seed-seed0", "--data", blank, "--split", "test",
                          "--predictions", tmp_path / "p.npy")  # fmt: skip
    assert (code, err) == (0, "")
    assert "split 'test' has no labels" in out
    assert np.load(tmp_path / "p.npy").shape == (9, 7)
    code, _, err = mien("train", "seed", "--data", blank, "--out", tmp_path / "run", *SHORT)
    assert code == 2
    assert "has no split 'train'" in err


def test_compare_with_one_seed_decides_nothing(mien: Command, csv: Path, tmp_path: Path) -> None:
    code, out, _ = mien(
        "compare", "--data", csv, "--arms", "seed,seed_augmented", "--seeds", 1, "--out", tmp_path, *SHORT
    )
    assert code == 0
    assert "\nNot enough seeds to decide (1 of 3 needed). seed_augmented − seed: " in out


@pytest.mark.slow
def test_folder_with_its_own_labels_trains_and_is_judged(mien: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("validation", 6)):
        for label, grey in (("bored", 40), ("keen", 200)):
            folder = tmp_path / "faces" / split / label
            folder.mkdir(parents=True)
            for k in range(count):
                image = np.clip(rng.normal(grey, 20, (70, 60, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{k}.png"), image)
    code, _, err = mien("train", "seed", "--data", tmp_path / "faces", "--out", tmp_path / "run", *SHORT)
    assert code == 0, err
    code, out, err = mien("evaluate", tmp_path / "run", "--data", tmp_path / "faces", "--split", "val")
    assert code == 0, err
    assert "bored" in out
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]["labels"] == ["bored", "keen"]
    code, _, err = mien("evaluate", tmp_path / "run", "--data", "sketch", "--split", "val")
    assert code == 2
    assert "the model has the classes bored, keen, but sketch has angry" in err


def test_train_early_stopping_prints_the_selected_epoch(mien: Command, csv: Path, tmp_path: Path) -> None:
    """At so small a rate validation accuracy does not move, so the first epoch is selected and patience runs out."""
    settings = [*SHORT, "--set", "epochs=9", "--set", "lr=1e-9", "--set", "select=val_accuracy", "--set", "patience=2"]
    words = ["train", "seed", "--data", csv, "--out", tmp_path / "run", *settings]
    code, said, _ = mien(*words)
    assert code == 0
    assert "selected epoch 1 of 3 by val_accuracy" in said
    assert "early stopping after epoch 3 of 9: no better val_accuracy in 2 epochs" in said


def test_training_starts_from_a_shipped_model_by_name(mien: Command, csv: Path, tmp_path: Path) -> None:
    short = [*SHORT[2:], "--set", "model=seed_cnn_quarter"]
    words = ["train", "seed", "--data", csv, "--out", tmp_path / "run", "--init", "seed_quarter"]
    assert "use --set model=seed_cnn_quarter" in mien(*words, *short[:-2])[2]
    assert mien(*words, *short)[0] == 0
    recorded = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert recorded["init"]["name"] == "seed_quarter"


# Models as files: the runtime alone


def test_letters_that_a_terminal_does_not_have_are_no_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien", "analyze", "--sample", "--format", "table"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert b"happy" in done.stdout
    assert b"Traceback" not in done.stderr
