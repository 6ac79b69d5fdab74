"""`mien models`: the models in the package."""

from __future__ import annotations

import json

from rich.console import Console

from mien.cli.options import Json
from mien.cli.output import write_json


def models(json_file: Json = None) -> None:
    """List the shipped models with what is on their cards."""
    from mien.evaluation.report.terminal import models_table
    from mien.model import find_model_files, read_card, shipped_models

    cards = {name: read_card(name) for name in shipped_models()}
    sizes = {name: find_model_files(name)[0].stat().st_size for name in cards}
    Console().print(models_table(cards, sizes))
    if json_file is not None:
        write_json(json_file, {"models": {n: {**json.loads(c.to_json()), "bytes": sizes[n]} for n, c in cards.items()}})
