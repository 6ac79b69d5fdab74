"""Markdown tables of label noise and robustness, one function for each kind of record."""

from __future__ import annotations

from typing import Any

from tables_of_models import ablation, points, spread


def noise(result: dict[str, Any]) -> str:
    """Return a table of the mislabelled faces at the top of each ranking, then one of training without them."""
    ways = result["rankings"]
    firsts = list(next(iter(ways.values())))
    rows = [
        f"| ranked by | mislabelled of the first {', % | of the first '.join(firsts)}, % |",
        "|---" * (1 + len(firsts)) + "|",
    ]
    rows += [
        f"| {name} | {' | '.join(f'{100 * figures[first]:.1f}' for first in firsts)} |"
        for name, figures in ways.items()
    ]
    return "\n".join(rows) + "\n\n" + ablation(result)


def altered(result: dict[str, Any]) -> str:
    """Return a table with one row per arm of a study: accuracy with and without corruption, difference to the first."""
    pairs = {pair["b"]: pair for pair in result["pairs"]}
    seeds = len(result["seeds"])
    rows = [
        f"| arm (n = {seeds} random seed{'s' if seeds > 1 else ''}) | uncorrupted, % | without duplicates "
        f"| corrupted, mean, % | without duplicates "
        f"| difference to `{result['altered_arms'][0]['arm']}`, uncorrupted | corrupted |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm in result["altered_arms"]:
        own = {way: f"{100 * share:.1f}" for way, share in arm["without_duplicates"].items()}
        figures = [spread(arm["unaltered"]), own["unaltered"]]
        figures += [spread({"mean": arm["altered"]["mean"], "std": arm["altered_std"]}), own["altered"]]
        pair = pairs.get(arm["arm"])
        figures += [points(pair["unaltered"]), points(pair["altered"])] if pair else ["", ""]
        rows.append(f"| `{arm['arm']}` | {' | '.join(figures)} |")
    return (
        "\n".join(rows)
        + f"\n\n{result['faces']:,} faces of PublicTest, `{result['model']}`, twelve corruptions at five severities; "
        f"without duplicates {result['faces_without_duplicates']:,}. Intervals account for variation of "
        f"{result['pairs'][0]['altered']['covers']}.\n"
    )
