"""Public names of a package that are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package that imports its public names when they are first used.

    None of the names may be that of a submodule, which would take its place when it is imported.

    Args:
        package: Name of the package, `__name__` there.
        modules: For each public name the module that defines it, as `mien.data.load`, or `mien.data.load:load` where
            it has another name there.
    """

    def getattribute(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, own = modules[name].partition(":")
        found = getattr(import_module(module), own or name)
        setattr(sys.modules[package], name, found)  # the next time it is there
        return found

    return getattribute, lambda: sorted({*vars(sys.modules[package]), *modules})
