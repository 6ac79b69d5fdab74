"""Compare the training speed of a notebook's loop and of mien, and measure the parts of a step.

usage: python benchmarks/training.py [--models seed_cnn_quarter seed_cnn] [--repeats 5] [--steps 8] [--sharing]
                                     [--out benchmarks/results/training.json]

Both sides train the same model on the same faces (the synthetic data set `sketch`, as the time does not depend on the
content of a face), in batches of 64, augmented by flip, cutout and noise. `notebook` is the loop of the student report:
float32, a DataLoader with Albumentations per image, channels first, the loss read after every step; `notebook, 2
workers` runs the augmentation in two processes. `mien` is `mien.train.train` with the precision `auto`. Each
measurement runs in a separate process: one epoch of warm-up, then a timed one; the sides alternate within each repeat.
Both use `mien.threads.threads()` threads and OpenMP's default wait policy. Rates are those of the steps of the epoch,
without evaluation and checkpoint.

The parts of a step of mien are timed in a copy of its loop, which must end at the same loss as `train`. `--sharing`
trains two processes at once on the same cores: with OpenMP's idle threads spinning (the default), sleeping, and with
one thread each (MIEN_THREADS=1).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import summary

HERE = Path(__file__).resolve().parent
BATCH = 64
NOTEBOOK, WORKERS, MIEN = "notebook", "notebook, 2 workers", "mien"
SIDES = (NOTEBOOK, WORKERS, MIEN)
POLICIES = {
    "spinning": {"OMP_WAIT_POLICY": "active"},
    "sleeping": {"OMP_WAIT_POLICY": "passive"},
    "one thread each": {"OMP_WAIT_POLICY": "passive", "MIEN_THREADS": "1", "OMP_NUM_THREADS": "1"},
}


def run_notebook(model: str, steps: int, workers: int) -> dict[str, Any]:
    """Return images per second of the plain loop."""
    import albumentations
    import torch

    from mien.threads import threads
    from mien.train import find_recipe
    from mien.train.models import build_model

    torch.set_num_threads(threads())
    pixels_NHW, labels_N = _faces(steps)
    pipeline = albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.CoarseDropout(
                num_holes_range=(2, 2), hole_height_range=(2, 2), hole_width_range=(2, 2), fill=0, p=0.5
            ),
            albumentations.GaussNoise(std_range=(10**0.5 / 255, 50**0.5 / 255), p=0.5),
        ]
    )

    class Faces(torch.utils.data.Dataset[tuple[Any, int]]):
        def __len__(self) -> int:
            return len(pixels_NHW)

        def __getitem__(self, row: int) -> tuple[Any, int]:
            face_HWC = pipeline(image=pixels_NHW[row][..., None])["image"]
            x_CHW = torch.from_numpy(face_HWC).permute(2, 0, 1).float() / 255
            return (x_CHW - 0.5) / 0.5, int(labels_N[row])

    torch.manual_seed(0)
    recipe = find_recipe("seed_augmented")
    network = build_model(model, 7).to(memory_format=torch.contiguous_format)
    network.forward = lambda x: _channels_first(network, x)  # type: ignore[method-assign]
    sgd = torch.optim.SGD(
        network.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    loader = torch.utils.data.DataLoader(
        Faces(), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    seconds = 0.0
    for _epoch in range(2):
        start, running = time.perf_counter(), 0.0
        for x_BCHW, label_B in loader:
            sgd.zero_grad()
            loss = torch.nn.functional.nll_loss(network(x_BCHW), label_B)
            loss.backward()
            sgd.step()
            running += loss.item()
        seconds = time.perf_counter() - start
    return {"images_per_second": steps * BATCH / seconds}


def _channels_first(model: Any, x_NCHW: Any) -> Any:
    """Run the layers on the input of a notebook: three equal channels, channels first."""
    import torch

    logits_NK = model.head(model.pool(model.features(x_NCHW.repeat(1, 3, 1, 1)))).flatten(1)
    return torch.log_softmax(logits_NK, 1)


def run_mien(model: str, steps: int) -> dict[str, Any]:
    """Return images per second of `train`, and seconds per step of each part."""
    import numpy as np

    from mien.data.dataset import Dataset, Split
    from mien.labels import FER7
    from mien.train import find_recipe, train

    pixels_NHW, labels_N = _faces(steps)
    split = Split("train", pixels_NHW, labels_N, np.arange(len(labels_N)))
    dataset = Dataset("bench", Path("bench"), f"bench{steps}", FER7, {"train": split})
    recipe = replace(find_recipe("seed_augmented"), model=model, batch=BATCH, epochs=2)
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, dataset, Path(folder) / "run", device="cpu", progress=True)
        parts, loss = _parts(recipe, split, Path(folder))
        if loss != run.history[1]["train_loss"]:
            sys.exit(f"the loss of the copied loop is {loss}, that of train {run.history[1]['train_loss']}")
        return {
            "images_per_second": run.history[1]["images_per_second"],
            "precision": run.machine["precision"],
            "milliseconds_per_step": {name: 1000 * seconds / steps for name, seconds in parts.items()},
        }


@dataclass(frozen=True)
class TimedAugmentation:
    """An augmentation that records its time."""

    augmentation: Any
    augment_seconds: list[float]

    def __call__(self, x_NCHW: Any, rng: Any) -> Any:
        start = time.perf_counter()
        augmented = self.augmentation(x_NCHW, rng)
        self.augment_seconds.append(time.perf_counter() - start)
        return augmented

    def to_dict(self) -> dict[str, Any]:
        return dict(self.augmentation.to_dict())


def _parts(recipe: Any, split: Any, folder: Path) -> tuple[dict[str, float], float]:
    """Return the seconds of each part of the second epoch in a copy of `mien.train.loop`, and its loss."""
    import torch

    from mien.train.batches import MODEL, Faces, epoch_rng, steps_per_epoch, training_batches
    from mien.train.checks import check_loss
    from mien.train.fabric import make_fabric
    from mien.train.loss import Loss
    from mien.train.models import build_model
    from mien.train.optim.optimizers import OPTIMIZERS
    from mien.train.optim.schedule import learning_rate
    from mien.train.progress import Progress

    fabric = make_fabric("cpu", recipe.precision)
    torch.manual_seed(0)
    unwrapped = build_model(recipe.model, 7)
    sgd = OPTIMIZERS[recipe.optimizer](unwrapped, recipe.lr, recipe.momentum, recipe.weight_decay)
    model, optimizer = fabric.setup(unwrapped, sgd)
    target_NK = torch.nn.functional.one_hot(torch.from_numpy(split.labels_N), 7).float()
    faces = Faces.from_split(split, fabric.device, target_NK)
    loss_of, steps = Loss.from_recipe(recipe, target_NK), steps_per_epoch(len(faces), recipe)
    augment_seconds: list[float] = []
    recipe = replace(
        recipe, augment=tuple(TimedAugmentation(augmentation, augment_seconds) for augmentation in recipe.augment)
    )
    part_seconds = dict.fromkeys(("load", "augment", "forward", "backward", "optimizer", "logging"), 0.0)
    loss_sum = correct = torch.zeros(())
    with Progress(recipe, 0, len(faces), folder, shown=True) as bar:
        for epoch in (1, 2):
            torch.manual_seed(epoch_rng(0, epoch, MODEL, torch.device("cpu")).initial_seed())
            model.train()
            part_seconds = dict.fromkeys(part_seconds, 0.0)
            loss_sum, correct = torch.zeros((), dtype=torch.float64), torch.zeros(())
            augment_seconds.clear()
            bar.start(epoch)
            batches: Iterator[Any] = training_batches(faces, recipe, 0, epoch)
            clock = _clock(part_seconds)
            for step in range(1, steps + 1):
                batch = next(batches)
                clock("load")
                log_p_BK = model(batch.x_BCHW)
                loss = loss_of(log_p_BK, batch.target_BK)
                clock("forward")
                fabric.backward(loss * batch.share)
                clock("backward")
                sgd.param_groups[0]["lr"] = learning_rate(
                    recipe.schedule, recipe.lr, step - 1, warmup_steps=0, total_steps=2 * steps
                )
                optimizer.step()
                optimizer.zero_grad()
                clock("optimizer")
                check_loss(loss_sum, step, epoch, recipe, folder)
                loss_sum += loss.detach() * len(batch.target_BK)
                correct = correct + (log_p_BK.argmax(1) == batch.target_BK.argmax(1)).sum()
                bar.step(len(batch.target_BK), loss_sum, correct)
                clock("logging")
    part_seconds["augment"] = sum(augment_seconds)
    part_seconds["load"] -= part_seconds["augment"]
    return part_seconds, loss_sum.item() / len(faces)


def _clock(part_seconds: dict[str, float]) -> Callable[[str], None]:
    """Return a function that adds the time since its last call to a part."""
    last = [time.perf_counter()]

    def add(part: str) -> None:
        now = time.perf_counter()
        part_seconds[part] += now - last[0]
        last[0] = now

    return add


def _faces(steps: int) -> tuple[Any, Any]:
    """Return synthetic faces for a number of steps, uint8 [N,48,48], and their labels, int64 [N]."""
    from mien.data import sketch

    split = sketch(train=steps * BATCH, val=7, test=7)["train"]
    return split.pixels_NHW, split.labels_N


def measure_here(side: str, model: str, steps: int) -> dict[str, Any]:
    """Measure one side in this process."""
    if side == MIEN:
        return run_mien(model, steps)
    return run_notebook(model, steps, workers=2 if side == WORKERS else 0)


def measure(side: str, model: str, steps: int, settings: dict[str, str], times: int = 1) -> list[dict[str, Any]]:
    """Measure one side in `times` concurrent processes."""
    command = [sys.executable, __file__, "--child", side, "--models", model, "--steps", str(steps)]
    environment = {**os.environ, **settings}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(times)
    ]
    outputs = [process.communicate() for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode:
            sys.exit(f"{side}, {model}: {errors}")
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


def compare_sides(model: str, steps: int, repeats: int) -> dict[str, Any]:
    """Compare all sides for one model, and measure the parts of a step of mien."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(repeats):
        for side in SIDES:
            runs[side] += measure(side, model, steps, {})
    rates = {side: summary([run["images_per_second"] for run in values]) for side, values in runs.items()}
    steps_ms = [run["milliseconds_per_step"] for run in runs[MIEN]]
    parts = {part: summary([ms[part] for ms in steps_ms]) for part in steps_ms[0]}
    shares = [1 - (ms["forward"] + ms["backward"]) / sum(ms.values()) for ms in steps_ms]
    fastest = max(rates[side]["median"] for side in (NOTEBOOK, WORKERS))
    return {
        "images_per_second": rates,
        "precision": runs[MIEN][0]["precision"],
        "times_faster_than_notebook": round(rates[MIEN]["median"] / rates[NOTEBOOK]["median"], 2),
        "times_faster_than_the_faster_notebook": round(rates[MIEN]["median"] / fastest, 2),
        "milliseconds_per_step": parts,
        "percent_not_forward_or_backward": summary([100 * share for share in shares]),
    }


