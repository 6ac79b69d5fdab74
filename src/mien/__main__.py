"""`python -m mien`, and what the command `mien` calls."""

from __future__ import annotations

import io
import signal
import sys

from mien.errors import MienError, Stopped


def main() -> None:
    """Run the command line; a user's mistake becomes one sentence on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a bar or a name that the terminal's letters do not have is no failure
            stream.reconfigure(errors="replace")
    try:
        _run()
    except MienError as error:
        print(f"mien: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _run() -> None:
    try:
        from mien.cli import app

        app()
    except KeyboardInterrupt:  # pressed before the command had begun
        raise Stopped("stopped", signal.SIGINT) from None


if __name__ == "__main__":
    main()
