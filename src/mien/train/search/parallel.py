"""Trials of a search in parallel on a Ray cluster.

The study asks, hears and prunes in this process alone, so its SQLite file has one writer and a search goes on after
any end as it does without Ray. An actor trains an epoch when it is asked to, and no further than the search wants.
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
from mien.train.loop import epochs
from mien.train.recipe import Recipe
from mien.train.runs.folder import Metrics, Run
from mien.train.search.trial import TrialRun

PURPOSE = "searching on a cluster"
# Processes that may end within one epoch of a trial: several, as the next may still be sent to a machine that is gone.
TRIES = 6
PATIENCE = 30.0  # seconds that a run's folder may still be locked by a process of a machine that is just going
_EPOCH, _ENDED, _FAILED, _WRONG = "epoch", "ended", "failed", "wrong"


@dataclass
class _AtWork:
    """A trial, the actor that trains it, and how many actors ended at the epoch that it is at."""

    attempt: TrialRun
    actor: Any
    deaths: int = 0


def side_by_side(
    attempts: Iterator[TrialRun], address: str, dataset: Dataset, seed: int, device: str
) -> Generator[TrialRun | None]:
    """Train `attempts` on the cluster at `address`; None after each epoch of any of them, and each when it is over.

    As many at once as there are GPUs, where `device` may be one and the cluster has some, else cores; `MIEN_THREADS`
    gives each so many cores. What a machine that dies was at is trained again elsewhere, from its last epoch; the
    folders of the runs must be seen by all machines.

    Args:
        attempts: asked for when there is room, so that a proposal knows of all trials before it.
        address: as `mien.ray.connected` has it.
        seed, device: as in `searching`.

    Raises:
        MienError: the cluster cannot be joined, or has no machine that is large enough.
    """
    with connect(address, PURPOSE) as ray:
        there, cores = ray.cluster_resources(), threads_from_environment() or 1
        on_gpu = device in ("auto", "cuda") and there.get("GPU", 0) >= 1
        _check_cores(ray, cores)
        places = max(1, int(there["GPU"] if on_gpu else there.get("CPU", 1) // cores))
        actor_of = ray.remote(num_cpus=cores, num_gpus=int(on_gpu))(_Trainer)
        # As bytes, which each actor unpacks for itself: arrays in Ray's store can only be read.
        data = ray.put(pickle.dumps(dataset))

        def start(attempt: TrialRun) -> Any:
            return actor_of.remote(attempt.recipe, data, str(Path(attempt.run.folder).absolute()), seed, device)

        at_work: dict[Any, _AtWork] = {}
        while True:
            while len(at_work) < places and (attempt := next(attempts, None)) is not None:
                if _caught_up(attempt):
                    yield attempt
                    continue
                actor = start(attempt)
                at_work[actor.next.remote()] = _AtWork(attempt, actor)
            if not at_work:
                return
            (ready, *_), _ = ray.wait(list(at_work), num_returns=1)
            one = at_work.pop(ready)
            try:
                kind, told = ray.get(ready)
            except ray.exceptions.RayTaskError:  # an error of what we run there, which another machine has too
                raise
            except ray.exceptions.RayError as error:  # the actor, its machine or their memory
                ray.kill(one.actor)  # it may only have been out of reach
                if _ends_with(one, error):
                    yield one.attempt
                else:
                    one.actor = start(one.attempt)
                    at_work[one.actor.next.remote()] = one
                continue
            if _is_over(one.attempt, kind, told):
                ray.kill(one.actor)
                yield one.attempt
            else:
                one.deaths = 0
                at_work[one.actor.next.remote()] = one
                yield None


def _ends_with(one: _AtWork, error: Exception) -> bool:
    """Whether an attempt is over as its process ended; if not, it is to be begun anew, which waits a little longer."""
    before, one.deaths = one.attempt.reached, one.deaths + 1
    if one.deaths >= TRIES:
        one.attempt.fail(f"{TRIES} processes that trained it ended within one epoch: {first_line(error)}")
        return True
    if _caught_up(one.attempt):
        return True
    if one.attempt.reached != before:
        one.deaths = 0
    time.sleep(one.deaths)
    return False


def _check_cores(ray: Any, wanted: int) -> None:
    """MienError where no machine has so many cores: a trial that wants them would wait for ever."""
    most = max((int(one["Resources"].get("CPU", 0)) for one in ray.nodes() if one["Alive"]), default=0)
    if 0 < most < wanted:  # none at all are those of machines that come when they are wanted
        raise MienError(f"a trial wants the {wanted} cores of MIEN_THREADS, and no machine there has more than {most}")


def _caught_up(attempt: TrialRun) -> bool:
    """Tell it of the epochs that its run has and it does not know; whether it is over with that."""
    try:
        for metrics in attempt.run.history:
            if int(metrics["epoch"]) > attempt.reached:
                attempt.tell(metrics)
                if attempt.lags():
                    return True
    except RunError as error:  # the run is damaged, which is the end of this trial alone
        attempt.fail(str(error))
        return True
    return False


def _is_over(attempt: TrialRun, kind: str, told: Any) -> bool:
    if kind == _WRONG:
        raise MienError(told)
    if kind == _FAILED:
        attempt.fail(told)
    elif kind == _ENDED:
        attempt.end()
    else:
        attempt.tell(told)
        return attempt.lags()
    return True


class _Trainer:
    """What runs on the cluster: one run, trained an epoch at a time."""

    def __init__(self, recipe: Recipe, data: bytes, folder: str, seed: int, device: str) -> None:
        _wait_for(Run(Path(folder)))
        self._going = epochs(recipe, pickle.loads(data), folder, seed=seed, device=device, resume=True)

    def next(self) -> tuple[str, Metrics | str]:
        """Train an epoch; its figures, or how the run is over."""
        try:
            metrics = next(self._going, None)
        except RunError as error:
            return _FAILED, str(error)
        except MienError as error:
            return _WRONG, str(error)
        return (_ENDED, "") if metrics is None else (_EPOCH, metrics)


def _wait_for(run: Run) -> None:
    """Until no other process is at the run, or for as long as one that is about to end may take."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with run.alone():
                return
        except RunError:
            time.sleep(0.5)
