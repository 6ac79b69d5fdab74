"""Trials of a search in parallel on a Ray cluster.

Only this process talks to the study, so its SQLite file has one writer, and a search resumes as it does without Ray.
An actor trains one epoch per call, and no further than the search asks for.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.data.dataset import Dataset
from mien.errors import MienError, RunError
from mien.ray import connect, first_line
from mien.threads import threads_from_environment
from mien.train.loop import train_epochs
from mien.train.recipe import Recipe
from mien.train.runs.folder import Metrics, Run
from mien.train.search.trial import TrialRun

PURPOSE = "searching on a cluster"
# Actors that may die within one epoch of a trial: several, because Ray may still choose a machine that is gone.
MAX_DEATHS = 6
LOCK_TIMEOUT = 30.0  # seconds to wait for the lock of a run's folder, which a dying machine may still hold
_EPOCH, _COMPLETE, _FAILED, _INVALID = "epoch", "complete", "failed", "invalid"


@dataclass
class _ActiveTrial:
    """A trial, the actor that trains it, and how many actors died during its current epoch."""

    trial: TrialRun
    actor: Any
    deaths: int = 0


def train_in_parallel(
    trials: Iterator[TrialRun], address: str, dataset: Dataset, seed: int, device: str
) -> Generator[TrialRun | None]:
    """Train trials in parallel on a Ray cluster.

    The number of trials at a time is the number of GPUs if `device` may be a GPU and the cluster has any, else the
    number of cores divided by `MIEN_THREADS`. A trial whose machine dies is trained again on another one, from its last
    epoch; all machines must see the folders of the runs.

    Args:
        trials: Trials; each is taken when there is room for it, so that its values depend on all trials before it.
        address: Address of the cluster, as in `mien.ray.connect`.
        dataset: Data set to train on.
        seed: Random seed of each trial.
        device: Device, as in `train`.

    Yields:
        None after each epoch of any trial, and each trial when it has ended.

    Raises:
        MienError: The cluster cannot be joined, or no machine of it has enough cores.
    """
    with connect(address, PURPOSE) as ray:
        resources, cores = ray.cluster_resources(), threads_from_environment() or 1
        on_gpu = device in ("auto", "cuda") and resources.get("GPU", 0) >= 1
        _check_cores(ray, cores)
        slots = max(1, int(resources["GPU"] if on_gpu else resources.get("CPU", 1) // cores))
        trainer_class = ray.remote(num_cpus=cores, num_gpus=int(on_gpu))(_Trainer)
        # Each actor unpickles its own copy, because arrays in Ray's object store are read-only.
        data = ray.put(pickle.dumps(dataset))

        def start_actor(trial: TrialRun) -> Any:
            return trainer_class.remote(trial.recipe, data, str(Path(trial.run.folder).absolute()), seed, device)

        active_trials: dict[Any, _ActiveTrial] = {}
        while True:
            while len(active_trials) < slots and (trial := next(trials, None)) is not None:
                if _replay_history(trial):
                    yield trial
                    continue
                actor = start_actor(trial)
                active_trials[actor.next.remote()] = _ActiveTrial(trial, actor)
            if not active_trials:
                return
            (ready, *_), _ = ray.wait(list(active_trials), num_returns=1)
            active = active_trials.pop(ready)
            try:
                kind, result = ray.get(ready)
            except ray.exceptions.RayTaskError:  # an exception in our code, which would occur on any machine
                raise
            except ray.exceptions.RayError as error:  # the actor or its machine died, or ran out of memory
                ray.kill(active.actor)  # it may only be unreachable
                if _ends_after_death(active, error):
                    yield active.trial
                else:
                    active.actor = start_actor(active.trial)
                    active_trials[active.actor.next.remote()] = active
                continue
            if _ends_after_result(active.trial, kind, result):
                ray.kill(active.actor)
                yield active.trial
            else:
                active.deaths = 0
                active_trials[active.actor.next.remote()] = active
                yield None


def _ends_after_death(active: _ActiveTrial, error: Exception) -> bool:
    """Return whether a trial has ended, after its actor died; if not, wait, longer after each death."""
    epoch, active.deaths = active.trial.epoch, active.deaths + 1
    if active.deaths >= MAX_DEATHS:
        active.trial.fail(f"{MAX_DEATHS} processes that trained it died within one epoch: {first_line(error)}")
        return True
    if _replay_history(active.trial):
        return True
    if active.trial.epoch != epoch:
        active.deaths = 0
    time.sleep(active.deaths)
    return False


def _check_cores(ray: Any, needed: int) -> None:
    """Raise `MienError` if no machine has as many cores as a trial needs: it would wait forever."""
    available = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)
    if 0 < available < needed:  # with 0, an autoscaler may start machines when they are needed
        raise MienError(
            f"a trial needs the {needed} cores of MIEN_THREADS, but no machine of the cluster has more than {available}"
        )


def _replay_history(trial: TrialRun) -> bool:
    """Report the epochs that the run has and the study does not know; return whether the trial has ended."""
    try:
        for metrics in trial.run.history:
            if int(metrics["epoch"]) > trial.epoch:
                trial.report(metrics)
                if trial.prune_if_behind():
                    return True
    except RunError as error:  # the run is damaged: only this trial fails
        trial.fail(str(error))
        return True
    return False


def _ends_after_result(trial: TrialRun, kind: str, result: Any) -> bool:
    """Report the result of an actor's call; return whether the trial has ended."""
    if kind == _INVALID:
        raise MienError(result)
    if kind == _FAILED:
        trial.fail(result)
    elif kind == _COMPLETE:
        trial.complete()
    else:
        trial.report(result)
        return trial.prune_if_behind()
    return True


class _Trainer:
    """Actor on the cluster: trains one run, one epoch per call."""

    def __init__(self, recipe: Recipe, data: bytes, folder: str, seed: int, device: str) -> None:
        _wait_for_lock(Run(Path(folder)))
        self._epochs = train_epochs(recipe, pickle.loads(data), folder, seed=seed, device=device, resume=True)

    def next(self) -> tuple[str, Metrics | str]:
        """Train an epoch; return its metrics, or how the run ended."""
        try:
            metrics = next(self._epochs, None)
        except RunError as error:
            return _FAILED, str(error)
        except MienError as error:
            return _INVALID, str(error)
        return (_COMPLETE, "") if metrics is None else (_EPOCH, metrics)


def _wait_for_lock(run: Run) -> None:
    """Wait until no other process holds the lock of the run, or until `LOCK_TIMEOUT` has passed."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while time.monotonic() < deadline:
        try:
            with run.locked():
                return
        except RunError:
            time.sleep(0.5)
