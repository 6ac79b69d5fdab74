"""Check that the maps of `mien explain` depend on the weights. Writes results/explain_sanity.json and .jpg.

Run:   python experiments/explain_sanity.py     (a few seconds)

This is the parameter randomization test of Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv 1810.03292: a
map that stays the same with random weights shows the image, not what the model uses. The values of every kernel of
`nano` and of its class weights are shuffled twenty times. The metric is Spearman's rank correlation of each map with
the map of the original model, on the sample portrait of the package. The image shows the original model at the top and
three shuffled ones below it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from mien.detection.detectors import build_detector
from mien.model import Model, find_model_files, load
from mien.recognition import Recognizer, sample
from mien.recognition.explain import Explanation, draw, explain

RESULTS = Path(__file__).parent / "results"
MODEL, LABEL, SHUFFLES, SHOWN = "nano", "happy", 20, 3
KINDS = ("activation_HW", "occlusion_HW")


def shuffle_weights(seed: int) -> Model:
    """Return the model with the values of every kernel and of its class weights shuffled."""
    rng, model = np.random.default_rng(seed), load(MODEL)
    graph = onnx.load(find_model_files(MODEL)[0])
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim >= 2 and values.dtype in (np.float16, np.float32):
            tensor.CopyFrom(numpy_helper.from_array(rng.permutation(values.ravel()).reshape(values.shape), tensor.name))
    assert model.class_weights_KC is not None
    weights_KC = rng.permutation(model.class_weights_KC.ravel()).astype("<f4")
    for entry in graph.metadata_props:
        if entry.key == "mien.class_weights":
            entry.value = base64.b64encode(weights_KC.tobytes()).decode()
    content = graph.SerializeToString()
    return Model(replace(model.card, sha256=hashlib.sha256(content).hexdigest()), content)


def explain_sample(model: Model) -> Explanation:
    """Return the explanation of the prediction for the portrait."""
    (explanation,) = explain(Recognizer(model, build_detector("yunet")), sample(), label=LABEL)
    return explanation


def rank_correlation(a: Explanation, b: Explanation, kind: str) -> float:
    """Return Spearman's rank correlation of two maps."""
    maps: list[NDArray[np.float32]] = [getattr(e, kind) for e in (a, b)]
    ranks = [m.ravel().argsort().argsort().astype(float) for m in maps]
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    """Write the record and the image."""
    model = load(MODEL)
    trained, others = explain_sample(model), [explain_sample(shuffle_weights(seed)) for seed in range(SHUFFLES)]
    correlations = {kind: [round(rank_correlation(trained, other, kind), 4) for other in others] for kind in KINDS}
    record = {
        "question": "do the maps of an explanation depend on the weights of the model",
        "model": MODEL,
        "sha256": model.card.sha256,
        "label": LABEL,
        "rank_correlation": {
            kind.removesuffix("_HW"): {"mean": float(np.mean(k)), "mean_size": float(np.mean(np.abs(k))), "each": k}
            for kind, k in correlations.items()
        },
    }
    (RESULTS / "explain_sanity.json").write_text(json.dumps(record, indent=1) + "\n")
    image_HW3, quality = draw([trained, *others[:SHOWN]]), [cv2.IMWRITE_JPEG_QUALITY, 85]
    cv2.imwrite(str(RESULTS / "explain_sanity.jpg"), image_HW3, quality)


if __name__ == "__main__":
    main()
