"""`tune`: hyper-parameter search with Optuna.

Proposed by TPE (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization") and stopped by the median rule,
both Optuna's. Each trial is a run in a folder of its own and the search a SQLite file beside them, so that one that is
killed at any moment loses the epoch at hand and no more.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.data.dataset import VAL, Dataset
from mien.errors import MissingExtra, MissingSplit, RunError
from mien.evaluation.comparison.search import DONE, FAILED, RUNNING, STOPPED, Search, Trial
from mien.evaluation.report.write import SEARCH_JSON, write_search
from mien.ray import import_ray
from mien.train.loop import epochs, prepare_targets
from mien.train.overrides import apply_overrides
from mien.train.recipe import Recipe
from mien.train.runs.folder import Run, differences, run_identity
from mien.train.search.parallel import PURPOSE, side_by_side
from mien.train.search.space import USUAL, Choice, Range, Space
from mien.train.search.trial import OWN, SECONDS, WHY, TrialRun

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial as Asked

TRIALS = 20
_STATES = {"COMPLETE": DONE, "PRUNED": STOPPED, "FAIL": FAILED, "RUNNING": RUNNING}  # Optuna's words -> ours
STARTUP_TRIALS = 5  # trials that all train to their end, before others are measured by them
MIN_TRIALS_FOR_IMPORTANCE = 8  # trials that tell anything of importance


def tune(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    trials: int = TRIALS,
    space: Space = USUAL,
    seed: int = 0,
    device: str = "auto",
    ray: str | None = None,
) -> Search:
    """Try `trials` sets of values in all, those in `out` included; where a search was stopped, go on.

    The first trial has the recipe's own values, if they lie in the space. All trials share one seed, so that they
    differ by their values and by what these make of chance; the best of many is flattered by it and wants to be trained
    again from other seeds.

    Args:
        trials: how many there shall be, finished or stopped early.
        space: what is varied.
        seed: of the proposals, and of each trial's first weights, order and augmentation.
        device: as `train` has it.
        ray: the address of a Ray cluster on which trials are trained side by side, as `mien.ray.connected` has it;
            by default they are trained here, one after another.
        out: gets `trials/NUMBER/`, a run each, `search.sqlite`, and, whenever a trial is over, `search.json` and
            `search.html`.

    Raises:
        MissingExtra: Optuna is not installed, or Ray where it is asked for.
        MissingSplit: the data has no labelled validation split.
        RunError: `out` holds another search, or cannot be written.
        MienError: the space does not fit the recipe.
    """
    *_, found = searching(recipe, dataset, out, trials=trials, space=space, seed=seed, device=device, ray=ray)
    return found


def searching(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    trials: int = TRIALS,
    space: Space = USUAL,
    seed: int = 0,
    device: str = "auto",
    ray: str | None = None,
) -> Generator[Search]:
    """As `tune`, the search as it stands at first and after each epoch of each trial."""
    optuna = _optuna()
    if ray is not None:
        import_ray(PURPOSE)
    if trials < 1:
        raise RunError(f"a search has one trial or more, got {trials}")
    if VAL not in dataset or not dataset[VAL].labelled:
        raise MissingSplit(f"{dataset.source} has no labelled split '{VAL}', by which trials are judged")
    space.check_recipe(recipe)
    place, about = Path(out), _about(recipe, dataset, space, seed)
    _check_same(place, about)
    with Run(place).alone(), _silent(optuna):
        study = optuna.create_study(
            storage=f"sqlite:///{place / 'search.sqlite'}", study_name="search", load_if_exists=True,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1),
        )  # fmt: skip

        def now() -> Search:
            return Search(**about, trials=_told(study), importances=_importances(study))

        write_search(now(), place)
        yield now()

        def attempts() -> Iterator[TrialRun]:
            for trial in _to_do(study, trials, seed, space.holds(recipe), at_once=ray is not None):
                values = {field: _proposed(trial, field, part) for field, part in space.of.items()}
                one = apply_overrides(recipe, [f"{field}={value}" for field, value in values.items()])
                yield TrialRun(study, trial, one, Run(place / "trials" / f"{trial.number:04d}"))

        if ray is None:
            going = _here(attempts(), dataset, seed, device)
        else:
            going = side_by_side(attempts(), ray, dataset, seed, device)
        with closing(going):
            for over in going:
                if over is None:
                    yield now()
                else:
                    write_search(now(), place)
        yield now()


def _here(attempts: Iterator[TrialRun], dataset: Dataset, seed: int, device: str) -> Generator[TrialRun | None]:
    """Train one trial after another; None after each epoch of it, and the trial itself when it is over."""
    for one in attempts:
        yield from (None for _ in _trained(one, dataset, seed, device))
        yield one


def _trained(one: TrialRun, dataset: Dataset, seed: int, device: str) -> Iterator[None]:
    """Train one trial, epoch by epoch, until it ends, lags behind or fails."""
    try:
        with closing(epochs(one.recipe, dataset, one.run.folder, seed=seed, device=device, resume=True)) as going:
            for metrics in chain(one.run.history, going):  # what an earlier call has done, then the rest
                one.tell(metrics)
                yield
                if one.lags():
                    return
    except RunError as error:
        one.fail(str(error))
        return
    one.end()


def _to_do(study: Study, trials: int, seed: int, own: Mapping[str, Any] | None, *, at_once: bool) -> Iterator[Asked]:
    """First what an earlier call has left unfinished, then new ones until there are `trials`.

    Args:
        at_once: whether a trial is asked for while others are at work; then it keeps away from what they try.
    """
    from optuna.samplers import TPESampler
    from optuna.trial import Trial as Asked
    from optuna.trial import TrialState

    begun = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
    if own is not None and not study.get_trials(deepcopy=False):
        study.enqueue_trial(dict(own), user_attrs={OWN: True})
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        yield Asked(study, left._trial_id)  # Optuna has no other way to take up a trial
    while (done := len(study.get_trials(deepcopy=False, states=begun))) < trials:
        # Made anew for each, so that a search that goes on proposes what an uninterrupted one would have.
        study.sampler = TPESampler(seed=seed * 10_007 + done, n_startup_trials=STARTUP_TRIALS, constant_liar=at_once)
        yield study.ask()


def _proposed(trial: Asked, field: str, part: Range | Choice) -> str | int | float:
    if isinstance(part, Choice):
        value: Any = trial.suggest_categorical(field, part.values)
        return value  # type: ignore[no-any-return]
    if part.whole:
        return trial.suggest_int(field, int(part.low), int(part.high), log=part.log)
    return trial.suggest_float(field, part.low, part.high, log=part.log)


def _told(study: Study) -> list[Trial]:
    """The trials as the judge's own type."""
    return [
        Trial(
            number=one.number,
            state=_STATES[one.state.name],
            values=dict(one.params),
            accuracies=tuple(one.intermediate_values[epoch] for epoch in sorted(one.intermediate_values)),
            seconds=float(one.user_attrs.get(SECONDS, 0.0)),
            own=bool(one.user_attrs.get(OWN, False)),
            error=str(one.user_attrs.get(WHY, "")),
        )
        for one in study.get_trials(deepcopy=False)
        if one.state.name in _STATES
    ]


