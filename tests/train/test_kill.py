"""A training process, killed at random moments again and again: what is kept is whole, and it ends as if unhurt."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch

from command import MIEN
from mien.__main__ import main
from mien.data import sketch, write_csv
from mien.train import Run
from mien.train.runs.checkpoint import PARTS, Checkpoint, load_checkpoint, previous_file
from waiting import LONGEST

pytestmark = [pytest.mark.exclusive, pytest.mark.slow]

# In each of two precisions ten kills, and a signal. `writing` strikes when a checkpoint is seen on its way to the disk.
MOMENTS = (*["starting"] * 2, *["training"] * 5, *["writing"] * 3)
PER_START = 3  # epochs that a process is let finish, at most, before it is struck
EPOCHS = PER_START * (len(MOMENTS) + 1)
STARTS = 3 * len(MOMENTS)  # more than this is no progress
# All that a run remembers is in play: momentum, an average, a chosen epoch, a changing rate, random augmentation.
SETTINGS = (
    "model=seed_cnn_eighth", "batch=3", "accumulate=2", "lr=0.01", "schedule=cosine", "warmup=0.5", "ema=0.9",
    "select=val_accuracy", "balanced_sampling=0.5", f"epochs={EPOCHS}",
)  # fmt: skip
CLOCKS = {"seconds", "images_per_second"}
# Importing torch is most of a start. Of the processes that are not struck while they start, two in three
# are forked from one that has done so: as real, and running what `python -m mien` runs.
WARM = multiprocessing.get_context("forkserver")


class Training:
    """`mien train ... --resume` in a process of its own, started by `python`, or already `warm`."""

    def __init__(self, csv: Path, run: Run, precision: str, warm: bool) -> None:
        words = ["train", "seed_augmented", "--data", str(csv), "--out", str(run.folder), "--resume", "--seed", "7"]
        for setting in (*SETTINGS, f"precision={precision}"):
            words += ["--set", setting]
        self.run = run
        self._lines = _stamp(run.folder / "metrics.jsonl")
        self._said = run.folder.with_name(f"{run.folder.name}.err")
        self._process: subprocess.Popen[bytes] | ForkServerProcess
        if warm:
            self._said.write_text("")
            self._process = WARM.Process(target=main)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", ["mien", *words])  # which multiprocessing hands on
                self._process.start()
        else:
            with self._said.open("w") as said:
                command = [*MIEN, *words]
                self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)

    @property
    def status(self) -> int | None:
        """Exit status, negative where a signal ended the process; None while it lives."""
        return self._process.poll() if isinstance(self._process, subprocess.Popen) else self._process.exitcode

    def watch(self, sees: Callable[[], bool], seconds: float = LONGEST, pause: float = 0.004) -> bool:
        """Look until there is something to see; False where the time or the process ended first."""
        until = time.monotonic() + seconds
        while self.status is None and time.monotonic() < until:
            if sees():
                return True
            time.sleep(pause)
        return False

    def trains(self) -> bool:
        """Whether this process has begun, which writes the records anew."""
        return _stamp(self.run.folder / "metrics.jsonl") != self._lines

    def writes(self) -> bool:
        """Whether a checkpoint is not in its place yet."""
        return any(name.startswith((".checkpoint", "checkpoint-next")) for name in os.listdir(self.run.folder))

    def end(self, how: signal.Signals | None) -> tuple[int, str]:
        """Send a signal, if any, and wait for the end: the status, and what was said on stderr."""
        if how is not None and self.status is None:
            assert self._process.pid is not None
            with suppress(ProcessLookupError):  # it ends by itself just now
                os.kill(self._process.pid, how)
        self.watch(lambda: False)
        assert self.status is not None, f"it did not end in {LONGEST:.0f} seconds"
        return self.status, self._said.read_text(encoding="utf-8")

    def close(self) -> None:
        if self.status is None:
            self._process.kill()
            self.watch(lambda: False)


@contextmanager
def training(csv: Path, run: Run, precision: str, warm: bool = False) -> Iterator[Training]:
    process = Training(csv, run, precision, warm)
    try:
        yield process
    finally:
        process.close()


@pytest.fixture(scope="module", autouse=True)
def _one_thread_and_a_warm_start() -> Iterator[None]:
    """One thread each, so that sums are added in one order, and there is a core to watch from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_THREADS", "1")
        WARM.set_forkserver_preload(["mien.cli", "mien.train"])
        yield


def _stamp(file: Path) -> tuple[int, int] | None:
    """Another one whenever the file is written anew."""
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def epochs_told(run: Run) -> int:
    """By `metrics.jsonl`, which a process may be replacing meanwhile."""
    try:
        return len((run.folder / "metrics.jsonl").read_bytes().splitlines())
    except FileNotFoundError:
        return 0


def wait_for(moment: str, victim: Training, rng: random.Random) -> bool:
    """Let `victim` come to that moment; whether it was caught writing."""
    if moment == "starting":
        victim.watch(lambda: False, rng.uniform(0, 3))
        return False
    victim.watch(victim.trains)
    began, done = time.monotonic(), epochs_told(victim.run)
    more = rng.randrange(PER_START)
    victim.watch(lambda: epochs_told(victim.run) >= done + more)
    if moment == "writing":
        caught = victim.watch(victim.writes, pause=0)
        victim.watch(lambda: False, rng.choice((0, 0, 0.001)), pause=0)  # at once, or just when it is put in its place
        return caught
    an_epoch = (time.monotonic() - began) / more if more else 0.2
    victim.watch(lambda: epochs_told(victim.run) >= done + PER_START, rng.uniform(0, an_epoch))
    return False


