"""Write the rule that results/crop_rule.json chose into the cards of nets.

Run:   python experiments/write_crop_rule.py src/mien/assets/nano src/mien/assets/base
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from mien.card import Card
from mien.crop import CropRule

RULE = Path(__file__).parent / "results" / "crop_rule.json"


def main(folders: list[str]) -> None:
    rule = CropRule.from_dict(json.loads(RULE.read_text())["rule"])
    for folder in folders:
        file = Path(folder) / "card.json"
        card = Card.from_json(file.read_text(), str(file))
        file.write_text(replace(card, crop=rule).to_json())
        print(f"{file}: {rule}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
