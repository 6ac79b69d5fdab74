#!/usr/bin/env python3
"""Write the file list of docs/design.md: every module of src/mien with the first line of its docstring.

    python experiments/design_tree.py [--check]

With `--check` nothing is written; it is an error if the list is outdated.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "mien"
DESIGN = ROOT / "docs" / "design.md"
SECTION = re.compile(r"(<!-- tree -->\n```\n).*?(```\n<!-- /tree -->)", re.DOTALL)


def first_line(module: Path) -> str:
    """Return the first line of a module's docstring without its full stop."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].removesuffix(".")


def tree() -> str:
    """Return the list: one line per module below its package, and the number of files of other folders."""
    lines = ["src/mien/"]
    for folder in sorted({f.parent for f in SRC.rglob("*") if f.is_file() and "__pycache__" not in f.parts}):
        files = sorted(f for f in folder.iterdir() if f.is_file())
        depth = len(folder.relative_to(SRC).parts)
        modules = [f for f in files if f.suffix == ".py"]
        if folder != SRC:
            init = folder / "__init__.py"
            description = first_line(init) if init.exists() else f"{len(files)} files"
            lines.append(f"{'  ' * depth}{folder.name + '/':24}{description}")
        for module in modules:
            if module.name not in ("__init__.py", "__main__.py"):
                lines.append(f"{'  ' * (depth + 1)}{module.name:24}{first_line(module)}")
    return "\n".join(lines) + "\n"


def main(check: bool) -> None:
    """Write the list into the document, or only compare them."""
    text = DESIGN.read_text(encoding="utf-8")
    new = SECTION.sub(lambda match: match[1] + tree() + match[2], text)
    if check and new != text:
        sys.exit(f"{DESIGN} does not list the current files; run: python experiments/design_tree.py")
    if not check:
        DESIGN.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
