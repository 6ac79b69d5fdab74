"""Examples in docstrings: each runs, and each public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import mien
import mien.data
import mien.evaluation
import mien.recognition
import mien.serve
import mien.train

PACKAGES = (mien, mien.data, mien.evaluation, mien.recognition, mien.serve, mien.train)
MODULES = sorted(m.name for m in pkgutil.walk_packages(mien.__path__, "mien.") if not m.name.endswith("__main__"))
WITH_EXAMPLES = [name for name in MODULES if ">>>" in Path(importlib.util.find_spec(name).origin).read_text("utf-8")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PUBLIC = sorted(
    {
        f"{value.__module__}.{value.__qualname__}": value
        for package in PACKAGES
        for value in (getattr(package, name) for name in package.__all__)
        if inspect.isclass(value) or inspect.isfunction(value)
    }.items()
)


@pytest.mark.docs
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert found.attempted > 0
    assert found.failed == 0, "see the output"


@pytest.mark.parametrize(("name", "value"), PUBLIC)
def test_public_name_has_an_example(name: str, value: type) -> None:
    """An error class needs none: it is raised, not called."""
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        assert ">>>" in (value.__doc__ or ""), f"{name} has no example"
