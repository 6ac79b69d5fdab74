"""`mien evaluate`, `mien benchmark` and `mien models` from the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import models
from mien.cli.target import evaluate_target
from mien.data import load
from mien.labels import FER7, FERPLUS8, projection
from mien.model import load as load_model

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the csv whose epoch validation chose."""
    from mien.train import apply_overrides, find_recipe, train

    settings = ["model=mien_nano", "epochs=1", "precision=float32", "select=val_loss"]
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(apply_overrides(find_recipe("seed"), settings), load(csv), folder)
    return folder


def test_evaluate_needs_no_torch(csv: Path, model: Path, tmp_path: Path) -> None:
    words = ["mien", "evaluate", model, "--data", csv, "--split", "val",
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
    probs_NK = models.expected_probabilities(val.pixels_NHW, 7)
    p_NK, figures = np.load(tmp_path / "p.npy"), json.loads((tmp_path / "f.json").read_text())
    assert p_NK.dtype == np.float32
    np.testing.assert_allclose(p_NK, probs_NK, atol=2e-5)
    assert figures["accuracy"] == (probs_NK.argmax(1) == val.labels_N).mean()
    assert (figures["n"], figures["deduplicated"]["n"], figures["tta"]) == (35, 35, "none")
    assert figures["selected_on"] == ["epoch", "temperature"]
    assert "official*" in done.stdout
    note = "* used for selection: this split also selected the epoch and fitted the temperature"
    assert note in " ".join(done.stdout.split())
    assert f"{100 * figures['accuracy']:.1f}" in done.stdout


def test_flip_of_a_model(mien: Command, csv: Path, model: Path, tmp_path: Path) -> None:
    words = ("evaluate", model / "model.onnx", "--data", csv, "--split", "test", "--tta", "flip")
    code, out, err = mien(*words, "--json", tmp_path / "f.json", "--predictions", tmp_path / "p.npy")
    assert (code, err) == (0, "")
    assert "test, averaged with the mirror im" in out
    assert "used for selection" not in out
    faces = load(csv)["test"].pixels_NHW
    both = (models.expected_probabilities(faces, 7) + models.expected_probabilities(faces[:, :, ::-1], 7)) / 2
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), both, atol=2e-5)
    assert json.loads((tmp_path / "f.json").read_text())["tta"] == "flip"
    code, _, err = mien(*words[:-1], "ten")
    assert (code, err) == (2, "mien: tta must be one of none, flip, got 'ten'\n")


def test_flip_of_a_run_and_what_chose_its_epoch(mien: Command, csv: Path, run: Path, tmp_path: Path) -> None:
    judge = ("evaluate", run, "--data", csv, "--split")
    flipped, plain = (
        (mien(*judge, "val", "--tta", tta, "--predictions", tmp_path / f"{tta}.npy"), np.load(tmp_path / f"{tta}.npy"))
        for tta in ("flip", "none")
    )
    assert flipped[0][0] == 0
    assert "with the mirror image" in flipped[0][1]
    assert "with the mirror image" not in plain[0][1]
    assert "* used for selection: this split also selected the epoch, so its metrics are optimistic" in " ".join(
        plain[0][1].split()
    )
    assert "used for selection" not in mien(*judge, "test")[1]
    assert np.abs(flipped[1] - plain[1]).max() > 1e-6  # after one epoch all faces look alike to it, and yet
    from mien.train import predict

    data = load(csv)
    val = data["val"]
    mirrored = replace(val, pixels_NHW=np.ascontiguousarray(val.pixels_NHW[:, :, ::-1]))
    other = predict(run, replace(data, splits={"val": mirrored}), "val")
    np.testing.assert_allclose(flipped[1], (plain[1] + other) / 2, atol=1e-7)
    assert mien(*judge, "val", "--tta", "ten")[2] == "mien: tta must be one of none, flip, got 'ten'\n"