def _importances(study: Study) -> dict[str, float]:
    """Each field's share in what tells the best trials from all, by PED-ANOVA (Watanabe et al. 2023, 2304.10255)."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    ended = [one for one in _told(study) if one.state == DONE]
    if len(ended) < MIN_TRIALS_FOR_IMPORTANCE or len(ended[0].values) < 2:
        return {}
    # The best fourth; of few trials a tenth, Optuna's own choice, would be one.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25)))
        except UserWarning:  # so many are equally good that nothing tells the best apart
            return {}


def _about(recipe: Recipe, dataset: Dataset, space: Space, seed: int) -> dict[str, Any]:
    identity = run_identity(recipe, seed, prepare_targets(recipe, dataset, seed))
    return {**{key: identity[key] for key in ("recipe", "seed", "data")}, "space": space.to_dict()}


def _check_same(place: Path, about: Mapping[str, Any]) -> None:
    """`RunError` where the folder holds a search of something else."""
    file = place / SEARCH_JSON
    if not file.exists():
        return
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is damaged ({error}); choose another --out") from None
    differ = differences({key: there.get(key) for key in about}, json.loads(json.dumps(about)))
    if differ:
        raise RunError(f"{place} holds a search of something else: {'; '.join(differ)}. Choose another --out")


@contextmanager
def _silent(optuna: Any) -> Iterator[None]:
    """Within it Optuna logs errors alone."""
    usual = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(usual)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra("tune", "searching") from None
    return optuna