def measure_sharing(model: str, steps: int, repeats: int) -> dict[str, Any]:
    """Return images per second of one process, and the sum of two concurrent ones, for each wait policy."""
    rates: dict[str, dict[str, list[float]]] = {name: {"alone": [], "two at once": []} for name in POLICIES}
    for _ in range(repeats):
        for name, settings in POLICIES.items():
            for times, rate in zip((1, 2), rates[name].values(), strict=True):
                rate.append(sum(run["images_per_second"] for run in measure(MIEN, model, steps, settings, times)))
    return {name: {count: summary(rate) for count, rate in values.items()} for name, values in rates.items()}


def machine() -> dict[str, Any]:
    """Return the machine, versions and load average."""
    from mien.train.fabric import machine as facts
    from mien.train.fabric import make_fabric

    return {**facts(make_fabric("cpu")), "load_average": [round(n, 2) for n in os.getloadavg()]}


def print_result(model: str, result: dict[str, Any]) -> None:
    """Print the results of one model."""
    for side, rate in result["images_per_second"].items():
        low, high = rate["quartiles"]
        print(f"{model:18} {side:20} {rate['median']:8.1f} images/s  ({low:.1f} to {high:.1f})")
    print(f"{model:18} {result['times_faster_than_notebook']:.2f}x the notebook's loop")
    for part, ms in result["milliseconds_per_step"].items():
        print(f"{model:18} {part:20} {ms['median']:8.1f} ms per step")
    print(
        f"{model:18} share other than forward and backward: {result['percent_not_forward_or_backward']['median']:.1f} %"
    )


def main() -> None:
    """Run all measurements and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["seed_cnn_quarter", "seed_cnn"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--sharing", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "training.json")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure_here(args.child, args.models[0], args.steps)))
        return
    record: dict[str, Any] = {
        "question": "how many images per second does the seed model train",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "repeats": args.repeats,
        "steps": args.steps,
        "batch": BATCH,
        "machine": machine(),
        "models": {},
    }
    for model in args.models:
        record["models"][model] = compare_sides(model, args.steps, args.repeats)
        print_result(model, record["models"][model])
    if args.sharing:
        record["sharing"] = {args.models[0]: measure_sharing(args.models[0], 2 * args.steps, args.repeats)}
        for name, rates in record["sharing"][args.models[0]].items():
            for count, rate in rates.items():
                print(f"{name:18} {count:12} {rate['median']:8.1f} images/s in total")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
