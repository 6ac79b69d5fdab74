"""`mien models`: the models in the package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mien.cli.options import Json
from mien.cli.output import write_json

if TYPE_CHECKING:
    from mien.model_card import Card, Score

WHEN_TO_USE = {
    "photo": "For photos. Best agreement with raters among the 7-class models; robust to blur and unusual lighting.",
    "nano": "For videos and small machines. 17 times fewer operations than the other models.",
    "base": "For FER2013's own labels: benchmarks and fine-tuning.",
    "ferplus": "For FER+'s eight classes. Its recall for contempt is 0 on validation.",
}


def models(json_file: Json = None) -> None:
    """List the shipped models, their accuracy on validation, and when to use which."""
    from mien.model import find_model_files, read_card, shipped_models

    cards = {name: read_card(name) for name in shipped_models()}
    sizes = {name: find_model_files(name)[0].stat().st_size for name in cards}
    Console().print(models_table(cards, sizes))
    for name in cards:
        if name in WHEN_TO_USE:
            typer.echo(fill(f"{name}: {WHEN_TO_USE[name]}", width=80, subsequent_indent="  "))
    if json_file is not None:
        write_json(json_file, {"models": {n: {**json.loads(c.to_json()), "bytes": sizes[n]} for n, c in cards.items()}})


def models_table(cards: Mapping[str, Card], sizes: Mapping[str, int]) -> Table:
    """Return a table with one row per model, at most 80 columns wide for names of up to 12 letters.

    Args:
        cards: Model card by name.
        sizes: Size of the ONNX file by name, in bytes.
    """
    from mien.evaluation.selection import SELECTED_ON
    from mien.model_card import MAJORITY_VOTE, OWN_LABELS

    table = Table(
        title="shipped models" if cards else "no models are shipped yet",
        title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=0,
    )  # fmt: skip
    table.add_column("name", no_wrap=True, vertical="bottom")
    truths = {OWN_LABELS: "accuracy %,\nFER2013's labels", MAJORITY_VOTE: "accuracy %,\nmajority vote (FER+)"}
    for heading in ("classes", "GFLOP", "MB", *truths.values()):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    notes = ["accuracy on validation, with its 95 % interval"] if cards else []
    for name, card in cards.items():
        scores = {against: _validation_score(card, against) for against in truths}
        figures = (f"{len(card.labels)}", f"{card.flops / 1e9:.3f}", f"{sizes[name] / 1e6:.1f}")
        table.add_row(escape(name), *figures, *(_accuracy(score) for score in scores.values()))
    if any(s.selected_on for card in cards.values() for s in card.scores):
        notes.append(
            f"* {SELECTED_ON}: validation also selected the epoch or\n  the temperature, so the accuracy is optimistic"
        )
    licences = sorted({card.licence for card in cards.values()})
    notes += [f"license: {escape(', '.join(licences))}"] if licences else []
    table.caption = "\n".join(notes) or None
    return table


def _validation_score(card: Card, against: str) -> Score | None:
    from mien.data.dataset import VAL
    from mien.model_card import OFFICIAL

    wanted = (VAL, OFFICIAL, against, "none")
    return next((s for s in card.scores if s.key == wanted), None)


def _accuracy(score: Score | None) -> str:
    if score is None:
        return "–"
    mark = "*" * score.selected_on
    return f"{100 * score.accuracy:.1f}{mark} ({100 * score.low:.1f} to {100 * score.high:.1f})"
