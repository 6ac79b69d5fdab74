"""The notebook runs from top to bottom in a real kernel, and what it says stays true.

To run it at its own settings and keep the outputs: python tests/test_notebook.py
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.data import sketch, write_csv

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "study.ipynb"

# The kernel starts where the notebook lies. Without timing: when a cell ran is noise in outputs that are kept.
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, record_timing=False).execute()
nbformat.write(notebook, sys.argv[1])
"""
# Small faces, few of them, but enough seeds for a verdict.
TINY = {
    "DATA": "faces.csv",
    "SETTINGS": ["model=mien_nano", "epochs=1", "precision=float32"],
    "ARMS": ["seed", "seed_augmented"],
    "SEEDS": 3,
    "OUT": "runs/tiny",
}
IMAGES = {
    "classes": 1,
    "faces": 1,
    "augmentation": 1,
    "training-loss": 1,
    "validation-accuracy": 1,
    "gap": 1,
    "differences": 1,
    "confusion": 2,
    "face": 1,
}

Cells = dict[str, dict[str, Any]]


def execute(notebook: Path, home: Path) -> None:
    """Run all cells and write the outputs into the file; what Jupyter keeps for a user goes into `home`.

    A process of its own, as the warnings of Jupyter's libraries are not this project's.
    """
    home.mkdir()
    environment = {name: str(home / name) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, notebook.name],
        cwd=notebook.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def cells_of(notebook: Path) -> Cells:
    return {cell["id"]: cell for cell in json.loads(notebook.read_text())["cells"]}


def markdown() -> str:
    return "\n\n".join("".join(c["source"]) for c in cells_of(NOTEBOOK).values() if c["cell_type"] == "markdown")


def parameters() -> dict[str, Any]:
    """What the committed parameter cell sets."""
    cell = cells_of(NOTEBOOK)["parameters"]
    assert cell["metadata"]["tags"] == ["parameters"]
    names: dict[str, Any] = {}
    exec("".join(cell["source"]), {}, names)
    return names


def shown(cell: dict[str, Any], kind: str) -> list[str]:
    """The outputs of a cell that come as `kind`, such as `image/png`."""
    return ["".join(o["data"][kind]) for o in cell["outputs"] if kind in o.get("data", {})]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the notebook after a run on a handful of faces."""
    there = tmp_path_factory.mktemp("reader") / "notebooks"
    there.mkdir()
    write_csv(there / "faces.csv", sketch(train=70, val=35, test=35))
    content = json.loads(NOTEBOOK.read_text())
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        if cell["id"] == "parameters":
            cell["source"] = "\n".join(f"{name} = {value!r}" for name, value in TINY.items())
    (there / NOTEBOOK.name).write_text(json.dumps(content))
    before = around()
    execute(there / NOTEBOOK.name, there.parent / "home")
    assert around() == before
    return there


def around() -> set[Path]:
    """What lies beside the committed notebook, and where a run from the repository's root would put its files."""
    return {*(ROOT / "notebooks").rglob("*"), *(ROOT / "runs").rglob("*")}


@pytest.fixture(scope="module")
def cells(folder: Path) -> Cells:
    return cells_of(folder / NOTEBOOK.name)


@pytest.mark.docs
def test_every_cell_ran_without_error(cells: Cells) -> None:
    code = [cell for cell in cells.values() if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error" or o.get("name") == "stderr"]


@pytest.mark.docs
def test_nothing_is_installed_where_mien_is(cells: Cells) -> None:
    assert "%pip install" in "".join(cells["install"]["source"])
    assert cells["install"]["outputs"] == []  # pip always has something to say


@pytest.mark.docs
def test_the_verdict_is_told(cells: Cells, folder: Path) -> None:
    (verdict,) = json.loads((folder / TINY["OUT"] / "comparison.json").read_text())["verdicts"]
    assert verdict["finding"] in ("significant difference", "no significant difference")
    assert shown(cells["verdict"], "text/markdown") == [f"> {verdict['sentence']}"]


@pytest.mark.docs
def test_tables_are_shown(cells: Cells) -> None:
    assert "flat images" in shown(cells["audit"], "text/plain")[0]
    table = shown(cells["scores"], "text/plain")[0]
    assert "95 %" in table
    assert all(arm in table for arm in TINY["ARMS"])


@pytest.mark.docs
def test_training_is_told_epoch_by_epoch(cells: Cells) -> None:
    printed = "".join(shown(cells["train"], "text/plain"))
    for arm in TINY["ARMS"]:
        for seed in range(TINY["SEEDS"]):
            assert printed.count(f": {arm}, random seed {seed}") == 1
    assert printed.count("epoch 1/1") == len(TINY["ARMS"]) * TINY["SEEDS"]


@pytest.mark.docs
def test_images_are_shown(cells: Cells) -> None:
    found = {name: shown(cell, "image/png") for name, cell in cells.items() if "outputs" in cell}
    assert {name: len(images) for name, images in found.items() if images} == IMAGES
    for name in IMAGES:
        for text in found[name]:
            image = Image.open(io.BytesIO(base64.b64decode(text))).convert("L")
            assert min(image.size) >= 150, name
            low, high = image.getextrema()
            assert high - low > 100, f"{name} is one blank sheet"


@pytest.mark.docs
def test_the_report_lies_where_it_should_and_nothing_beside_it(cells: Cells, folder: Path) -> None:
    assert {f.name for f in folder.iterdir()} == {NOTEBOOK.name, "faces.csv", "runs"}
    assert [f.name for f in (folder / "runs").iterdir()] == ["tiny"]
    assert (folder / TINY["OUT"] / "report.html").is_file()


def test_the_parameters_are_those_of_the_demo() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    words = shlex.split(next(line for line in makefile.splitlines() if "mien compare" in line))
    options = list(pairwise(words))
    demo = dict(options)
    own = parameters()
    assert own.keys() == TINY.keys()
    assert own["DATA"] == demo["--data"]
    assert own["ARMS"] == demo["--arms"].split(",")
    assert own["SEEDS"] == int(demo["--seeds"])
    assert own["SETTINGS"] == [value for option, value in options if option == "--set"]


def test_the_text_claims_no_figures() -> None:
    """A figure has a run record; the text around the cells has none, whatever the outputs say."""
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", markdown(), flags=re.DOTALL)
    text = re.sub(r"FER2013|macro-F1|95 % interval", "", text)
    assert not re.findall(r".*\d.*", text)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]*)\)", markdown())
    assert targets
    assert all((NOTEBOOK.parent / target).exists() for target in targets)


def test_its_command_is_readmes() -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", markdown(), re.DOTALL)
    assert block.strip() in (ROOT / "README.md").read_text()


def test_committed_outputs_name_no_folder_of_a_machine() -> None:
    outputs = [output for cell in cells_of(NOTEBOOK).values() for output in cell.get("outputs", [])]
    for output in outputs:
        output.get("data", {}).pop("image/png", None)  # of whose letters any word may be made
    text = json.dumps(outputs)
    assert [word for word in ("site-packages", "/home/", "/Users/", "/tmp/", "/root/", str(ROOT)) if word in text] == []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:  # a fresh folder, so that every run is trained and printed
        copy = Path(shutil.copy(NOTEBOOK, place))
        execute(copy, Path(place) / "home")
        shutil.copy(copy, NOTEBOOK)
