"""Lazy imports: the public names of a package are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package that imports its public names when they are first used.

    A public name must not be the name of a submodule: importing the submodule would replace it.

    Args:
        package: Name of the package, its `__name__`.
        modules: Public name -> the module that defines it, as `mien.data.load`; or `mien.data.load:load` where the name
            there is another.
    """

    def module_getattr(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = modules[name].partition(":")
        value = getattr(import_module(module), attribute or name)
        setattr(sys.modules[package], name, value)  # so that this function is not called again for `name`
        return value

    return module_getattr, lambda: sorted({*vars(sys.modules[package]), *modules})