def test_votes_add_the_agreement_with_the_raters(
    mien: Command, csv: Path, votes: Path, model: Path, run: Path, tmp_path: Path
) -> None:
    for subject in (model, run):
        words = ("evaluate", subject, "--data", csv, "--split", "val", "--votes", votes)
        code, out, err = mien(*words, "--json", tmp_path / "f.json", "--predictions", tmp_path / "p.npy")
        assert (code, err) == (0, "")
        assert out.count("majority vote") == 5  # both protocols, in two tables, and what it leaves out
        figures, p_NK = json.loads((tmp_path / "f.json").read_text()), np.load(tmp_path / "p.npy")
        raters_N = np.zeros(35, np.int64)
        raters_N[0] = 2
        assert figures["raters"]["accuracy"] == pytest.approx((p_NK.argmax(1) == raters_N).mean())
        assert figures["accuracy"] == pytest.approx((p_NK.argmax(1) == load(csv)["val"].labels_N).mean())


def test_eight_classes_need_votes(mien: Command, csv: Path, votes: Path, tmp_path: Path) -> None:
    eight = models.write_model(tmp_path / "eight", FERPLUS8)
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


@pytest.mark.slow
def test_evaluate_of_predictions_equals_that_of_the_model(
    mien: Command, csv: Path, model: Path, tmp_path: Path
) -> None:
    words = ("evaluate", model, "--data", csv, "--split", "test", "--robustness", "--beside", "nano")
    code, out, err = mien(*words, "--html", tmp_path / "r.html", "--json", tmp_path / "f.json",
                          "--predictions", tmp_path / "p.npy")  # fmt: skip
    assert (code, err) == (0, "")
    assert "accuracy % on corrupted faces" in out
    assert f"wrote {tmp_path / 'f.json'}, {tmp_path / 'r.html'}, {tmp_path / 'p.npy'}" in out
    assert "accuracy % on the most confident faces" in out
    figures = json.loads((tmp_path / "f.json").read_text())
    assert [r["model"] for r in figures["robustness"]] == [str(model), "nano"]
    assert "Robustness to image corruptions" in (tmp_path / "r.html").read_text()
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


def weights_of(name: str, folder: Path) -> Path:
    """The weights of a shipped model as a file."""
    from mien.train import find_weights

    find_weights(name).release(folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors"


@pytest.mark.parametrize("what", ["a model as a file", "weights"])
def test_target_predicts_other_faces_the_same_way(csv: Path, model: Path, what: str, tmp_path: Path) -> None:
    """So that robustness and figures speak of one way to ask, with the mirror image or without."""
    data = load(csv)
    if what == "weights":
        model = weights_of("nano", tmp_path)
    none, flip = (evaluate_target(str(model), data, "test", tta=tta, device="cpu") for tta in ("none", "flip"))
    faces_NHW = data["test"].pixels_NHW
    for one in (none, flip):
        assert one.predict is not None
        np.testing.assert_allclose(one.predict(faces_NHW), one.probs_NK, atol=1e-5)
    if what == "weights":
        from mien.train import predict

        for one, tta in ((none, "none"), (flip, "flip")):
            np.testing.assert_allclose(predict(model, data, "test", tta=tta, device="cpu"), one.probs_NK, atol=1e-5)
    assert np.abs(none.probs_NK - flip.probs_NK).max() > 0.01


@pytest.mark.slow
def test_evaluate_weights_prints_no_warnings(csv: Path, tmp_path: Path) -> None:
    words = ("evaluate", weights_of("nano", tmp_path), "--data", csv, "--split", "test", "--device", "cpu")
    done = subprocess.run([sys.executable, "-m", "mien", *map(str, words)], capture_output=True, text=True, check=True)
    assert "35 faces" in " ".join(done.stdout.split())
    assert done.stderr == ""


def test_benchmark_of_files_and_models(mien: Command, csv: Path, model: Path, tmp_path: Path) -> None:
    assert mien("evaluate", model, "--data", csv, "--split", "test", "--predictions", tmp_path / "p.npy")[0] == 0
    words = ("benchmark", f"file={tmp_path / 'p.npy'}", model, "nano", "--data", csv, "--split", "test")
    code, out, err = mien(*words, "--json", tmp_path / "f.json", "--html", tmp_path / "r.html")
    assert (code, err) == (0, "")
    assert "35 faces" in out
    assert "warning" not in out
    first = json.loads((tmp_path / "f.json").read_text())["rounds"][0]
    assert [p["model"] for p in first["packages"]] == ["file", str(model), "nano"]
    same, other = first["pairs"]
    assert (same["only_a"], same["only_b"], same["p"]) == (0, 0, 1)
    assert other["b"] == "nano"
    assert "Differences from" in (tmp_path / "r.html").read_text()
    assert f"wrote {tmp_path / 'f.json'}, {tmp_path / 'r.html'}" in out


def test_benchmark_marks_what_the_split_selected(
    mien: Command, csv: Path, model: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model and of a run; and paths that have a `=` of their own are found."""
    words = ("benchmark", "nano", model, run, "--data", csv, "--json", tmp_path / "f.json", "--split")
    chosen = {"val": [[], ["epoch", "temperature"], ["epoch"]], "test": [[], [], []]}
    for split, of_each in chosen.items():
        assert mien(*words, split)[0] == 0
        first = json.loads((tmp_path / "f.json").read_text())["rounds"][0]
        assert [p["selected_on"] for p in first["packages"]] == of_each
    (tmp_path / "seed=1").mkdir()
    shutil.copytree(run, tmp_path / "seed=1" / "run")
    np.save(tmp_path / "seed=1.npy", np.full((35, 7), 1 / 7, np.float32))
    monkeypatch.chdir(tmp_path)
    words = (
        "benchmark",
        "nano",
        "seed=1/run",
        "seed=1.npy",
        "--labels",
        "seed=1=fer7",
        "--data",
        csv,
        "--split",
        "val",
    )
    assert mien(*words)[0] == 0


def test_benchmark_of_other_classes_needs_no_votes(mien: Command, csv: Path, model: Path, tmp_path: Path) -> None:
    """FER+'s eight, from a file too, and a model that votes taught: they are asked for the likeliest of the seven."""
    data = load(csv)
    probs_NK = load_model("ferplus").probabilities(data["test"].pixels_NHW)
    np.save(tmp_path / "eight.npy", probs_NK)
    weights = weights_of("ferplus", tmp_path)
    words = ("benchmark", model, "ferplus", tmp_path / "eight.npy", "photo", weights)
    columns = ("--labels", "eight=ferplus8")
    code, out, err = mien(*words, "--data", csv, "--split", "test", *columns, "--json", tmp_path / "f.json")
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "f.json").read_text())
    assert f"restricted to the classes of the data: ferplus, eight, {tmp_path}" in " ".join(out.split())
    assert found["projected"] == ["ferplus", "eight", str(weights)]
    (first,) = (r for r in found["rounds"] if r["protocol"] == "official")
    _, ferplus, from_file, _, from_weights = (p["accuracy"] for p in first["packages"])
    said_N = (probs_NK @ projection(FERPLUS8, FER7)).argmax(1)
    assert ferplus == from_file == from_weights == pytest.approx((said_N == data["test"].labels_N).mean())


