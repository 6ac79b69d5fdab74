"""Writes the figures of a test split into a model card."""

from __future__ import annotations

from pathlib import Path

from mien import files
from mien.data.dataset import TEST, Dataset
from mien.errors import ModelError
from mien.evaluation.protocols import ModelEvaluation, is_same_source
from mien.model import SHIPPED, find_model_files, read_card
from mien.model_card import Card


def check_card_accepts_scores(model: str | Path, dataset: Dataset, split: str) -> None:
    """`ModelError` where figures of this split have no place on the card of `model`; asked before the model is.

    They have none of another split, of other data than the model learned from, and on the card of a shipped model.
    """
    if split != TEST:
        raise ModelError(f"a card takes the figures of a test split, not of '{split}': leave --card out")
    card, file = read_card(model), find_model_files(model)[1]
    if file.resolve().is_relative_to(SHIPPED.resolve()):
        raise ModelError(
            f"{model} came with mien, and its card stays as it is; copy {file.parent} and give the copy's folder"
        )
    if not is_same_source(card.data, dataset):
        raise ModelError(
            f"{model} learned from {card.data.get('name')} with the digest {card.data.get('digest')}, so figures on "
            f"{dataset.source} have no place on its card: leave --card out"
        )


def write_scores_to_card(model: str | Path, model_evaluation: ModelEvaluation) -> Card:
    """Put the figures into the `test` of the card of `model`, in place of older ones of their kind; gives the new card.

    Raises:
        ModelError: the card cannot be read or written.
    """
    file = find_model_files(model)[1]
    card = read_card(model).with_scores(model_evaluation.scores(), test=True)
    try:
        files.write(file, [card.to_json().encode()])
    except OSError as error:
        raise ModelError(f"cannot write {file}: {error.strerror or error}") from None
    return card
