"""Write metrics of a test split to a model card."""

from __future__ import annotations

from pathlib import Path

from mien import files
from mien.data.dataset import TEST, Dataset
from mien.errors import ModelError
from mien.evaluation.protocols import ModelEvaluation
from mien.evaluation.training_data import is_same_source
from mien.model import SHIPPED, find_model_files, read_card
from mien.model_card import Card


def check_card_accepts_scores(model: str | Path, dataset: Dataset, split: str) -> None:
    """Raise `ModelError` if metrics of this split cannot be written to the card of `model`; call it before evaluation.

    A card takes metrics of a test split of the data that the model was trained on; cards of shipped models are not
    changed.
    """
    if split != TEST:
        raise ModelError(f"a card takes metrics of a test split, not of '{split}'; leave out --card")
    card, file = read_card(model), find_model_files(model)[1]
    if file.resolve().is_relative_to(SHIPPED.resolve()):
        raise ModelError(
            f"cannot change the card of {model}: it is shipped with mien; copy {file.parent} and give the folder of "
            "the copy"
        )
    if not is_same_source(card.data, dataset):
        raise ModelError(
            f"{model} was trained on {card.data.get('name')} (digest {card.data.get('digest')}), so its card takes no "
            f"metrics on {dataset.source}; leave out --card"
        )


def write_scores_to_card(model: str | Path, model_evaluation: ModelEvaluation) -> Card:
    """Write scores to the `test` field of the card of `model` and return the new card; it replaces earlier ones.

    Raises:
        ModelError: The card cannot be read or written.
    """
    file = find_model_files(model)[1]
    card = read_card(model).with_scores(model_evaluation.scores(), test=True)
    try:
        files.write(file, [card.to_json().encode()])
    except OSError as error:
        raise ModelError(f"cannot write {file}: {error.strerror or error}") from None
    return card