def test_evaluate_and_benchmark_errors_are_one_line(mien: Command, csv: Path, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.full((35, 7), 1 / 7, np.float32))
    blank = tmp_path / "blank.csv"
    blank.write_text("pixels\n" + csv.read_text().splitlines()[1].split(",")[1] + "\n")
    p, on = tmp_path / "p.npy", ("--data", csv, "--split", "test")
    cases: list[tuple[tuple[object, ...], str]] = [
        (("evaluate", p, *on, "--robustness"), "need a model"),
        (("evaluate", model, *on, "--robustness", "--beside", p), "need a model"),
        (("evaluate", model, *on, "--beside", "nano"), "--beside needs --robustness"),
        (("evaluate", "nano", *on, "--robustness", "--beside", "nano"), "nano is named twice"),
        (("evaluate", p, *on, "--card"), "has no card to write to"),
        (("evaluate", p, *on, "--tta", "flip"), "so --tta flip cannot be applied"),
        (("evaluate", model, *on, "--labels", "fer7"), "is a model"),
        (("evaluate", tmp_path / "q.npy", *on), "cannot read"),
        (("evaluate", model, *on, "--json", model), "cannot write .*: it is a folder"),
        (("evaluate", model, *on, "--json", csv), f"{csv.name}: it is an input of this command; choose another file"),
        (("evaluate", p, *on, "--predictions", p), "p.npy: it is an input of this command"),
        (("benchmark", f"a={p}", model, *on, "--json", p), "p.npy: it is an input of this command"),
        (("benchmark", p, model, *on, "--json", "same", "--html", "./same"), "same: it is named twice"),
        (("evaluate", model, *on, "--json", "long" * 99), "File name too long"),
        (("benchmark", f"x={'long' * 99}.npy", model, *on), "File name too long"),
        (("evaluate", model, *on, "--robustness", "--beside", "ferplus"), "ferplus and .* have different classes"),
        (
            ("evaluate", model, "--data", blank, "--split", "test", "--json", "f.json", "--html", "r.html", "--card"),
            "split 'test' has no labels, so there are no metrics; leave out: --json, --html, --card",
        ),
        (("benchmark", p, model, *on, "--html", p / "r.html"), "p.npy is not a folder"),
        (("benchmark", p, *on), "two or more models"),
        (("benchmark", p, p, *on), "got two called p"),
        (("benchmark", p, model, *on, "--labels", f"{model}=fer7"), "is a model"),
        (("benchmark", p, model, *on, "--labels", "x=a,b"), "--labels takes NAME=A,B,C, where NAME is one of p, "),
        (("benchmark", p, model, *on, "--labels", "p=a,b"), "has 7 columns, but there are 2 classes: a, b"),
    ]
    before = csv.read_bytes(), p.read_bytes()
    for words, says in cases:
        code, said, err = mien(*words)
        assert (code, said) == (2, ""), words
        assert re.search(says.replace("[", r"\["), err), words
        assert err.startswith("mien: ")
        assert err.count("\n") == 1
    assert (csv.read_bytes(), p.read_bytes()) == before


