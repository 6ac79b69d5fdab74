"""The audit as tables for the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from mien.data.audit import Audit, NearDuplicateCounts
from mien.data.rater_audit import Agreement, RaterAudit

SHOWN_ROWS = 12  # of a list of rows; the JSON has all of them
SHOWN_RATERS = 20  # with the lowest agreement; the JSON has all of them


def audit_tables(result: Audit) -> RenderableType:
    """Return tables of class counts and findings for a rich console.

    Args:
        result: Audit of a data set.

    Example:
        >>> from mien.data import sketch
        >>> from mien.data.audit import audit
        >>> from rich.console import Console
        >>> console = Console(width=100)
        >>> with console.capture() as output:
        ...     console.print(audit_tables(audit(sketch(train=7, val=0, test=0))))
        >>> "flat images" in output.get()
        True
    """
    parts: list[RenderableType] = [_counts_table(result), "", _findings_table(result)]
    if result.near:
        parts += ["", _near_duplicates_table(result.near)]
    if result.raters:
        parts += ["", _raters_table(result.raters)]
    return Group(*parts)


def _counts_table(result: Audit) -> Table:
    known = f", recognised as {result.known_as}" if result.known_as else ""
    table = Table(
        title=escape(f"{result.source} ({result.name}{known})"), title_justify="left", title_style="bold",
        caption=result.note and escape(result.note), caption_justify="left",
    )  # fmt: skip
    table.add_column("class")
    for split in result.counts:
        table.add_column(split, justify="right")
        table.add_column("%", justify="right", style="dim")
    sizes = {split: sum(counts.values()) for split, counts in result.counts.items()}
    for name in dict.fromkeys(name for counts in result.counts.values() for name in counts):
        cells: list[str] = []
        for split, counts in result.counts.items():
            count = counts.get(name, 0)
            cells += [f"{count:,}", f"{100 * count / sizes[split]:.1f}"]
        table.add_row(escape(name), *cells)
    table.add_section()
    table.add_row("all", *(cell for size in sizes.values() for cell in (f"{size:,}", "")), style="bold")
    return table


def _findings_table(result: Audit) -> Table:
    table = Table(title="Audit", title_justify="left", title_style="bold")
    table.add_column("finding")
    table.add_column("count", justify="right")
    table.add_column("rows, counted from 0", overflow="fold")
    table.add_row("flat images (one constant value)", f"{len(result.flat):,}", _first_rows(result.flat))
    for pair, count in result.across.items():
        inner, _, outer = pair.partition(" in ")
        table.add_row(f"{inner} faces with a byte-identical duplicate in {outer}", f"{count:,}", "")
    for split, count in result.redundant.items():
        table.add_row(f"redundant copies within {split}", f"{count:,}", "")
    for split, groups in result.contradicted.items():
        firsts = tuple(rows[0] for rows in groups)
        table.add_row(f"groups of duplicates with different labels in {split}", f"{len(groups):,}", _first_rows(firsts))
    return table


def _near_duplicates_table(near: NearDuplicateCounts) -> Table:
    """Return a table with a column for each pair of splits and a row for each class of the first split."""
    table = Table(
        title="Faces with a near-duplicate: the same image, possibly cropped, scaled, compressed or mirrored",
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
    table.add_row("pairs with different labels", *(f"{near.contradicted[pair]:,}" for pair in near.faces))
    return table


def _raters_table(raters: tuple[RaterAudit, ...]) -> Table:
    """Return a table with a row per rater, those with the lowest agreement first."""
    careless = [audit.rater for audit in raters if audit.careless]
    shown = sorted(raters, key=lambda audit: (not audit.careless, audit.model.kappa if audit.model else 1.0))
    caption = "kappa: agreement corrected for chance, 1 for equal labels and 0 for labels at random"
    if careless:
        names = ", ".join(careless[:SHOWN_ROWS])
        caption += f"\nagrees with nobody above chance: {names}; remove these rows from the csv"
    table = Table(
        title="Raters: agreement with the others, and with a model trained on other faces", title_justify="left",
        title_style="bold", caption=escape(caption), caption_justify="left", box=box.SIMPLE_HEAD,
    )  # fmt: skip
    table.add_column("rater", overflow="fold", min_width=10, vertical="bottom")
    for heading in ("labels", "others\nkappa", "95 %\ninterval", "model\nkappa", "95 %\ninterval"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for audit in shown[:SHOWN_RATERS]:
        cells = [*_agreement_cells(audit.others), *_agreement_cells(audit.model)]
        table.add_row(escape(audit.rater), f"{audit.labels:,}", *cells, style="bold red" if audit.careless else "")
    if len(shown) > SHOWN_RATERS:
        table.add_row(f"{len(shown) - SHOWN_RATERS:,} more in --json")
    return table


def _agreement_cells(agreement: Agreement | None) -> tuple[str, str]:
    if agreement is None:
        return "–", ""
    return f"{agreement.kappa:.2f}", f"{agreement.low:.2f} to {agreement.high:.2f}"


def _first_rows(rows: tuple[int, ...]) -> str:
    more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
    return " ".join(map(str, rows[:SHOWN_ROWS])) + more
