"""What others build on does not change unnoticed: public names, options, keys of what we write.

After a change that is meant: python tests/test_surface.py, and look at the diff of surface.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

import mien
import mien.data
import mien.evaluation
import mien.recognition
import mien.serve
import mien.train
from mien.cli import app
from mien.model_card import Card, Score
from mien.serve import schema
from mien.serve.routes import docs, images, page, video, webcam

FILE = Path(__file__).with_name("surface.json")


def surface() -> dict[str, Any]:
    command = typer.main.get_command(app)
    shell = typer.Context(command)
    labels = np.zeros(3, np.int64)
    figures = mien.evaluate(np.full((3, 7), 1 / 7, np.float32), labels, mien.FER7, split="val")
    return {
        "mien": sorted(mien.__all__),
        "mien.data": sorted(mien.data.__all__),
        "mien.evaluation": sorted(mien.evaluation.__all__),
        "mien.recognition": sorted(mien.recognition.__all__),
        "mien.train": sorted(mien.train.__all__),
        "mien.serve": sorted(mien.serve.__all__),
        "http routes": sorted(
            " ".join([*sorted(getattr(route, "methods", ["WS"])), route.path])  # type: ignore[attr-defined]
            for room in (images, video, webcam, page, docs)
            for route in room.router.routes
        ),
        "http shapes": {
            name: sorted(shape.model_fields)
            for name, shape in sorted(vars(schema).items())
            if isinstance(shape, type) and issubclass(shape, schema.BaseModel) and shape is not schema.BaseModel
        },
        "recipe fields": [f.name for f in fields(mien.train.Recipe)],
        "recipes": sorted(mien.train.RECIPES),
        "commands": {
            name: sorted(option for parameter in command.get_command(shell, name).params for option in parameter.opts)
            for name in sorted(command.list_commands(shell))
        },
        "evaluation keys": sorted(figures.to_dict()),
        "card fields": [f.name for f in fields(Card)],
        "score fields": [f.name for f in fields(Score)],
    }


def test_surface_is_the_frozen_one() -> None:
    assert surface() == json.loads(FILE.read_text())


def test_public_names_are_few_and_there() -> None:
    assert len(mien.__all__) <= 14
    assert set(mien.__all__) <= set(dir(mien))
    for name in mien.__all__:
        assert getattr(mien, name).__doc__ or name == "__version__"
    with pytest.raises(AttributeError, match="module 'mien' has no attribute 'lode'"):
        mien.lode  # noqa: B018


@pytest.mark.parametrize("package", ["data", "evaluation", "recognition", "train", "serve"])
def test_public_names_of_a_package_are_at_most_12(package: str) -> None:
    module = getattr(mien, package)
    assert len(module.__all__) <= 12
    assert set(module.__all__) <= set(dir(module))
    code = (  # in a new process: a submodule that is imported takes the place of a name that was not used before
        "import importlib, pkgutil, types\n"
        f"import mien.{package} as package\n"
        "for found in pkgutil.iter_modules(package.__path__):\n"
        "    importlib.import_module(f'{package.__name__}.{found.name}')\n"
        "print([n for n in package.__all__ if isinstance(getattr(package, n), types.ModuleType)])\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        module.lode  # noqa: B018


if __name__ == "__main__":
    FILE.write_text(json.dumps(surface(), indent=2) + "\n")
