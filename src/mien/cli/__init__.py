"""Words into calls: each command translates its options and prints what comes back; the thinking is elsewhere.

A command is a plain function in a module of its group. To add one, import its module here and name the function in
`COMMANDS`, in the order in which `mien --help` shows them. Modules import rooms, torch above all, only within their
functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from mien import __version__
from mien.cli import analyze, data, evaluate, explain, export, judge, models, serve, train, tune, video

COMMANDS: tuple[Callable[..., None], ...] = (
    analyze.analyze,
    video.video,
    explain.explain,
    serve.serve,
    data.data,
    train.train,
    train.compare,
    tune.tune,
    evaluate.evaluate,
    judge.judge,
    export.export,
    models.models,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Facial expression recognition that a person can train, trust and use.",
)
for _command in COMMANDS:
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(f"mien {__version__}")
        raise typer.Exit
