"""The command line as a person uses it: what is printed, what is written, and what a mistake looks like."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import nets
from mien.__main__ import main
from mien.cli.subject import find_subject
from mien.data import load, near_twins, sketch, write_csv
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS, projection
from mien.model import SHIPPED
from mien.model import load as load_net

Command = Callable[..., tuple[int, str, str]]
SHORT = ("--set", "model=mien_nano", "--set", "epochs=1", "--set", "precision=float32")


@pytest.fixture
def mien(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run `mien WORDS...`; gives exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mien", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "160")
        capfd.readouterr()
        with pytest.raises(SystemExit) as done:
            main()
        said = capfd.readouterr()
        return int(done.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sketch in fer2013.csv's form, with all three splits."""
    path = tmp_path_factory.mktemp("data") / "small.csv"
    write_csv(path, sketch(train=70, val=35, test=35))
    return path


@pytest.fixture(scope="module")
def study(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison of two arms and three seeds."""
    from mien.train import compare, find_recipe, with_settings

    folder = tmp_path_factory.mktemp("study")
    arms = [with_settings(find_recipe(n), SHORT[1::2]) for n in ("seed", "seed_augmented")]
    compare(load(csv), arms, seeds=3, out=folder)
    return folder


@pytest.fixture(scope="module")
def votes(csv: Path) -> Path:
    """FER+ votes for it: nine of ten raters see class 0, the first face of each split excepted, which all call fear."""
    path = csv.parent / "votes.csv"
    lines, seen = [",".join(("Usage", "Image name", *FERPLUS_COLUMNS))], set()
    for line in csv.read_text().splitlines()[1:]:
        usage = line.split(",")[2]
        counts = [0, 0, 0, 0, 9, 1, 0, 0, 0, 0] if usage in seen else [0, 0, 0, 0, 0, 0, 10, 0, 0, 0]
        seen.add(usage)
        lines.append(",".join((usage, "x.png", *map(str, counts))))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def net(csv: Path, tmp_path: Path) -> Path:
    """The folder of a net that learned from the csv, its epoch and temperature chosen on validation."""
    about = {"name": "sketch", "digest": load(csv).digest, "faces": {"train": 70, "val": 35, "test": 35}}
    return nets.write_net(tmp_path / "net", data=about)


def test_version_and_help(mien: Command) -> None:
    assert mien("--version")[1].startswith("mien 0.")
    code, out, _ = mien("--help")
    assert code == 0
    assert all(command in out for command in ("data", "train", "compare", "evaluate", "models"))


def test_data_shows_counts_defects_and_pictures(mien: Command, csv: Path, tmp_path: Path) -> None:
    code, out, err = mien("data", csv, "--out", tmp_path / "shown", "--json", tmp_path / "audit.json")
    assert (code, err) == (0, "")
    assert all(word in out for word in ("disgust", "train", "val", "test", "70", "35"))
    assert json.loads((tmp_path / "audit.json").read_text())["counts"]["train"]
    for name in ("classes.png", "faces.png"):
        picture = cv2.imread(str(tmp_path / "shown" / name))
        assert picture is not None
        assert picture.std() > 5


def test_near_twins_are_looked_for_where_asked(mien: Command, tmp_path: Path) -> None:
    """Of the one data set: shown, left out of training, and left out of the judging."""
    drawn = sketch(train=21, val=14, test=0)
    val_NHW = drawn["val"].pixels_NHW.copy()
    val_NHW[2] = drawn["train"].pixels_NHW[4] * 0.7 + 30
    leaky = replace(drawn, splits={**drawn.splits, "val": replace(drawn["val"], pixels_NHW=val_NHW)})
    write_csv(tmp_path / "leaky.csv", leaky)
    data = load(tmp_path / "leaky.csv")
    twins = near_twins(data)
    copies = int(twins.hit(data["train"], data["val"]).sum())
    assert copies
    shown = ("data", tmp_path / "leaky.csv", "--out", tmp_path / "shown", "--json", tmp_path / "audit.json")
    assert "near-twin" not in mien(*shown)[1]
    code, out, err = mien(*shown, "--audit")
    assert (code, err) == (0, "")
    assert "near-twin" in out
    near = json.loads((tmp_path / "audit.json").read_text())["near"]
    assert sum(near["faces"]["val in train"].values()) == int(twins.hit(data["val"], data["train"]).sum())
    words = ("train", "seed", "--data", tmp_path / "leaky.csv", "--out", tmp_path / "run", *SHORT)
    code, out, _ = mien(*words, "--drop-twins")
    assert code == 0
    assert f"learned from {21 - copies} of 21 training faces" in out
    record = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert record["recipe"]["drop_twins"] is True
    assert record["data"]["faces"]["train"] == 21 - copies
    code, _, err = mien(*words, "--resume")
    assert code == 2
    assert "recipe.drop_twins is true there and false here" in err
    judge = ("evaluate", tmp_path / "run", "--data", tmp_path / "leaky.csv", "--split", "val")
    code, out, err = mien(*judge, "--strict", "--json", tmp_path / "f.json")
    assert (code, err) == (0, "")
    assert "strict: nor one that was cut" in out
    told = json.loads((tmp_path / "f.json").read_text())
    assert told["clean"]["n"] == 14
    assert told["strict"]["n"] == 14 - int(twins.hit(data["val"], data["train"]).sum())
    assert "strict" not in mien(*judge)[1]


def test_sketch_is_written_and_nothing_else_can_be(mien: Command, tmp_path: Path) -> None:
    assert mien("data", "sketch", tmp_path / "s.csv")[0] == 0
    assert (tmp_path / "s.csv").read_text().startswith("emotion,pixels,Usage\n")
    code, _, err = mien("data", tmp_path / "s.csv", tmp_path / "t.csv")
    assert code == 2
    assert "only 'sketch' can be written" in err


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
    assert "3 seeds" in sentence
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert sorted(f.suffix for f in (folder / "plots").iterdir()) == [".png"] * len(list((folder / "plots").iterdir()))
    assert len(list((folder / "plots").iterdir())) >= 5


def test_mistakes_are_one_sentence_and_exit_2(mien: Command, csv: Path, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "never"
    cases = [
        (("data", tmp_path / "no.csv"), "no.csv"),
        (("train", "sed", "--data", csv, "--out", out), "unknown recipe 'sed'; there is: "),
        (("train", "seed", "--data", csv, "--out", out, "--set", "speed=1"), "the fields are"),
        (("train", "seed", "--data", csv, "--out", out, "--device", "tpu"), "no device 'tpu' here; there is: cpu"),
        (("compare", "--data", csv, "--arms", "seed", "--out", out), "needs two or more different arms, got seed"),
        (("compare", "--data", csv, "--arms", "seed,seed", "--out", out), "needs two or more different arms"),
        (("evaluate", study / "seed-seed0", "--data", csv, "--split", "dev"), "has no split 'dev'"),
        (("evaluate", tmp_path / "no", "--data", csv, "--split", "val"), "no file, no folder and no shipped net"),
        (("evaluate", tmp_path, "--data", csv, "--split", "val"), "holds no checkpoint.safetensors"),
    ]
    for words, says in cases:
        code, said, err = mien(*words)
        assert code == 2, words
        assert says in err
        assert err.startswith("mien: ")
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
    assert "test has no labels" in out
    assert np.load(tmp_path / "p.npy").shape == (9, 7)
    code, _, err = mien("train", "seed", "--data", blank, "--out", tmp_path / "run", *SHORT)
    assert code == 2
    assert "has no split 'train'" in err


def test_one_seed_is_no_verdict(mien: Command, csv: Path, tmp_path: Path) -> None:
    code, out, _ = mien(
        "compare", "--data", csv, "--arms", "seed,seed_augmented", "--seeds", 1, "--out", tmp_path, *SHORT
    )
    assert code == 0
    assert "\nA single comparison, no verdict: on sketch, test" in out


def test_folder_with_its_own_labels_trains_and_is_judged(mien: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("validation", 6)):
        for label, grey in (("bored", 40), ("keen", 200)):
            folder = tmp_path / "faces" / split / label
            folder.mkdir(parents=True)
            for k in range(count):
                picture = np.clip(rng.normal(grey, 20, (70, 60, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{k}.png"), picture)
    code, _, err = mien("train", "seed", "--data", tmp_path / "faces", "--out", tmp_path / "run", *SHORT)
    assert code == 0, err
    code, out, err = mien("evaluate", tmp_path / "run", "--data", tmp_path / "faces", "--split", "val")
    assert code == 0, err
    assert "bored" in out
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]["labels"] == ["bored", "keen"]
    code, _, err = mien("evaluate", tmp_path / "run", "--data", "sketch", "--split", "val")
    assert code == 2
    assert "tells bored, keen apart, but sketch is labelled angry" in err


def test_what_was_chosen_and_why_it_stopped_is_told(mien: Command, csv: Path, tmp_path: Path) -> None:
    """At so small a rate validation accuracy does not move, so the first epoch is chosen and patience runs out."""
    settings = [*SHORT, "--set", "epochs=9", "--set", "lr=1e-9", "--set", "select=val_accuracy", "--set", "patience=2"]
    words = ["train", "seed", "--data", csv, "--out", tmp_path / "run", *settings]
    code, said, _ = mien(*words)
    assert code == 0
    assert "of 3 epochs done, val_accuracy chose epoch 1: that one is kept and judged" in said
    assert "stopped after epoch 3 of 9: no better val_accuracy in 2 epochs" in said


def test_training_starts_from_a_shipped_net_by_name(mien: Command, csv: Path, tmp_path: Path) -> None:
    short = [*SHORT[2:], "--set", "model=seed_cnn_quarter"]
    words = ["train", "seed", "--data", csv, "--out", tmp_path / "run", "--init", "seed_quarter"]
    assert "to train what it is: --set model=seed_cnn_quarter" in mien(*words, *short[:-2])[2]
    assert mien(*words, *short)[0] == 0
    recorded = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert recorded["init"]["name"] == "seed_quarter"


# Nets as files: the runtime alone


def test_a_net_is_judged_without_torch_to_the_digit(csv: Path, net: Path, tmp_path: Path) -> None:
    words = ["mien", "evaluate", net, "--data", csv, "--split", "val",
             "--json", tmp_path / "f.json", "--predictions", tmp_path / "p.npy"]  # fmt: skip
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning_fabric', 'safetensors', 'onnx', 'matplotlib'): sys.modules[name] = None\n"
        f"sys.argv = {[*map(str, words)]}\n"
        "from mien.__main__ import main; main()"
    )
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "100", "MIEN_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    val = load(csv)["val"]
    told_NK = nets.by_hand(val.pixels_NHW, 7)
    p_NK, figures = np.load(tmp_path / "p.npy"), json.loads((tmp_path / "f.json").read_text())
    assert p_NK.dtype == np.float32
    np.testing.assert_allclose(p_NK, told_NK, atol=2e-5)
    assert figures["accuracy"] == (told_NK.argmax(1) == val.labels_N).mean()
    assert (figures["n"], figures["clean"]["n"], figures["tta"]) == (35, 35, "none")
    assert figures["selected_on"] == ["epoch", "temperature"]
    assert "official*" in done.stdout
    assert "* selected on: this split also chose the epoch and fitted the temperature" in " ".join(done.stdout.split())
    assert f"{100 * figures['accuracy']:.1f}" in done.stdout


def test_flip_of_a_net(mien: Command, csv: Path, net: Path, tmp_path: Path) -> None:
    words = ("evaluate", net / "model.onnx", "--data", csv, "--split", "test", "--tta", "flip")
    code, out, err = mien(*words, "--json", tmp_path / "f.json", "--predictions", tmp_path / "p.npy")
    assert (code, err) == (0, "")
    assert "test, with the mirror image" in out
    assert "selected on" not in out
    faces = load(csv)["test"].pixels_NHW
    both = (nets.by_hand(faces, 7) + nets.by_hand(faces[:, :, ::-1], 7)) / 2
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), both, atol=2e-5)
    assert json.loads((tmp_path / "f.json").read_text())["tta"] == "flip"
    code, _, err = mien(*words[:-1], "ten")
    assert (code, err) == (2, "mien: tta is one of none, flip, got 'ten'\n")


def test_flip_of_a_run_and_what_chose_its_epoch(mien: Command, csv: Path, tmp_path: Path) -> None:
    words = ["train", "seed", "--data", csv, "--out", tmp_path / "run", *SHORT, "--set", "select=val_loss"]
    assert mien(*words)[0] == 0
    judge = ("evaluate", tmp_path / "run", "--data", csv, "--split")
    flipped, plain = (
        (mien(*judge, "val", "--tta", tta, "--predictions", tmp_path / f"{tta}.npy"), np.load(tmp_path / f"{tta}.npy"))
        for tta in ("flip", "none")
    )
    assert flipped[0][0] == 0
    assert "with the mirror image" in flipped[0][1]
    assert "with the mirror image" not in plain[0][1]
    assert "* selected on: this split also chose the epoch; optimistic" in plain[0][1]
    assert "selected on" not in mien(*judge, "test")[1]
    assert np.abs(flipped[1] - plain[1]).max() > 1e-6  # after one epoch all faces look alike to it, and yet
    from mien.train import predict

    data = load(csv)
    val = data["val"]
    mirrored = replace(val, pixels_NHW=np.ascontiguousarray(val.pixels_NHW[:, :, ::-1]))
    other = predict(tmp_path / "run", replace(data, splits={"val": mirrored}), "val")
    np.testing.assert_allclose(flipped[1], (plain[1] + other) / 2, atol=1e-7)
    assert mien(*judge, "val", "--tta", "ten")[2] == "mien: tta is one of none, flip, got 'ten'\n"


def test_votes_add_the_agreement_with_the_raters(
    mien: Command, csv: Path, votes: Path, net: Path, study: Path, tmp_path: Path
) -> None:
    for model in (net, study / "seed-seed0"):
        words = ("evaluate", model, "--data", csv, "--split", "val", "--votes", votes)
        code, out, err = mien(*words, "--json", tmp_path / "f.json", "--predictions", tmp_path / "p.npy")
        assert (code, err) == (0, "")
        assert out.count("raters' majority") == 5  # both protocols, in two tables, and what it leaves out
        figures, p_NK = json.loads((tmp_path / "f.json").read_text()), np.load(tmp_path / "p.npy")
        raters_N = np.zeros(35, np.int64)
        raters_N[0] = 2
        assert figures["raters"]["accuracy"] == pytest.approx((p_NK.argmax(1) == raters_N).mean())
        assert figures["accuracy"] == pytest.approx((p_NK.argmax(1) == load(csv)["val"].labels_N).mean())


def test_eight_classes_need_votes(mien: Command, csv: Path, votes: Path, tmp_path: Path) -> None:
    eight = nets.write_net(tmp_path / "eight", FERPLUS8)
    words = ("evaluate", eight, "--data", csv, "--split", "test")
    code, out, err = mien(*words)
    assert (code, out) == (2, "")
    assert "has no votes" in err
    assert "--votes" in err
    assert err.count("\n") == 1
    code, out, err = mien(*words, "--votes", votes, "--json", tmp_path / "f.json")
    assert (code, err) == (0, "")
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["against"] == "raters' majority"
    assert len(figures["classes"]) == 8
    assert "raters" not in figures


def test_a_net_is_examined_and_its_predictions_get_the_same_figures(
    mien: Command, csv: Path, net: Path, tmp_path: Path
) -> None:
    words = ("evaluate", net, "--data", csv, "--split", "test", "--robustness", "--beside", "nano")
    code, out, err = mien(*words, "--html", tmp_path / "r.html", "--json", tmp_path / "f.json",
                          "--predictions", tmp_path / "p.npy")  # fmt: skip
    assert (code, err) == (0, "")
    assert "accuracy % on altered faces" in out
    assert "accuracy % on the surest faces" in out
    figures = json.loads((tmp_path / "f.json").read_text())
    assert [r["net"] for r in figures["robustness"]] == [str(net), "nano"]
    assert "When the picture is worse" in (tmp_path / "r.html").read_text()
    order = ["neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"]
    names = load(csv).labels.names
    np.save(tmp_path / "q.npy", np.load(tmp_path / "p.npy")[:, [names.index(n) for n in order]])
    code, _, err = mien("evaluate", tmp_path / "q.npy", "--data", csv, "--split", "test", "--labels", ",".join(order),
                        "--json", tmp_path / "g.json")  # fmt: skip
    assert (code, err) == (0, "")
    again = json.loads((tmp_path / "g.json").read_text())
    for figure in ("accuracy", "macro_f1", "balanced_accuracy", "top2"):
        assert again[figure] == figures[figure]
    assert again["brier"] == pytest.approx(figures["brier"], rel=1e-5)


@pytest.mark.parametrize("what", ["a net as a file", "weights"])
def test_other_faces_are_asked_about_as_those_of_the_split_were(csv: Path, net: Path, what: str) -> None:
    """So that robustness and figures speak of one way to ask, with the mirror image or without."""
    model, data = (net if what == "a net as a file" else SHIPPED / "nano.safetensors"), load(csv)
    none, flip = (find_subject(str(model), data, "test", tta=tta, device="cpu") for tta in ("none", "flip"))
    faces_NHW = data["test"].pixels_NHW
    for one in (none, flip):
        assert one.ask is not None
        np.testing.assert_allclose(one.ask(faces_NHW), one.told_NK, atol=1e-5)
    assert np.abs(none.told_NK - flip.told_NK).max() > 0.01


def test_packages_are_judged_side_by_side(mien: Command, csv: Path, net: Path, tmp_path: Path) -> None:
    assert mien("evaluate", net, "--data", csv, "--split", "test", "--predictions", tmp_path / "p.npy")[0] == 0
    words = ("judge", f"file={tmp_path / 'p.npy'}", net, "nano", "--data", csv, "--split", "test")
    code, out, err = mien(*words, "--json", tmp_path / "f.json", "--html", tmp_path / "r.html")
    assert (code, err) == (0, "")
    assert "35 faces" in out
    assert "implausible" not in out
    first = json.loads((tmp_path / "f.json").read_text())["rounds"][0]
    assert [p["model"] for p in first["packages"]] == ["file", str(net), "nano"]
    same, other = first["pairs"]
    assert (same["only_a"], same["only_b"], same["p"]) == (0, 0, 1)
    assert other["b"] == "nano"
    assert "Held against the first" in (tmp_path / "r.html").read_text()


def test_nets_of_other_classes_are_judged_by_the_labels_without_votes(
    mien: Command, csv: Path, net: Path, tmp_path: Path
) -> None:
    """FER+'s eight, from a file too, and a net that votes taught: they are asked for the likeliest of the seven."""
    data = load(csv)
    told_NK = load_net("ferplus").probabilities(data["test"].pixels_NHW)
    np.save(tmp_path / "eight.npy", told_NK)
    words = ("judge", net, "ferplus", tmp_path / "eight.npy", "photo", SHIPPED / "ferplus.safetensors")
    columns = ("--labels", "eight=ferplus8")
    code, _, err = mien(*words, "--data", csv, "--split", "test", *columns, "--json", tmp_path / "f.json")
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["projected"] == ["ferplus", "eight", str(SHIPPED / "ferplus.safetensors")]
    (first,) = (r for r in found["rounds"] if r["protocol"] == "official")
    _, ferplus, file, _, weights = (p["accuracy"] for p in first["packages"])
    said_N = (told_NK @ projection(FERPLUS8, FER7)).argmax(1)
    assert ferplus == file == weights == pytest.approx((said_N == data["test"].labels_N).mean())


def test_a_mistake_in_judging_is_one_sentence(mien: Command, csv: Path, net: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.full((35, 7), 1 / 7, np.float32))
    p, on = tmp_path / "p.npy", ("--data", csv, "--split", "test")
    cases: list[tuple[tuple[object, ...], str]] = [
        (("evaluate", p, *on, "--robustness"), "says nothing of other pictures"),
        (("evaluate", net, *on, "--robustness", "--beside", p), "says nothing of other pictures"),
        (("evaluate", net, *on, "--beside", "nano"), "so it needs --robustness"),
        (("evaluate", "nano", *on, "--robustness", "--beside", "nano"), "nano is named twice"),
        (("evaluate", p, *on, "--card"), "has no card to write to"),
        (("evaluate", p, *on, "--tta", "flip"), "so --tta flip cannot be asked of it"),
        (("evaluate", net, *on, "--labels", "fer7"), "is a net"),
        (("evaluate", tmp_path / "q.npy", *on), "cannot read"),
        (("judge", p, *on), "two packages or more"),
        (("judge", p, p, *on), "got two called p"),
        (("judge", p, net, *on, "--labels", f"{net}=fer7"), "is a net"),
        (("judge", p, net, *on, "--labels", "x=a,b"), "--labels is NAME=A,B,C with NAME one of p, "),
        (("judge", p, net, *on, "--labels", "p=a,b"), "has 7 columns, but 2 classes are named: a, b"),
    ]
    for words, says in cases:
        code, said, err = mien(*words)
        assert (code, said) == (2, ""), words
        assert says in err
        assert err.startswith("mien: ")
        assert err.count("\n") == 1


def test_the_card_takes_a_test_split_and_nothing_else(
    mien: Command, csv: Path, net: Path, study: Path, tmp_path: Path
) -> None:
    before = (net / "card.json").read_text()
    words = ("evaluate", net, "--data", csv, "--card", "--split")
    code, out, err = mien(*words, "val")
    assert (code, out) == (2, "")
    assert "a card takes the figures of a test split, not of 'val'" in err
    code, _, err = mien("evaluate", study / "seed-seed0", "--data", csv, "--split", "test", "--card")
    assert code == 2
    assert "has no card to write to" in err
    assert (net / "card.json").read_text() == before
    code, out, err = mien(*words, "test", "--json", tmp_path / "f.json")
    assert (code, err) == (0, "")
    assert "the figures are on the card of" in out
    told, figures = json.loads((net / "card.json").read_text()), json.loads((tmp_path / "f.json").read_text())
    assert [(s["split"], s["protocol"], s["accuracy"]) for s in told["test"]] == [
        ("test", "official", figures["accuracy"]), ("test", "clean", figures["clean"]["accuracy"]),
    ]  # fmt: skip
    assert {**told, "test": []} == json.loads(before)


def test_models_are_listed_and_found_by_name(
    mien: Command, csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.model.SHIPPED", tmp_path)
    monkeypatch.setattr("mien.judge.cards.SHIPPED", tmp_path)
    code, out, _ = mien("models", "--json", tmp_path / "none.json")
    assert code == 0
    assert "no nets are shipped yet" in out
    assert json.loads((tmp_path / "none.json").read_text()) == {"models": {}}
    nets.write_net(tmp_path / "small", name="small")
    nets.write_net(tmp_path / "seed_quarter", name="seed_quarter")  # a name that weights are shipped under, too
    (tmp_path / "seed_quarter.safetensors").write_bytes(b"")
    code, out, err = mien("models", "--json", tmp_path / "m.json")
    assert (code, err) == (0, "")
    assert out.index("seed_quarter") < out.index("small")
    told = json.loads((tmp_path / "m.json").read_text())["models"]
    assert told["small"]["bytes"] == (tmp_path / "small" / "model.onnx").stat().st_size
    assert told["small"]["labels"]["set"] == "fer7"
    for name in ("small", "seed_quarter"):
        code, out, err = mien("evaluate", name, "--data", csv, "--split", "test")
        assert (code, err) == (0, "")
        assert f"{name} on sketch, test: 35 faces" in out
    code, _, err = mien("evaluate", "small", "--data", csv, "--split", "test", "--card")
    assert code == 2
    assert "came with mien" in err
    assert "shipped are: seed_quarter, small; a net of your own" in mien("evaluate", "smal", *words_for(csv))[2]


def words_for(csv: Path) -> tuple[object, ...]:
    return ("--data", csv, "--split", "test")


def test_mistakes_with_nets(mien: Command, csv: Path, net: Path) -> None:
    assert "auto or cpu, not cuda" in mien("evaluate", net, *words_for(csv), "--device", "cuda")[2]
    (net / "model.onnx").write_bytes(b"")
    code, _, err = mien("evaluate", net, *words_for(csv))
    assert code == 2
    assert "is damaged or not the net of its card" in err
    (net / "model.onnx").unlink()
    assert "holds no model.onnx" in mien("evaluate", net, *words_for(csv))[2]
    assert "seed_quarter" in mien("evaluate", "seed_quarte", *words_for(csv))[2]


def test_letters_that_a_terminal_does_not_have_are_no_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien", "analyze", "--sample", "--format", "table"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert b"happy" in done.stdout
    assert b"Traceback" not in done.stderr
