"""The command as a process that can be stopped."""

from __future__ import annotations

import sys

# `python -m mien`; whoever runs the tests in the background may have had SIGINT ignored for all that they start.
MIEN = [
    sys.executable,
    "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('mien', run_name='__main__', alter_sys=True)",
]