def epochs_kept(run: Run) -> int:
    """What a process that was struck has left is whole, each file of it; how many epochs that is."""
    for file in run.folder.glob("*.json"):
        json.loads(file.read_bytes())
    for probs_NK in run.predictions().values():
        assert probs_NK.shape == (8, 7)
    kept = {file.name: load_checkpoint(file).state["history"] for file in run.folder.glob("*.safetensors")}
    places = {run.checkpoint_file.name, previous_file(run.checkpoint_file).name}
    history = run.checkpoint().state["history"] if places & kept.keys() else []
    # The checkpoint is written first, then what can be read without it.
    assert list(run.history) in (history, history[:-1])
    return len(history)


def assert_equal(one: Checkpoint, other: Checkpoint) -> None:
    for part in PARTS:
        a, b = getattr(one, part), getattr(other, part)
        assert a.keys() == b.keys()
        assert [k for k in a if not torch.equal(a[k], b[k])] == [], part
    assert without_clocks(one.state["history"]) == without_clocks(other.state["history"])
    assert {**one.state, "history": None} == {**other.state, "history": None}


def without_clocks(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in epoch.items() if k not in CLOCKS} for epoch in history]


def assert_ended_alike(run: Run, straight: Run) -> None:
    """Bit for bit, but for what clocks said; and nothing is left lying about."""
    assert len(run.history) == EPOCHS
    assert {file.name for file in run.folder.iterdir()} == {file.name for file in straight.folder.iterdir()}
    assert not list(straight.folder.glob(".*.part"))
    assert_equal(run.checkpoint(), straight.checkpoint())
    assert_equal(
        load_checkpoint(previous_file(run.checkpoint_file)), load_checkpoint(previous_file(straight.checkpoint_file))
    )
    assert list(run.history) == run.checkpoint().state["history"]
    for name in ("predictions-val.npy", "predictions-test.npy", "recipe.json", "machine.json"):
        assert (run.folder / name).read_bytes() == (straight.folder / name).read_bytes(), name


def strike(victim: Training, moment: str, caught: bool, kept: int) -> int:
    """End `victim`; the epochs that are kept, or -1 where it had come to its end by itself."""
    told = epochs_told(victim.run)
    how = signal.SIGKILL if moment in ("starting", "training", "writing") else signal.Signals[moment]
    status, said = victim.end(how)
    if status == 0:
        return -1
    assert "Traceback" not in said
    if how == signal.SIGKILL:
        assert status == -how, said
    else:
        assert status == 128 + how, said
        *_, last = said.splitlines()
        assert last.startswith("mien: stopped; finished epochs are kept in ")
        assert said.count("mien: ") == 1
    now = epochs_kept(victim.run)
    assert now >= max(kept, told), f"{moment}: {now} epochs are left, there were {kept}, and {told} told of"
    return now


@pytest.mark.parametrize(("precision", "by_hand"), [("float32", "SIGINT"), ("bf16", "SIGTERM")])
def test_a_run_that_is_killed_again_and_again_ends_where_the_unhurt_one_ends(
    precision: str, by_hand: str, tmp_path: Path
) -> None:
    seed = int(os.environ.get("MIEN_KILL_SEED", random.randrange(10**6)))
    print(f"MIEN_KILL_SEED={seed} draws these moments")  # pytest shows it where the test fails
    rng = random.Random(seed)
    csv = write_csv(tmp_path / "small.csv", sketch(train=12, val=8, test=8))
    run, straight = Run(tmp_path / "hurt"), Run(tmp_path / "straight")
    run.folder.mkdir()
    to_come, kept, met, starts = [*rng.sample(MOMENTS, len(MOMENTS)), by_hand], 0, 0, 0

    with training(csv, straight, precision) as unhurt:
        # Until all moments had their turn, and a kill has met a checkpoint that was not in its place yet.
        while to_come or not met:
            starts += 1
            assert starts <= STARTS, f"after {starts} starts {met} kills met a file being written; to come: {to_come}"
            moment = to_come[0] if to_come else "writing"
            warm = moment in ("training", "writing") and starts % 3 > 0
            with training(csv, run, precision, warm) as victim:
                caught = wait_for(moment, victim, rng)
                kept = strike(victim, moment, caught, kept)
                if kept < 0:  # faster than the blow: from the beginning
                    shutil.rmtree(run.folder)
                    run.folder.mkdir()
                    kept = 0
                    continue
                met += caught and victim.writes()
            if to_come and (caught or moment != "writing"):
                del to_come[0]
        print(f"{starts} starts, {met} kills met a file being written, {kept} epochs kept until then")
        with training(csv, run, precision, warm=True) as last:
            status, said = last.end(None)
            assert status == 0, said
        status, said = unhurt.end(None)
        assert status == 0, said
    assert_ended_alike(run, straight)
