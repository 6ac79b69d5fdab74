"""`tune`: hyper-parameter search with Optuna.

Optuna proposes values by TPE (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization") and prunes trials by
the median rule. Each trial is a run in its own folder, and the study is an SQLite file beside them, so that a search
that is killed at any moment loses only the current epoch.
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
from mien.train.loop import prepare_targets, train_epochs
from mien.train.overrides import apply_overrides
from mien.train.recipe import Recipe
from mien.train.runs.folder import Run
from mien.train.runs.identity import differences, run_identity
from mien.train.search.parallel import PURPOSE, train_in_parallel
from mien.train.search.space import DEFAULT_SPACE, Choice, Range, Space
from mien.train.search.trial import ERROR, OWN, SECONDS, TrialRun

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial as OptunaTrial

TRIALS = 20
_STATES = {"COMPLETE": DONE, "PRUNED": STOPPED, "FAIL": FAILED, "RUNNING": RUNNING}  # Optuna's names -> ours
STARTUP_TRIALS = 5  # trials with random values that are never pruned; later ones are compared with them
MIN_TRIALS_FOR_IMPORTANCE = 8


def tune(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    trials: int = TRIALS,
    space: Space = DEFAULT_SPACE,
    seed: int = 0,
    device: str = "auto",
    ray: str | None = None,
) -> Search:
    """Search for better values of a recipe's fields; a search that exists in `out` is resumed.

    The first trial has the recipe's own values if they are in the space. All trials have the same random seed, so they
    differ by their values only. The accuracy of the best of many trials is optimistic: to confirm it, train
    that recipe again with other seeds.

    Args:
        recipe: Recipe to start from.
        dataset: Data set with a labeled validation split.
        out: Folder of the search. It gets a run in `trials/NUMBER/` for each trial, `search.sqlite`, and after each
            trial `search.json` and `search.html`.
        trials: Total number of trials, including those that are in `out` already.
        space: Values to try.
        seed: Random seed of the proposals, and of each trial's initial weights, order and augmentation.
        device: Device, as in `train`.
        ray: Address of a Ray cluster that trains trials in parallel, as in `mien.ray.connect`; by default they are
            trained one after another in this process.

    Returns:
        The search with all trials.

    Raises:
        MissingExtra: Optuna is not installed, or Ray if `ray` is given.
        MissingSplit: The data set has no labeled validation split.
        RunError: `out` contains a search with other settings, or cannot be written.
        MienError: The space does not fit the recipe.

    Example:
        >>> import tempfile
        >>> from mien.data import sketch
        >>> from mien.train import apply_overrides, find_recipe, tune
        >>> recipe = apply_overrides(find_recipe("seed"), ["model=mien_nano", "epochs=1"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     search = tune(recipe, sketch(train=16, val=8, test=0), folder, trials=1, device="cpu")
        >>> [trial.state for trial in search.trials]
        ['done']
    """
    *_, search = run_search(recipe, dataset, out, trials=trials, space=space, seed=seed, device=device, ray=ray)
    return search


def run_search(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    trials: int = TRIALS,
    space: Space = DEFAULT_SPACE,
    seed: int = 0,
    device: str = "auto",
    ray: str | None = None,
) -> Generator[Search]:
    """Run `tune` step by step: yield the search at the start, after each epoch of each trial, and at the end.

    Arguments and errors are those of `tune`.
    """
    optuna = _import_optuna()
    if ray is not None:
        import_ray(PURPOSE)
    if trials < 1:
        raise RunError(f"a search needs at least one trial, got {trials}")
    if VAL not in dataset or not dataset[VAL].labelled:
        raise MissingSplit(f"{dataset.source} has no labeled split '{VAL}', which a search needs to compare trials")
    space.check_recipe(recipe)
    folder, identity = Path(out), _search_identity(recipe, dataset, space, seed)
    _check_same_search(folder, identity)
    with Run(folder).locked(), _errors_only(optuna):
        study = optuna.create_study(
            storage=f"sqlite:///{folder / 'search.sqlite'}", study_name="search", load_if_exists=True,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1),
        )  # fmt: skip

        def current_search() -> Search:
            return Search(**identity, trials=_trials_of(study), importances=_importances(study))

        write_search(current_search(), folder)
        yield current_search()

        def trial_runs() -> Iterator[TrialRun]:
            own_values = space.recipe_values(recipe)
            for trial in _next_trials(study, trials, seed, own_values, parallel=ray is not None):
                values = {field: _suggest(trial, field, parameter) for field, parameter in space.parameters.items()}
                changed = apply_overrides(recipe, [f"{field}={value}" for field, value in values.items()])
                yield TrialRun(study, trial, changed, Run(folder / "trials" / f"{trial.number:04d}"))

        if ray is None:
            steps = _train_one_by_one(trial_runs(), dataset, seed, device)
        else:
            steps = train_in_parallel(trial_runs(), ray, dataset, seed, device)
        with closing(steps):
            for ended in steps:
                if ended is None:
                    yield current_search()
                else:
                    write_search(current_search(), folder)
        yield current_search()


def _train_one_by_one(
    trials: Iterator[TrialRun], dataset: Dataset, seed: int, device: str
) -> Generator[TrialRun | None]:
    """Yield None after each epoch of a trial, and the trial itself when it has ended."""
    for trial in trials:
        yield from (None for _ in _train_trial(trial, dataset, seed, device))
        yield trial


def _train_trial(trial: TrialRun, dataset: Dataset, seed: int, device: str) -> Iterator[None]:
    """Train one trial, epoch by epoch, until it is complete, pruned or failed."""
    try:
        with closing(
            train_epochs(trial.recipe, dataset, trial.run.folder, seed=seed, device=device, resume=True)
        ) as rest:
            for metrics in chain(trial.run.history, rest):  # the epochs before a resume, then the others
                trial.report(metrics)
                yield
                if trial.prune_if_behind():
                    return
    except RunError as error:
        trial.fail(str(error))
        return
    trial.complete()


def _next_trials(
    study: Study, trials: int, seed: int, own_values: Mapping[str, Any] | None, *, parallel: bool
) -> Iterator[OptunaTrial]:
    """Yield the trials that an earlier call did not finish, then new ones until there are `trials`.

    With `parallel`, values of a new trial keep away from those of trials that are running (`constant_liar`).
    """
    from optuna.samplers import TPESampler
    from optuna.trial import Trial as OptunaTrial
    from optuna.trial import TrialState

    started = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
    if own_values is not None and not study.get_trials(deepcopy=False):
        study.enqueue_trial(dict(own_values), user_attrs={OWN: True})
    for unfinished in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        yield OptunaTrial(study, unfinished._trial_id)  # Optuna has no public way to resume a trial
    while (count := len(study.get_trials(deepcopy=False, states=started))) < trials:
        # A new sampler for each trial, so that a resumed search proposes what an uninterrupted one would.
        study.sampler = TPESampler(seed=seed * 10_007 + count, n_startup_trials=STARTUP_TRIALS, constant_liar=parallel)
        yield study.ask()


def _suggest(trial: OptunaTrial, field: str, parameter: Range | Choice) -> str | int | float:
    if isinstance(parameter, Choice):
        value: Any = trial.suggest_categorical(field, parameter.values)
        return value  # type: ignore[no-any-return]
    if parameter.is_integer:
        return trial.suggest_int(field, int(parameter.low), int(parameter.high), log=parameter.log)
    return trial.suggest_float(field, parameter.low, parameter.high, log=parameter.log)


def _trials_of(study: Study) -> list[Trial]:
    """Convert the trials of the study to those of `mien.evaluation`."""
    return [
        Trial(
            number=trial.number,
            state=_STATES[trial.state.name],
            values=dict(trial.params),
            accuracies=tuple(trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)),
            seconds=float(trial.user_attrs.get(SECONDS, 0.0)),
            own=bool(trial.user_attrs.get(OWN, False)),
            error=str(trial.user_attrs.get(ERROR, "")),
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in _STATES
    ]


def _importances(study: Study) -> dict[str, float]:
    """Return the importance of each field for a good trial, by PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255)."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    ended = [trial for trial in _trials_of(study) if trial.state == DONE]
    if len(ended) < MIN_TRIALS_FOR_IMPORTANCE or len(ended[0].values) < 2:
        return {}
    # The best quarter; Optuna's default, a tenth, would be one trial of eight.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25)))
        except UserWarning:  # too many trials are equally good
            return {}


def _search_identity(recipe: Recipe, dataset: Dataset, space: Space, seed: int) -> dict[str, Any]:
    identity = run_identity(recipe, seed, prepare_targets(recipe, dataset, seed))
    return {**{key: identity[key] for key in ("recipe", "seed", "data")}, "space": space.to_dict()}


def _check_same_search(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raise `RunError` if the folder contains a search with other settings."""
    file = folder / SEARCH_JSON
    if not file.exists():
        return
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is damaged ({error}); choose another --out") from None
    changes = differences({key: record.get(key) for key in identity}, json.loads(json.dumps(identity)))
    if changes:
        raise RunError(
            f"cannot resume: {folder} contains a search with other settings ({'; '.join(changes)}); use the "
            "same settings or another --out"
        )


@contextmanager
def _errors_only(optuna: Any) -> Iterator[None]:
    """Set Optuna's log level to errors."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra("tune", "hyper-parameter search") from None
    return optuna
