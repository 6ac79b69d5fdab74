"""Pytest hooks: tests that run one at a time, permitted skips, and the list of tests that did not run.

conftest.py imports the hooks.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# Tests that start Ray, a browser or a training process run one at a time, as two of them would slow each other down.
EXCLUSIVE = re.compile(r"pytest\.mark\.(browser|cluster|exclusive)\b")
# Permitted reasons of a skip. Everything else is installed by `pip install -e '.[dev]'`, so its absence is a failure.
MAY_BE_MISSING = re.compile(r"needs (the Debian package |Python \d|the data |a package index)")


def debian(package: str, *programs: str) -> str:
    """Return the path of the first of `programs` that is installed; skip the test if none is.

    Args:
        package: Debian package that contains the program.
        programs: Names of the program, by default that of the package.
    """
    path = next(filter(None, map(shutil.which, programs or (package,))), None)
    if path is None:
        pytest.skip(f"needs the Debian package {package}")
    return path


@cache
def is_exclusive(file: Path) -> bool:
    """Return whether a test in `file` is marked as one of those that run one at a time."""
    return EXCLUSIVE.search(file.read_text()) is not None


@pytest.hookimpl(tryfirst=True)  # before -m selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of the real data as slow, and move files that run one at a time to the front."""
    for item in items:
        if "fer2013_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not is_exclusive(item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all files with tests that run one at a time to one worker, with `--dist loadfile`.

    The tests of a file stay together, as they share expensive fixtures. The groups of xdist do not work with pytest 9.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class OneAtATime(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "one at a time" if is_exclusive(config.rootpath / file) else file

    config.option.loadscopereorder = False
    return OneAtATime(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    return _without_other_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    return _without_other_skips((yield))


def _without_other_skips(report: Any) -> Any:
    """Turn a skip into a failure unless its reason is permitted."""
    if report.skipped and not hasattr(report, "wasxfail") and not MAY_BE_MISSING.match(reason := _reason(report)):
        report.outcome = "failed"
        report.longrepr = (
            f"skipped: {reason}\nOnly a missing Debian package, Python, package index or data may skip a test."
        )
    return report


def _reason(report: Any) -> str:
    """Return the reason given to pytest.skip."""
    return str(report.longrepr[2]).removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List what was missing and the number of tests that did not run because of it."""
    missing = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", ()))
    if missing:
        terminalreporter.section("not run")
    for reason, count in sorted(missing.items()):
        tests = "1 test" if count == 1 else f"{count} tests"
        terminalreporter.write_line(f"{tests}: {reason}")


def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a temporary folder that all workers of this session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
