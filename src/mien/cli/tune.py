"""`mien tune`: hyper-parameter search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from mien.cli.options import Data, Device, Settings, Votes
from mien.cli.output import stoppable


def tune(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, such as release_nano.")],
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the trials and the report.")],
    trials: Annotated[
        int, typer.Option(min=1, metavar="N", help="Total number of trials, including those in --out.")
    ] = 20,
    space: Annotated[
        str,
        typer.Option(
            metavar="FILE.toml|default",
            help="Search space; `default` has learning rate, weight decay and batch size.",
        ),
    ] = "default",
    seed: Annotated[
        int, typer.Option(metavar="N", help="Random seed of the proposals and of each trial's training.")
    ] = 0,
    votes: Votes = None,
    device: Device = "auto",
    settings: Settings = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Train trials in parallel on the Ray cluster at this address; `local` starts one."
        ),
    ] = None,
) -> None:
    """Search for better hyper-parameters of a recipe; run the command again to resume."""
    from mien import train as training
    from mien.data import load
    from mien.evaluation.report.terminal import search_table
    from mien.train.search.space import load_space
    from mien.train.search.tune import run_search

    base = training.apply_overrides(training.find_recipe(recipe), settings or [])
    search_space = load_space(space)
    console = Console(stderr=True)
    with stoppable(f"finished epochs are kept in {out}; run the same command to resume"):
        dataset = load(data, votes=votes)
        search = None
        steps = run_search(base, dataset, out, trials=trials, space=search_space, seed=seed, device=device, ray=ray)
        with Live(console=console, auto_refresh=False, transient=True) as table:
            for search in steps:
                if console.is_terminal:
                    table.update(search_table(search), refresh=True)
    assert search is not None, "run_search yields the search before the first trial"
    Console().print(search_table(search))
    if search.best and not search.best.own:
        typer.echo(f"train the best: mien train {recipe} --data {data} {search.best.settings}")
    typer.echo(f"report: {out / 'search.html'}")
