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
    recipe: Annotated[str, typer.Argument(help="A recipe, such as seed.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the trials and the page.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those in --out included.")] = 20,
    space: Annotated[
        str,
        typer.Option(metavar="FILE|default", help="What is varied: a TOML file, or lr, weight_decay and batch."),
    ] = "default",
    seed: Annotated[int, typer.Option(help="Decides the proposals, and each trial's weights and order.")] = 0,
    votes: Votes = None,
    device: Device = "auto",
    settings: Settings = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Train trials side by side on that Ray cluster; or local.")
    ] = None,
) -> None:
    """Search for better values of a recipe's fields; run again, it goes on."""
    from mien import train as room
    from mien.data import load
    from mien.evaluation.report.terminal import search_table
    from mien.train.search.space import load_space
    from mien.train.search.tune import searching

    chosen, where = room.apply_overrides(room.find_recipe(recipe), settings or []), load_space(space)
    screen = Console(stderr=True)
    with stoppable(f"what was done is kept in {out}; the same command goes on"):
        faces = load(data, votes=votes)
        search = None
        with Live(console=screen, auto_refresh=False, transient=True) as table:
            for search in searching(chosen, faces, out, trials=trials, space=where, seed=seed, device=device, ray=ray):
                if screen.is_terminal:
                    table.update(search_table(search), refresh=True)
    assert search is not None, "a search is told of before it begins"
    Console().print(search_table(search))
    if search.best and not search.best.own:
        typer.echo(f"train it: mien train {recipe} --data {data} {search.best.settings}")
    typer.echo(f"page: {out / 'search.html'}")
