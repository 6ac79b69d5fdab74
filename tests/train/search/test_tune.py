"""Hyper-parameter search: values of trials, pruning, failures and resuming."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from command import MIEN
from mien.data import sketch, write_csv
from mien.data.dataset import Dataset
from mien.errors import MienError, MissingSplit, RunError
from mien.evaluation import Search
from mien.evaluation.comparison.search import DONE, FAILED, RUNNING, STOPPED
from mien.train import Recipe, Run, tune
from mien.train.search.space import Choice, Range, Space
from mien.train.search.tune import run_search
from waiting import wait_until

SPACE = Space({"lr": Range(0.0001, 0.1, log=True), "batch": Choice((16, 32))})


@pytest.fixture(scope="module")
def learner(small: Recipe) -> Recipe:
    return replace(small, epochs=2, lr=0.02, batch=32, augment=())


@pytest.fixture(scope="module")
def large(make_toy: Callable[..., Dataset]) -> Dataset:
    return make_toy(train=256)


@pytest.fixture(scope="module")
def finished(large: Dataset, learner: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Search, Path]:
    out = tmp_path_factory.mktemp("tune") / "search"
    return tune(learner, large, out, trials=8, space=SPACE, seed=3), out


def facts(search: Search) -> list[tuple[object, ...]]:
    return [(t.number, t.state, dict(t.values), t.accuracies, t.own) for t in search.trials]


@pytest.mark.slow
def test_each_trial_is_a_run_with_its_values(finished: tuple[Search, Path], learner: Recipe) -> None:
    search, out = finished
    assert [t.number for t in search.trials] == list(range(8))
    assert search.trials[0].own
    assert search.trials[0].values == {"lr": 0.02, "batch": 32}
    assert not any(t.own for t in search.trials[1:])
    for trial in search.trials:
        run = Run(out / "trials" / f"{trial.number:04d}")
        recipe = run.identity["recipe"]
        assert recipe == {**learner.to_dict(), **trial.values}
        assert trial.accuracies == tuple(epoch["val_accuracy"] for epoch in run.history)
        assert 0.0001 <= recipe["lr"] <= 0.1
        assert recipe["batch"] in (16, 32)
    assert search.best is max(search.ended, key=lambda t: t.accuracies[-1])


def test_trials_behind_the_others_are_pruned(finished: tuple[Search, Path]) -> None:
    search, _ = finished
    states = [t.state for t in search.trials]
    assert set(states[:5]) == {DONE}  # the first five are never pruned
    assert STOPPED in states[5:]
    for trial in search.trials:
        assert len(trial.accuracies) == (2 if trial.state == DONE else 1)
    stopped = [t.accuracies[0] for t in search.trials if t.state == STOPPED]
    assert max(stopped) < max(t.accuracies[0] for t in search.ended)


def test_search_files_have_the_result(finished: tuple[Search, Path]) -> None:
    search, out = finished
    assert json.loads((out / "search.json").read_text()) == json.loads(json.dumps(search.to_dict()))
    page = (out / "search.html").read_text()
    assert search.sentence.split(" %")[0] in page
    assert sorted(search.importances) == ["batch", "lr"] or not search.importances


@pytest.mark.slow
def test_resumed_search_equals_an_uninterrupted_one(
    finished: tuple[Search, Path], large: Dataset, learner: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "search"
    with closing(run_search(learner, large, out, trials=8, space=SPACE, seed=3)) as steps:
        for search in steps:
            if len(search.trials) == 3 and search.trials[2].accuracies:
                break
    assert search.trials[2].state == RUNNING
    kept = (out / "trials" / "0000" / "metrics.jsonl").read_bytes()
    again = tune(learner, large, out, trials=8, space=SPACE, seed=3)
    assert facts(again) == facts(finished[0])
    assert (out / "trials" / "0000" / "metrics.jsonl").read_bytes() == kept
    assert facts(tune(learner, large, out, trials=7, space=SPACE, seed=3)) == facts(
        again
    )  # there are enough trials already


def test_trial_with_diverging_loss_fails(large: Dataset, learner: Recipe, tmp_path: Path) -> None:
    wild = Space({"lr": Choice((0.02, 90000.0))})
    search = tune(replace(learner, optimizer="sgd"), large, tmp_path / "search", trials=4, space=wild, seed=1)
    failed = [t for t in search.trials if t.state == FAILED]
    assert failed
    assert all(t.values["lr"] == 90000.0 and "diverged" in t.error for t in failed)
    assert search.best is not None
    assert search.best.values["lr"] == 0.02


def test_tune_invalid_arguments_raise(
    large: Dataset, learner: Recipe, finished: tuple[Search, Path], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="a search needs at least one trial, got 0"):
        tune(learner, large, tmp_path / "a", trials=0, space=SPACE)
    with pytest.raises(MienError, match="batch must be above 0"):
        tune(learner, large, tmp_path / "a", space=Space({"batch": Choice((0, 2))}))
    only = replace(large, splits={"train": large["train"]})
    with pytest.raises(MissingSplit, match="has no labeled split 'val', which a search needs"):
        tune(learner, only, tmp_path / "a", space=SPACE)
    assert not (tmp_path / "a").exists()
    with pytest.raises(RunError, match=r"contains a search with other settings .recipe.momentum"):
        tune(replace(learner, momentum=0.5), large, finished[1], trials=8, space=SPACE, seed=3)


@pytest.mark.exclusive
def test_killed_command_resumes(tmp_path: Path) -> None:
    """SIGKILL in the second trial; the same command finishes the search without repeating the first trial."""
    csv, out = write_csv(tmp_path / "faces.csv", sketch(train=48, val=24, test=8)), tmp_path / "out"
    (tmp_path / "space.toml").write_text("lr = {low = 0.001, high = 0.02, log = true}\n")
    words = ["tune", "seed", "--data", csv, "--trials", "3", "--space", tmp_path / "space.toml", "--out", out]
    for setting in ("model=mien_nano", "epochs=2", "batch=8"):
        words += ["--set", setting]
    command = [*MIEN, *map(str, words)]
    second = out / "trials" / "0001" / "metrics.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or second.exists(), "the second trial")
        process.send_signal(signal.SIGKILL)
    first = (out / "trials" / "0000" / "metrics.jsonl").read_bytes()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    trials = json.loads((out / "search.json").read_text())["trials"]
    assert [t["number"] for t in trials] == [0, 1, 2]
    assert {t["state"] for t in trials} == {"done"}
    assert (out / "trials" / "0000" / "metrics.jsonl").read_bytes() == first
    assert f"report: {out / 'search.html'}" in done.stdout
