"""The command line: each command translates its options into calls and prints what comes back.

A command is a plain function with type annotations for its options. To add one, add its name and its module to
`COMMANDS`, in the order in which `mien --help` shows them. A module is imported when its command is run or its help is
shown, and itself imports the packages that do the work, torch above all, only within its functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mien import __version__

COMMANDS = {  # name of a command, and of its function -> its module in `mien.cli`
    "analyze": "analyze",
    "video": "video",
    "explain": "explain",
    "serve": "serve",
    "data": "data",
    "train": "train",
    "compare": "train",
    "tune": "tune",
    "evaluate": "evaluate",
    "judge": "judge",
    "export": "export",
    "models": "models",
}


class LazyCommandGroup(TyperGroup):
    """The commands of `COMMANDS`, each imported when it is needed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command called `cmd_name`; None where there is none."""
        if cmd_name in COMMANDS and self.commands[cmd_name] is None:
            one = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            one.command(cmd_name)(getattr(import_module(f"mien.cli.{COMMANDS[cmd_name]}"), cmd_name))
            self.commands[cmd_name] = typer.main.get_command(one)
        return self.commands.get(cmd_name)


app = typer.Typer(
    cls=LazyCommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Facial expression recognition that a person can train, trust and use.",
)


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"mien {__version__}")
        raise typer.Exit
