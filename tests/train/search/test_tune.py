"""The search: trials are what their values say, stopped where they lag, and gone on with after any end."""

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
from mien.train.search.tune import searching
from waiting import wait_until

SPACE = Space({"lr": Range(0.0001, 0.1, log=True), "batch": Choice((16, 32))})


@pytest.fixture(scope="module")
def learner(small: Recipe) -> Recipe:
    return replace(small, epochs=2, lr=0.02, batch=32, augment=())


@pytest.fixture(scope="module")
def large(make_toy: Callable[..., Dataset]) -> Dataset:
    return make_toy(train=256)


@pytest.fixture(scope="module")
def whole(large: Dataset, learner: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Search, Path]:
    out = tmp_path_factory.mktemp("tune") / "search"
    return tune(learner, large, out, trials=8, space=SPACE, seed=3), out


def facts(search: Search) -> list[tuple[object, ...]]:
    return [(t.number, t.state, dict(t.values), t.accuracies, t.own) for t in search.trials]


def test_each_trial_is_a_run_with_its_values(whole: tuple[Search, Path], learner: Recipe) -> None:
    search, out = whole
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


def test_what_lags_is_stopped_and_what_ends_is_whole(whole: tuple[Search, Path]) -> None:
    search, _ = whole
    states = [t.state for t in search.trials]
    assert set(states[:5]) == {DONE}  # the first five are what others are measured by
    assert STOPPED in states[5:]
    for trial in search.trials:
        assert len(trial.accuracies) == (2 if trial.state == DONE else 1)
    stopped = [t.accuracies[0] for t in search.trials if t.state == STOPPED]
    assert max(stopped) < max(t.accuracies[0] for t in search.ended)


def test_the_files_tell_what_the_search_does(whole: tuple[Search, Path]) -> None:
    search, out = whole
    assert json.loads((out / "search.json").read_text()) == json.loads(json.dumps(search.to_dict()))
    page = (out / "search.html").read_text()
    assert search.sentence.split(" %")[0] in page
    assert sorted(search.importances) == ["batch", "lr"] or not search.importances


def test_a_search_that_ended_early_goes_on_as_if_it_had_not(
    whole: tuple[Search, Path], large: Dataset, learner: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "search"
    with closing(searching(learner, large, out, trials=8, space=SPACE, seed=3)) as going:
        for search in going:
            if len(search.trials) == 3 and search.trials[2].accuracies:
                break
    assert search.trials[2].state == RUNNING
    kept = (out / "trials" / "0000" / "metrics.jsonl").read_bytes()
    again = tune(learner, large, out, trials=8, space=SPACE, seed=3)
    assert facts(again) == facts(whole[0])
    assert (out / "trials" / "0000" / "metrics.jsonl").read_bytes() == kept
    assert facts(tune(learner, large, out, trials=7, space=SPACE, seed=3)) == facts(again)  # enough there already


def test_a_trial_that_fails_is_one_of_them(large: Dataset, learner: Recipe, tmp_path: Path) -> None:
    wild = Space({"lr": Choice((0.02, 90000.0))})
    search = tune(replace(learner, optimizer="sgd"), large, tmp_path / "search", trials=4, space=wild, seed=1)
    failed = [t for t in search.trials if t.state == FAILED]
    assert failed
    assert all(t.values["lr"] == 90000.0 and "no number" in t.error for t in failed)
    assert search.best is not None
    assert search.best.values["lr"] == 0.02


def test_what_cannot_be_searched(large: Dataset, learner: Recipe, whole: tuple[Search, Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a search has one trial or more, got 0"):
        tune(learner, large, tmp_path / "a", trials=0, space=SPACE)
    with pytest.raises(MienError, match="batch must be above 0"):
        tune(learner, large, tmp_path / "a", space=Space({"batch": Choice((0, 2))}))
    only = replace(large, splits={"train": large["train"]})
    with pytest.raises(MissingSplit, match="has no labelled split 'val', by which trials are judged"):
        tune(learner, only, tmp_path / "a", space=SPACE)
    assert not (tmp_path / "a").exists()
    with pytest.raises(
        RunError, match=r"holds a search of something else: recipe.momentum is 0.\d+ there and 0.5 here"
    ):
        tune(replace(learner, momentum=0.5), large, whole[1], trials=8, space=SPACE, seed=3)


@pytest.mark.exclusive
def test_a_killed_command_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle of the second trial; the same command does the rest, and the first is not done again."""
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
    told = json.loads((out / "search.json").read_text())["trials"]
    assert [t["number"] for t in told] == [0, 1, 2]
    assert {t["state"] for t in told} == {"done"}
    assert (out / "trials" / "0000" / "metrics.jsonl").read_bytes() == first
    assert f"page: {out / 'search.html'}" in done.stdout
