"""Entry point of `python -m mien` and of the command `mien`."""

from __future__ import annotations

import io
import signal
import sys

from mien.errors import MienError, Stopped
from mien.paths import expand_user


def main() -> None:
    """Run the command line. A `MienError` is printed to stderr as one sentence and sets the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that the terminal cannot encode is not an error
    try:
        _run()
    except MienError as error:
        print(f"mien: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _run() -> None:
    try:
        from mien.cli import app

        app(args=[_expand_user(argument) for argument in sys.argv[1:]])
    except KeyboardInterrupt:  # before the command installed its own handler
        raise Stopped("stopped", signal.SIGINT) from None


def _expand_user(argument: str) -> str:
    """Return an argument with `~` expanded, also in `--out=~/faces.csv`, where shells leave it."""
    option, equals, value = argument.partition("=")
    if argument.startswith("--") and value.startswith("~"):
        return f"{option}{equals}{expand_user(value)}"
    return expand_user(argument)


if __name__ == "__main__":
    main()