def test_html_without_report_libraries_fails_early(
    mien: Command, csv: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("mien.data.load", lambda *words, **options: pytest.fail("the work has begun"))
    for words in (("evaluate", model), ("benchmark", model, "nano")):
        code, said, err = mien(*words, "--data", csv, "--split", "test", "--html", tmp_path / "r.html")
        assert (code, said, err.count("\n")) == (2, "", 1)
        assert "mien[report]" in err


def test_card_takes_a_test_split_only(mien: Command, csv: Path, model: Path, run: Path, tmp_path: Path) -> None:
    before = (model / "card.json").read_text()
    words = ("evaluate", model, "--data", csv, "--card", "--split")
    code, out, err = mien(*words, "val")
    assert (code, out) == (2, "")
    assert "a card takes metrics of a test split, not of 'val'" in err
    code, _, err = mien("evaluate", run, "--data", csv, "--split", "test", "--card")
    assert code == 2
    assert "has no card to write to" in err
    assert (model / "card.json").read_text() == before
    code, out, err = mien(*words, "test", "--json", tmp_path / "f.json")
    assert (code, err) == (0, "")
    assert "wrote the metrics to the card of" in out
    told, figures = json.loads((model / "card.json").read_text()), json.loads((tmp_path / "f.json").read_text())
    assert [(s["split"], s["protocol"], s["accuracy"]) for s in told["test"]] == [
        ("test", "official", figures["accuracy"]), ("test", "deduplicated", figures["deduplicated"]["accuracy"]),
    ]  # fmt: skip
    assert {**told, "test": []} == json.loads(before)


def test_models_are_listed_and_found_by_name(
    mien: Command, csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.model_files.SHIPPED", tmp_path)
    monkeypatch.setattr("mien.evaluation.update_card.SHIPPED", tmp_path)
    code, out, _ = mien("models", "--json", tmp_path / "none.json")
    assert code == 0
    assert "no models are shipped yet" in out
    assert json.loads((tmp_path / "none.json").read_text()) == {"models": {}}
    models.write_model(tmp_path / "small", name="small")
    models.write_model(tmp_path / "seed_quarter", name="seed_quarter")  # a name that weights are shipped under, too
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
    assert "it is shipped with mien" in err
    assert "shipped models: seed_quarter, small; your own model" in mien("evaluate", "smal", *words_for(csv))[2]


def words_for(csv: Path) -> tuple[object, ...]:
    return ("--data", csv, "--split", "test")


def test_mistakes_with_models(mien: Command, csv: Path, model: Path) -> None:
    assert "must be auto or cpu, not cuda" in mien("evaluate", model, *words_for(csv), "--device", "cuda")[2]
    (model / "model.onnx").write_bytes(b"")
    code, _, err = mien("evaluate", model, *words_for(csv))
    assert code == 2
    assert "is damaged or not the model of its card" in err
    (model / "model.onnx").unlink()
    assert "no model.onnx in" in mien("evaluate", model, *words_for(csv))[2]
    assert "seed_quarter" in mien("evaluate", "seed_quarte", *words_for(csv))[2]
