"""Training in several processes: equality with one process, errors, and killed processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import start_processes

from command import MIEN
from mien.data import sketch, write_csv
from mien.data.dataset import Dataset
from mien.errors import MienError, RunError
from mien.train import Recipe, Run, train
from mien.train.batches import Faces, training_batches
from mien.train.loss import Loss
from mien.train.models import build_model
from mien.train.optim.optimizers import OPTIMIZERS
from mien.train.processes import _wait, train_on_devices
from waiting import wait_until

pytestmark = pytest.mark.exclusive


@pytest.fixture(scope="module")
def recipe(small: Recipe) -> Recipe:
    """Return a recipe of three steps: 91 faces in batches of 32, so that the last batch has uneven halves."""
    return replace(small, model="mien_nano", epochs=1, lr=0.05, schedule="constant", label_smoothing=0.1)


@pytest.fixture(scope="module")
def faces(make_toy: Callable[..., Dataset]) -> Dataset:
    return make_toy(train=91, val=16, test=0)


@pytest.fixture(scope="module")
def run_of_two(faces: Dataset, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_on_devices(2, recipe, faces, tmp_path_factory.mktemp("two") / "run", seed=5, device="cpu")


def train_in_one_process_on_halves(recipe: Recipe, dataset: Dataset, seed: int) -> dict[str, torch.Tensor]:
    """Return the weights after one epoch of one process that passes each half of a batch through the model in turn."""
    torch.manual_seed(seed)
    model = build_model(recipe.model, 7)
    optimizer = OPTIMIZERS[recipe.optimizer](model, recipe.lr, recipe.momentum, recipe.weight_decay)
    target_NK = torch.eye(7)[torch.from_numpy(dataset["train"].labels_N)]
    split, loss_of = (
        Faces.from_split(dataset["train"], torch.device("cpu"), target_NK),
        Loss.from_recipe(recipe, target_NK),
    )
    model.train()
    for whole in training_batches(split, recipe, seed, 1):
        n = len(whole.x_BCHW)
        for half in (slice(0, n // 2), slice(n // 2, n)):
            loss = loss_of(model(whole.x_BCHW[half]), whole.target_BK[half])
            (loss * (half.stop - half.start) / n).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name: weight.detach() for name, weight in model.named_parameters()}


def test_two_processes_equal_one_process_on_halves(run_of_two: Run, faces: Dataset, recipe: Recipe) -> None:
    expected, weights = train_in_one_process_on_halves(recipe, faces, seed=5), run_of_two.checkpoint().model
    difference = {name: float((weights[name] - weight).abs().max()) for name, weight in expected.items()}
    assert max(difference.values()) < 1e-5, difference
    alone = train(recipe, faces, run_of_two.folder.parent / "alone", seed=5, device="cpu").checkpoint().model
    assert (
        max(float((weights[name] - alone[name]).abs().max()) for name in expected) > 1e-4
    )  # with whole batches, batch normalization differs


def test_record_of_two_processes_is_one_run(run_of_two: Run, faces: Dataset) -> None:
    assert run_of_two.finished
    assert run_of_two.machine["processes"] == 2
    (epoch,) = run_of_two.history
    assert epoch["val_accuracy"] == pytest.approx(
        (run_of_two.predictions()["val"].argmax(1) == faces["val"].labels_N).mean()
    )
    assert 0 < epoch["train_accuracy"] < 1
    assert epoch["train_accuracy"] * 91 == pytest.approx(round(epoch["train_accuracy"] * 91))  # each face once


@pytest.mark.parametrize(("batch", "parts"), [(32, 2), (32, 5), (90, 3), (45, 2)])
def test_training_batches_parts_make_the_whole_batch(faces: Dataset, recipe: Recipe, batch: int, parts: int) -> None:
    target_NK = torch.eye(7)[torch.from_numpy(faces["train"].labels_N)]
    split, recipe = Faces.from_split(faces["train"], torch.device("cpu"), target_NK), replace(recipe, batch=batch)
    whole = list(training_batches(split, recipe, 0, 1))
    shared = [list(training_batches(split, recipe, 0, 1, part=part, parts=parts)) for part in range(parts)]
    for number, one in enumerate(whole):
        own = [batches[number] for batches in shared]
        counted = torch.cat([b.x_BCHW for b in own if b.share])
        assert torch.equal(counted, one.x_BCHW)
        assert sum(b.share for b in own) / parts == pytest.approx(one.share)
        assert all(len(b.x_BCHW) for b in own)  # batch normalization needs at least one face


@pytest.mark.slow
def test_train_on_devices_invalid_arguments_raise(faces: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    for devices in (0, 33):
        with pytest.raises(
            RunError, match=f"devices must be a number from 1 to the faces of a batch, 32, got {devices}"
        ):
            train_on_devices(devices, recipe, faces, tmp_path / "run")
    with pytest.raises(MienError, match="device 'tpu' is not available"):
        train_on_devices(2, recipe, faces, tmp_path / "run", device="tpu")
    assert not (tmp_path / "run").exists()


def command(tmp_path: Path, out: Path) -> list[str]:
    csv = tmp_path / "faces.csv"
    if not csv.exists():
        write_csv(csv, sketch(train=96, val=16, test=8))
    words = ["train", "seed", "--data", csv, "--out", out, "--devices", 2, "--resume"]
    for setting in ("model=mien_nano", "epochs=30", "precision=float32"):
        words += ["--set", setting]
    return [*MIEN, *map(str, words)]


@pytest.mark.slow
def test_killed_process_ends_the_run_and_keeps_epochs(tmp_path: Path) -> None:
    out = tmp_path / "run"
    file = out / "metrics.jsonl"
    with subprocess.Popen(command(tmp_path, out), stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: process.poll() is not None or has_text(file), "an epoch")
        second = max(children(process.pid))
        os.kill(second, signal.SIGKILL)
        stderr = process.communicate()[1]
    assert process.returncode == 2, stderr
    assert "of 2 was killed by SIGKILL; the epochs done are kept in" in stderr
    assert "Traceback" not in stderr
    done = len(file.read_text().splitlines())
    assert 1 <= done < 30
    assert not children(process.pid)
    again = subprocess.run([*command(tmp_path, out), "--set", "epochs=30"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert [json.loads(line)["epoch"] for line in file.read_text().splitlines()] == list(range(1, 31))


@pytest.mark.slow
def test_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    out = tmp_path / "run"
    file = out / "metrics.jsonl"
    with subprocess.Popen(command(tmp_path, out), stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or has_text(file), "an epoch")
        both = children(process.pid)
        assert len(both) == 2
        process.kill()
    wait_until(lambda: not any(map(trains, both)), "the end of the processes that train")
    assert 1 <= len(file.read_text().splitlines()) < 30  # not because they were done
    again = subprocess.run([*command(tmp_path, out), "--set", "epochs=30"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert len(file.read_text().splitlines()) == 30


def die_or_fail(rank: int) -> None:
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("connection reset by peer")


@pytest.mark.slow
def test_killed_process_is_reported_before_its_consequences() -> None:
    """A busy parent may notice that another process failed before it notices the killed one, whose peer that was."""
    processes = start_processes(die_or_fail, nprocs=2, join=False, daemon=True)
    for process in processes.processes:
        process.join()
    errors = multiprocessing.get_context("spawn").SimpleQueue()
    with pytest.raises(RunError, match="process 1 of 2 was killed by SIGKILL; the epochs done are kept in run"):
        _wait(processes, errors, "run")


def has_text(file: Path) -> bool:
    return file.exists() and bool(file.read_text())


def children(pid: int) -> list[int]:
    """Return the training processes of `pid`."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [*filter(trains, map(int, listed.read_text().split()))] if listed.exists() else []


def trains(pid: int) -> bool:
    """Return whether `pid` is a running training process."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_torchrun_trains_one_run(faces: Dataset, recipe: Recipe, run_of_two: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "faces.csv", sketch(train=40, val=16, test=8))
    words = ["train", "seed", "--data", csv, "--out", tmp_path / "run"]
    for setting in ("model=mien_nano", "epochs=1", "precision=float32"):
        words += ["--set", setting]
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mien"]
    done = subprocess.run([*run, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = Run(tmp_path / "run")
    assert kept.machine["processes"] == 2
    assert np.isfinite(kept.history[0]["val_loss"])
