"""The command line: each command translates its options into calls and prints the results.

A command is a plain function with type annotations for its options. To add one, add its name and its module to
`COMMANDS`, in the order in which `mien --help` lists them. A module is imported when its command is run or its help is
shown, and imports the packages that do the work, especially torch, inside its functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mien import __version__

COMMANDS = {  # name of the command and of its function: its module in `mien.cli`
    "analyze": "analyze",
    "video": "video",
    "explain": "explain",
    "serve": "serve",
    "data": "data",
    "crop": "crop",
    "train": "train",
    "compare": "train",
    "tune": "tune",
    "recipes": "recipes",
    "augmentations": "recipes",
    "evaluate": "evaluate",
    "benchmark": "benchmark",
    "export": "export",
    "models": "models",
}


def _without_types(params: list[Any]) -> list[Any]:
    """Remove the type from the help of arguments and flags, where it says nothing: `--resume <bool>`."""
    for param in params:
        if param.param_type_name == "argument" or getattr(param, "is_flag", False):
            param.display_type_rich = lambda ctx: ""
    return params


class Command(TyperCommand):
    """A command whose help has no types of arguments and flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return arguments and options."""
        return _without_types(super().get_params(ctx))


class LazyCommandGroup(TyperGroup):
    """The commands of `COMMANDS`, imported on first use."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of `mien` itself."""
        return _without_types(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command `cmd_name`, or None if there is no such command."""
        if cmd_name in COMMANDS and self.commands[cmd_name] is None:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(cmd_name, cls=Command)(getattr(import_module(f"mien.cli.{COMMANDS[cmd_name]}"), cmd_name))
            self.commands[cmd_name] = typer.main.get_command(single)
        return self.commands.get(cmd_name)


app = typer.Typer(
    cls=LazyCommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Facial expression recognition in photos and videos: train, evaluate and use models.",
)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --version, print the versions, CPU and threads for a bug report.")
    ] = False,
) -> None:
    if version and verbose:
        from mien.cli.version import version_details

        for line in version_details():
            typer.echo(line)
    elif version:
        typer.echo(f"mien {__version__}")
    elif verbose:
        raise typer.BadParameter("--verbose needs --version", context)
    if version:
        raise typer.Exit
