"""Rules of the code base: imports, length of files and functions, docstrings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mien.data import sketch, write_csv

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "mien"
FILES = sorted(SRC.rglob("*.py"))
LONG_FUNCTION = ("train/loop.py", "train_epochs")  # the training loop, which may be long


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environment}
    )


def test_runtime_needs_no_torch(tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "faces.csv", sketch(train=7, val=7, test=0))
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning_fabric', 'safetensors', 'matplotlib', 'jinja2'): sys.modules[name] = None\n"
        "import mien, mien.cli, numpy\n"
        f"data = mien.load_data({str(csv)!r})\n"
        "probs_NK = numpy.eye(7, dtype='float32')[data['val'].labels_N]\n"
        "print(mien.evaluate(probs_NK, data['val'].labels_N, data.labels, split='val').accuracy)\n"
    )
    done = run_python(code, MIEN_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr


def test_analyze_sample_imports_few_modules() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['mien', 'analyze', '--sample', '--format', 'jsonl']\n"
        "import runpy\n"
        "try: runpy.run_module('mien', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(*sorted(m for m in sys.modules if m.split('.')[0] == 'mien'), file=sys.stderr)\n"
    )
    done = run_python(code)
    imported = done.stderr.split()
    assert '"label": "happy"' in done.stdout, done.stderr
    assert len(imported) <= 46, imported
    assert not {
        m
        for m in imported
        if m.startswith(("mien.recognition.video.analyze", "mien.recognition.cluster.run", "mien.data", "mien.serve"))
    }


def test_public_names_are_imported_lazily() -> None:
    code = (
        "import sys, mien\n"
        "assert not {'numpy', 'cv2', 'rich'} & set(sys.modules)\n"
        "assert mien.load and mien.Recognizer and mien.recognition.sample\n"
        "assert not {'onnxruntime', 'rich', 'matplotlib', 'mien.data', 'mien.evaluation'} & set(sys.modules)\n"
        "from mien import *\n"
        "assert load is mien.load and load_data is mien.data.load and __version__ == mien.__version__\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_missing_extra_names_install_command() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "sys.argv = ['mien', 'train', 'seed', '--data', 'sketch']\n"
        "from mien.__main__ import main; main()"
    )
    done = run_python(code)
    assert done.returncode == 2
    error = "mien: training needs the extra 'train'. Install it with: pip install 'mien[train]'\n"
    assert done.stderr == "reading sketch\n" + error
    assert done.stdout == ""


def test_import_has_no_side_effects(tmp_path: Path) -> None:
    code = (
        "import lightning_fabric, torch, warnings\n"
        "before = torch.get_num_threads(), torch.initial_seed(), list(warnings.filters)\n"
        "import mien.cli, mien.train\n"
        "assert (torch.get_num_threads(), torch.initial_seed(), list(warnings.filters)) == before\n"
    )
    done = run_python(code, HOME=str(tmp_path), MIEN_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def length(function: ast.FunctionDef) -> int:
    """Return the number of lines of a function without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SRC)))
def test_files_and_functions_are_short(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    long = [
        f"{node.name} ({length(node)} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and length(node) > 60
        and (str(file.relative_to(SRC)), node.name) != LONG_FUNCTION
    ]
    assert not long


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SRC)))
def test_modules_and_public_names_have_docstrings(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "no module docstring"
    undocumented = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not undocumented


OLD_TERMS = re.compile(
    r"\b(told|anew|whoever|sureness|lest|of then|that is no|is no number|stands in the|no pictures?|pictures?|nets?)\b",
    re.IGNORECASE,
)
# Lines that need an old term: names in files of older versions, and the HTML element.
NEEDED = re.compile(
    r'"mien net 1"|"net\."|"probs", "told"|\{"net": "model", "optimiser": "optimizer", "told": "probs"\}|</?picture>'
    r"|affect\[-_ \]\?net"
)
TEXT_FILES = {".py", ".md", ".html", ".css", ".js", ".j2"}


def test_old_terms_are_not_used() -> None:
    """The terms of the field are in the glossary: result, image, model, confidence, again, ..."""
    folders = [path for folder in (ROOT / "src", ROOT / "docs") for path in folder.rglob("*")]
    found = [
        f"{file.relative_to(ROOT)}:{number}: '{match[0]}' in: {line.strip()}"
        for file in [ROOT / "README.md", *sorted(folders)]
        if file.suffix in TEXT_FILES
        for number, line in enumerate(file.read_text().splitlines(), 1)
        for match in OLD_TERMS.finditer(NEEDED.sub("", line))
    ]
    assert not found, "\n" + "\n".join(found)
