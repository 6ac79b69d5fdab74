"""Progress in a log file: device, precision and runs at first, then lines that fit 80 columns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mien.data.dataset import Dataset
from mien.train import Recipe, compare, train
from mien.train.progress import MAX_SECONDS, MIN_SECONDS, Progress, RunsProgress


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("mien.train.progress.time", clock)
    return clock


def shown(captured: pytest.CaptureFixture[str]) -> list[str]:
    lines = captured.readouterr().err.splitlines()
    assert max(map(len, lines), default=0) <= 80, lines
    return lines


def run_epoch(progress: Progress, clock: Clock, epoch: int, batches: int, seconds: float) -> None:
    """Show an epoch of batches of ten faces, each of which takes `seconds`."""
    progress.start(epoch)
    for _ in range(batches):
        clock.now += seconds
        progress.step(10, torch.tensor(14.0), torch.tensor(4.0))


def test_log_has_a_line_each_tenth_of_an_epoch(linear: Recipe, tmp_path: Path, clock: Clock, capfd) -> None:
    with Progress(replace(linear, epochs=12), 0, 1000, tmp_path, shown=True) as progress:
        run_epoch(progress, clock, 1, 100, 1.0)
    lines = shown(capfd)
    assert [line.split()[2] for line in lines] == [str(tenth) for tenth in range(10, 100, 10)]
    assert lines[0] == "epoch 1/12  10 %  loss 0.140  accuracy 4.0 %  10 images/s  20 min left"


def test_log_of_slow_epochs_has_a_line_every_30_s(linear: Recipe, tmp_path: Path, clock: Clock, capfd) -> None:
    with Progress(linear, 0, 1000, tmp_path, shown=True) as progress:
        run_epoch(progress, clock, 1, 5, MAX_SECONDS)
    assert [line.split()[2] for line in shown(capfd)] == ["1", "2", "3", "4", "5"]


def test_log_of_fast_epochs_has_no_line_within(linear: Recipe, tmp_path: Path, clock: Clock, capfd) -> None:
    with Progress(linear, 0, 1000, tmp_path, shown=True) as progress:
        for epoch in (1, 2):
            run_epoch(progress, clock, epoch, 100, MIN_SECONDS / 101)
    assert shown(capfd) == []


def test_run_says_device_precision_and_epochs(linear: Recipe, toy: Dataset, tmp_path: Path, capfd) -> None:
    train(replace(linear, epochs=2), toy, tmp_path, device="cpu", progress=True)
    first, second, *epochs = shown(capfd)
    assert first == f"{linear.name}, random seed 0"
    assert re.fullmatch(r"linear on cpu \(\d threads?\) in \w+: 2 epochs of 96 faces", second)
    assert [
        re.match(r"epoch \d/2  loss \d\.\d{3}  accuracy %: \w+ \d+\.\d  val ", line) is not None for line in epochs
    ] == ([True, True])
    train(replace(linear, epochs=2), toy, tmp_path, device="cpu", progress=True, resume=True)
    assert shown(capfd) == []


def test_comparison_says_runs_to_come(linear: Recipe, toy: Dataset, tmp_path: Path, capfd) -> None:
    arms = [replace(linear, name=name, epochs=1) for name in ("a", "b")]
    train(arms[0], toy, tmp_path / "a-seed0", device="cpu")
    compare(toy, arms, seeds=2, out=tmp_path, device="cpu", progress=True)
    lines = shown(capfd)
    assert lines[0] == "4 runs: a, b with random seeds 0, 1, 1 of them finished"
    assert [line for line in lines if line.startswith("run ")] == [
        "run 2 of 4: b, random seed 0",
        "run 3 of 4: a, random seed 1",
        "run 4 of 4: b, random seed 1",
    ]


def test_time_left_follows_trained_runs(clock: Clock, capfd) -> None:
    runs = RunsProgress([True, False, False, False], ["a", "b"], [0, 1], shown=True)
    for _ in range(4):
        assert runs.next()
        clock.now += 60
    assert [line for line in shown(capfd) if "left" in line] == [
        "2 runs and about 4 min left",
        "1 run and about 90 s left",
    ]
