"""The audit as tables for the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from mien.data.audit import Audit, NearDuplicates

SHOWN_ROWS = 12  # of a list of rows; the JSON has them all


def audit_tables(found: Audit) -> RenderableType:
    """Counts, then findings, for a rich console."""
    parts: list[RenderableType] = [_counts(found), "", _findings(found)]
    if found.near:
        parts += ["", _near(found.near)]
    return Group(*parts)


def _counts(found: Audit) -> Table:
    known = f", recognised as {found.known_as}" if found.known_as else ""
    table = Table(
        title=escape(f"{found.source} ({found.name}{known})"), title_justify="left", title_style="bold",
        caption=found.note and escape(found.note), caption_justify="left",
    )  # fmt: skip
    table.add_column("class")
    for split in found.counts:
        table.add_column(split, justify="right")
        table.add_column("%", justify="right", style="dim")
    sizes = {split: sum(counts.values()) for split, counts in found.counts.items()}
    for name in dict.fromkeys(name for counts in found.counts.values() for name in counts):
        cells: list[str] = []
        for split, counts in found.counts.items():
            count = counts.get(name, 0)
            cells += [f"{count:,}", f"{100 * count / sizes[split]:.1f}"]
        table.add_row(escape(name), *cells)
    table.add_section()
    table.add_row("all", *(cell for size in sizes.values() for cell in (f"{size:,}", "")), style="bold")
    return table


def _findings(found: Audit) -> Table:
    table = Table(title="Audit", title_justify="left", title_style="bold")
    table.add_column("finding")
    table.add_column("count", justify="right")
    table.add_column("rows, counted from 0", overflow="fold")
    table.add_row("flat images (one grey all over)", f"{len(found.flat):,}", _some(found.flat))
    for pair, count in found.across.items():
        inner, _, outer = pair.partition(" in ")
        table.add_row(f"{inner} faces with a byte-identical duplicate in {outer}", f"{count:,}", "")
    for split, count in found.redundant.items():
        table.add_row(f"redundant copies within {split}", f"{count:,}", "")
    for split, groups in found.contradicted.items():
        firsts = tuple(rows[0] for rows in groups)
        table.add_row(f"groups of duplicates with different labels in {split}", f"{len(groups):,}", _some(firsts))
    return table


def _near(near: NearDuplicates) -> Table:
    """Columns for pairs of splits, a row for each class of the first."""
    table = Table(
        title="Faces with a near-duplicate: one image, cut, sized, stored, lit or mirrored anew, or byte-identical",
        title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("class", no_wrap=True, vertical="bottom")
    for pair in near.faces:
        table.add_column(pair.replace(" in ", "\nin "), justify="right", no_wrap=True)
    for name in dict.fromkeys(name for counts in near.faces.values() for name in counts):
        table.add_row(escape(name), *(f"{counts.get(name, 0):,}" for counts in near.faces.values()))
    table.add_section()
    table.add_row("all", *(f"{sum(counts.values()):,}" for counts in near.faces.values()), style="bold")
    table.add_row("mirrored pairs", *(f"{near.mirrored[pair]:,}" for pair in near.faces))
    table.add_row("pairs of two labels", *(f"{near.contradicted[pair]:,}" for pair in near.faces))
    return table


def _some(rows: tuple[int, ...]) -> str:
    more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
    return " ".join(map(str, rows[:SHOWN_ROWS])) + more
