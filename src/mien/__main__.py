"""`python -m mien`, and what the command `mien` calls."""

from __future__ import annotations

import sys

from mien.errors import MienError


def main() -> None:
    """Run the command line; a user's mistake becomes one sentence on stderr and an exit code."""
    from mien.cli import app

    try:
        app()
    except MienError as why:
        print(f"mien: {why}", file=sys.stderr)
        sys.exit(why.exit_code)


if __name__ == "__main__":
    main()
