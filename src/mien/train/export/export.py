"""`export`: trained weights as an ONNX model with its card.

The graph is compared with torch before anything is written, the temperature is fitted on validation, and every metric
on the card is measured on exactly the bytes that are written, by the code of `mien evaluate`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto
from torch.utils.flop_counter import FlopCounterMode

from mien import files
from mien.data.dataset import SIDE, TRAIN, VAL, Dataset
from mien.data.votes import NAME, votes_digest
from mien.errors import MienError, MissingSplit, ModelError, RunError
from mien.imaging.crop import DEFAULT_CROP_RULE
from mien.labels import same_classes
from mien.model import CARD, GRAPH, Model, read_card
from mien.model_card import MAJORITY_VOTE, OWN_LABELS, STORAGES, Calibration, Card
from mien.threads import threads, threads_from_environment
from mien.train.checks import explain_out_of_memory
from mien.train.export.measure import (
    check_accuracy_loss,
    check_parity,
    choose_class_frequencies,
    fit_calibration,
    logit_shift,
    uncalibrated,
    validation_scores,
)
from mien.train.export.onnx_graph import (
    PixelModel,
    add_logit_shift,
    build_graph,
    quantize_int8,
    serialize_graph,
    set_temperature,
    to_float16,
)
from mien.train.models import build_model
from mien.train.runs.weights import Weights, find_weights
from mien.train.targets.schemes import evaluation_dataset

INT8_FACES = 512  # training faces on which the ranges of int8 are measured
TIMES = ("seconds", "images_per_second")  # metrics that differ between runs with equal weights
AUTO = "auto"


def export(
    source: str | Path,
    out: str | Path,
    dataset: Dataset,
    *,
    name: str | None = None,
    storage: str = "float32",
    overwrite: bool = False,
    prior_strength: float | str = 0.0,
) -> Card:
    """Export trained weights as `model.onnx` and `card.json` in a folder, both or neither.

    No probability of the float32 graph may differ from torch by more than 1e-4, for validation faces, noise, black and
    white images, in batches of 1, of 7 and of hundreds. A graph stored as float16 or computing in int8 is made from the
    float32 graph and must lose less than 0.2 percentage points of accuracy on validation; `Card.parity` is its largest
    difference from torch.

    With a prior strength S, the graph subtracts S * log(class frequencies of training) from the logits before the
    temperature (post-hoc logit adjustment, Menon et al. 2021, arXiv 2007.07314, equation 9). The probabilities then
    assume class frequencies that are closer to equal ones, which the card states. Temperature and metrics are those of
    the shifted logits.

    Args:
        source: Trained weights, as in `find_weights`: folder of a run or of an exported model, file of weights, or name
            of a shipped model.
        out: Folder for `model.onnx` and `card.json`.
        dataset: Data set that the weights were trained on, with FER+ votes if they were trained on votes.
        name: Name of the model; by default the name of its recipe.
        storage: `float32`; `float16`, half the size and converted to float32 when it is loaded; or `int8`, from which
            no training can start.
        overwrite: Whether to replace another model in `out`. A model exported from the same weights is always replaced.
        prior_strength: Strength S; 0 for none, 1 makes a model that was trained without any adjustment assume equal
            class frequencies. `auto` selects the S of 0, 0.05, ..., 1 with the best macro-F1 on validation, the
            smallest of equal ones.

    Returns:
        The card of the model.

    Raises:
        MienError: `storage` or `prior_strength` is outside its range.
        RunError: The data is not what the weights were trained on; the graph differs from torch or loses too much
            accuracy; the model cannot be exported to ONNX; or `out` contains another model or cannot be written.
        MissingSplit: The data has no labeled validation split.
        DataError: The data has no FER+ votes, and the model needs them.

    Example:
        >>> import tempfile
        >>> from mien.data import sketch
        >>> from mien.train import apply_overrides, export, find_recipe, train
        >>> recipe = apply_overrides(find_recipe("seed"), ["model=mien_nano", "epochs=1"])
        >>> faces = sketch(train=16, val=8, test=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = train(recipe, faces, f"{folder}/run", device="cpu")
        ...     card = export(run.folder, f"{folder}/model", faces, name="mine")
        >>> card.name, card.storage
        ('mine', 'float32')
    """
    if storage not in STORAGES:
        raise MienError(f"unknown storage '{storage}'; available: {', '.join(STORAGES)}")
    if prior_strength != AUTO and not _is_strength(prior_strength):
        raise MienError(f"prior_strength must be {AUTO} or a number of 0 or more, got {prior_strength!r}")
    weights, folder = find_weights(source), Path(out)
    truth, before = _evaluation_data(weights, dataset), _check_replaceable(folder, weights, overwrite)
    with explain_out_of_memory("while exporting; free some memory"), _torch_threads():
        content, card = _build(weights, dataset, truth, name or weights.recipe["name"], storage, prior_strength)
    if before is not None and before.sha256 == card.sha256:
        card = card.with_scores(before.test, test=True)  # the graph has not changed
    _write(folder, content, card)
    return card


def _build(
    weights: Weights, dataset: Dataset, truth: Dataset, name: str, storage: str, prior_strength: float | str
) -> tuple[bytes, Card]:
    """Return the content of the ONNX file and the card with everything that is measured on it; raises as `export`."""
    recipe = weights.recipe
    network = build_model(recipe["model"], len(weights.labels))
    weights.load_into(network, weights.labels)
    pixel_model = PixelModel(network, recipe["mean"], recipe["std"])
    draft = _draft(name, storage, weights, pixel_model, dataset, truth)
    plain = build_graph(pixel_model, truth.labels.names)
    stored = _convert(plain, storage, dataset)
    probs_NK = _open(serialize_graph(stored), draft).probabilities(truth[VAL].pixels_NHW)
    frequencies = choose_class_frequencies(prior_strength, weights, dataset, probs_NK, truth[VAL])
    draft = replace(draft, class_frequencies=frequencies)
    if frequencies.export_strength:
        shifted = add_logit_shift(plain, logit_shift(frequencies))
        stored = shifted if stored is plain else add_logit_shift(stored, logit_shift(frequencies))
        plain = shifted
        probs_NK = _open(serialize_graph(stored), draft).probabilities(truth[VAL].pixels_NHW)
    if stored is not plain:
        check_accuracy_loss(_open(serialize_graph(plain), draft), probs_NK, truth[VAL])
    fitted = fit_calibration(probs_NK, truth[VAL])
    draft = replace(draft, calibration=fitted)
    if not fitted.split:
        warnings.warn(uncalibrated(fitted), UserWarning, stacklevel=3)
    content = serialize_graph(set_temperature(stored, fitted.temperature))
    model = _open(content, draft)
    exact = model if stored is plain else _open(serialize_graph(set_temperature(plain, fitted.temperature)), draft)
    parity = check_parity(network, exact, model, truth[VAL].pixels_NHW)
    return content, replace(model.card, parity=parity, scores=validation_scores(model, dataset))


def _evaluation_data(weights: Weights, dataset: Dataset) -> Dataset:
    """Return `dataset` with the labels of the evaluation, after checking that the model was trained on it.

    Raises:
        RunError: The model was trained on other data, or on other classes.
        MissingSplit: There is no labeled validation split.
    """
    data, recipe = weights.about["data"], weights.recipe
    if dataset.digest != data["digest"]:
        raise RunError(
            f"cannot export '{weights.name}' with {dataset.source}: it was trained on other data ({data['name']} with "
            f"the digest {data['digest']}, not {dataset.digest}); use the data that it was trained on"
        )
    has_votes = all(split.votes_NV is not None for split in dataset.splits.values())
    if data.get("votes") and has_votes and votes_digest(dataset) != data["votes"]:
        raise RunError(f"'{weights.name}' was trained on other FER+ votes; export it with the votes of its training")
    truth = evaluation_dataset(dataset, recipe["scheme"], recipe["label_set"])
    if not same_classes(truth.labels.names, weights.labels):
        raise RunError(
            f"'{weights.name}' has the classes {', '.join(weights.labels)}, "
            f"and {dataset.source} has {', '.join(truth.labels.names)}"
        )
    if VAL not in truth or not truth[VAL].labelled:
        raise MissingSplit(f"{dataset.source} has no labeled split '{VAL}', which the temperature is fitted on")
    return truth


def _check_replaceable(folder: Path, weights: Weights, overwrite: bool) -> Card | None:
    """Return the card of the model in `folder`, if any.

    Raises:
        RunError: It is not the model of `weights` and `overwrite` is false, or the folder is not writable.
    """
    try:
        _check_writable(folder)  # before the export, which takes a while
        existing = [file.name for file in (folder / GRAPH, folder / CARD) if file.exists()]
    except OSError as error:
        raise _write_error(folder, error) from None
    if not existing:
        return None
    before = None
    with contextlib.suppress(ModelError):
        before = read_card(folder)
    if before is not None and before.origin.get("weights") == weights.identity["sha256"]:
        return before
    if not overwrite:
        content = f"another model, '{before.name}'" if before else f"an incomplete model, {existing[0]}"
        raise RunError(f"{folder} contains {content}; replace it with --overwrite, or use another --out")
    return None


def _draft(
    name: str, storage: str, weights: Weights, pixel_model: PixelModel, dataset: Dataset, truth: Dataset
) -> Card:
    """Return the card, with placeholders for everything that is measured on the graph."""
    data, recipe, figures = weights.about["data"], weights.recipe, weights.about["figures"]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        pixel_model(torch.zeros((1, SIDE, SIDE), dtype=torch.uint8))
    return Card(
        name=name,
        labels=truth.labels,
        sha256=64 * "0",
        side=SIDE,
        parameters=sum(p.numel() for p in pixel_model.model.parameters()),
        flops=int(counter.get_total_flops()),
        storage=storage,
        parity=0.0,
        crop=DEFAULT_CROP_RULE,
        calibration=Calibration(1.0, VAL, len(truth[VAL]), 0.0, 0.0),
        recipe=recipe,
        # `truth`: the labels by which run and model are evaluated.
        data={
            **{key: data.get(key) for key in ("name", "digest", "faces", "votes")},
            **{key: data[key] for key in ("label_noise",) if key in data},
            "known_as": dataset.known_as,
            "scheme": recipe["scheme"],
            "truth": MAJORITY_VOTE if truth.name == NAME else OWN_LABELS,
        },
        origin={
            "weights": weights.identity["sha256"],
            "seed": weights.about["seed"],
            "epoch": figures["epoch"],
            "epochs": recipe["epochs"],
            "select": recipe["select"],
            "init": weights.about.get("init"),
            "teachers": weights.about.get("teachers"),
            "figures": {key: value for key, value in figures.items() if key not in TIMES},
            "run_format": weights.about["format"],
        },
    )


def _convert(plain: ModelProto, storage: str, dataset: Dataset) -> ModelProto:
    """Return the graph in the format in which it is stored."""
    if storage == "float16":
        return to_float16(plain)
    if storage == "int8":
        faces_NHW = dataset[TRAIN].pixels_NHW
        index = np.arange(INT8_FACES) * len(faces_NHW) // INT8_FACES
        return quantize_int8(plain, faces_NHW[np.unique(index)])
    return plain


def _open(content: bytes, draft: Card) -> Model:
    """Return the model of an ONNX file, with the card `draft` and the checksum of the file."""
    return Model(replace(draft, sha256=hashlib.sha256(content).hexdigest()), content)


def _is_strength(value: float | str) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _write(folder: Path, content: bytes, card: Card) -> None:
    """Write both files completely to the disk before the first is moved to its place; the card is moved last."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
        try:
            for name, text in ((GRAPH, content), (CARD, card.to_json().encode())):
                files.write(temporary / name, [text])
            for name in (GRAPH, CARD):
                os.replace(temporary / name, folder / name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise _write_error(folder, error) from None


def _check_writable(folder: Path) -> None:
    """Raise `OSError` if `folder` is a file, or it or the folder that it would be created in is not writable."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    code = errno.ENOTDIR if not existing.is_dir() else 0 if os.access(existing, os.W_OK | os.X_OK) else errno.EACCES
    if code:
        raise OSError(code, os.strerror(code))


def _write_error(folder: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot write to {folder}: {error.strerror or error}; the old files are kept. Fix this (free some disk space, "
        "for example) or use another --out"
    )


@contextlib.contextmanager
def _torch_threads() -> Iterator[None]:
    """Set the number of threads of torch to what mien may use, and restore it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads_from_environment() or min(threads(), before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
