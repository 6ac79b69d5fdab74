"""Trials in parallel on a Ray cluster, some of whose machines die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from machines import LocalCluster, local_cluster
from mien.data.dataset import Dataset
from mien.errors import MienError, RunError
from mien.evaluation.comparison.search import DONE, FAILED, RUNNING
from mien.train import Recipe, Run, tune
from mien.train.loop import train_epochs
from mien.train.search.space import Choice, Range, Space
from mien.train.search.tune import run_search

pytestmark = pytest.mark.cluster
SPACE = Space({"lr": Range(0.0001, 0.1, log=True), "batch": Choice((16, 32))})


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster(2) as cluster:
        yield cluster


@pytest.fixture
def machines(cluster: LocalCluster) -> LocalCluster:
    cluster.repair()
    return cluster


@pytest.fixture(scope="module")
def learner(small: Recipe) -> Recipe:
    return replace(small, epochs=3, lr=0.02, batch=32, augment=())


@pytest.fixture(scope="module")
def large(make_toy: Callable[..., Dataset]) -> Dataset:
    return make_toy(train=256)


def test_search_survives_the_death_of_a_machine(
    machines: LocalCluster, large: Dataset, learner: Recipe, tmp_path: Path
) -> None:
    out, at_once, lost = tmp_path / "search", 0, False
    for search in run_search(learner, large, out, trials=4, space=SPACE, seed=3, ray=machines.address):
        running = [t for t in search.trials if t.state == RUNNING]
        at_once = max(at_once, len(running))
        if not lost and len(running) == 2 and all(t.accuracies for t in running):
            machines.kill_node()
            lost = True
    assert lost
    assert at_once == 2
    assert [t.number for t in search.trials] == [0, 1, 2, 3]
    # The first five trials are never pruned.
    assert [(t.state, t.error) for t in search.trials] == [(DONE, "")] * 4
    assert search.trials[0].own
    for trial in search.trials:
        run = Run(out / "trials" / f"{trial.number:04d}")
        assert run.identity["recipe"] == {**learner.to_dict(), **trial.values}
        assert len(trial.accuracies) == 3
        assert trial.accuracies == tuple(epoch["val_accuracy"] for epoch in run.history)
    assert len({tuple(t.values.items()) for t in search.trials}) == 4
    alone = tune(learner, large, tmp_path / "alone", trials=1, space=SPACE, seed=3)
    assert alone.trials[0].accuracies == pytest.approx(search.trials[0].accuracies, abs=0.02)
    # The search resumes without the cluster.
    again = tune(learner, large, out, trials=5, space=SPACE, seed=3)
    assert [t.accuracies for t in again.trials[:4]] == [t.accuracies for t in search.trials]
    assert len(again.trials) == 5


def test_epochs_unknown_to_the_study_are_reported(
    machines: LocalCluster, large: Dataset, learner: Recipe, tmp_path: Path
) -> None:
    """A process may die between an epoch and the report of it."""
    out = tmp_path / "search"
    steps = run_search(learner, large, out, trials=1, space=SPACE, seed=3)
    next(search for search in steps if search.trials and search.trials[0].accuracies)
    steps.close()
    further = train_epochs(learner, large, out / "trials" / "0000", seed=3, resume=True)
    next(further)
    further.close()
    (trial,) = tune(learner, large, out, trials=1, space=SPACE, seed=3, ray=machines.address).trials
    history = Run(out / "trials" / "0000").history
    assert len(history) == 3
    assert trial.accuracies == tuple(epoch["val_accuracy"] for epoch in history)


def test_trial_with_diverging_loss_fails(
    machines: LocalCluster, large: Dataset, learner: Recipe, tmp_path: Path
) -> None:
    wild = Space({"lr": Choice((90000.0, 80000.0))})
    recipe = replace(learner, optimizer="sgd", epochs=1)
    (trial,) = tune(recipe, large, tmp_path / "search", trials=1, space=wild, seed=1, ray=machines.address).trials
    assert trial.state == FAILED
    assert "diverged" in trial.error


def test_invalid_arguments_raise(
    machines: LocalCluster, large: Dataset, learner: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MienError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 "):
        tune(learner, large, tmp_path / "a", trials=1, space=SPACE, ray="127.0.0.1:1")
    with pytest.raises(MienError, match="device 'cuda' is not available on this machine; available: cpu"):
        tune(learner, large, tmp_path / "b", trials=1, space=SPACE, device="cuda", ray=machines.address)
    with monkeypatch.context() as patch:
        patch.setenv("MIEN_THREADS", "2")
        with pytest.raises(
            MienError, match="needs the 2 cores of MIEN_THREADS, but no machine of the cluster has more than 1"
        ):
            tune(learner, large, tmp_path / "d", trials=1, space=SPACE, ray=machines.address)
    with pytest.raises(RunError, match="a search needs at least one trial, got 0"):
        tune(learner, large, tmp_path / "c", trials=0, space=SPACE, ray="127.0.0.1:1")
