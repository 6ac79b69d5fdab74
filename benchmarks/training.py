"""Compare the training speed of a notebook's loop and of mien, with the time of each part of a step.

usage: python benchmarks/training.py [--models seed_cnn_quarter seed_cnn] [--repeats 5] [--steps 8] [--sharing]
                                     [--out benchmarks/results/training.json]

Both sides train the same model on the same faces (the embedded sketch: the work does not depend on what a face shows),
in batches of 64, augmented by flip, cutout and noise. `notebook` is the student report's way: float32, a DataLoader
with Albumentations image by image, channels first, the loss read after every step; `notebook, 2 workers` hands the
augmentation to two processes. `mien` is `mien.train.train` itself, in the precision that it chooses here. Each
measurement is a process of its own; an epoch to warm up, then one that is timed; the sides take turns within each
repeat. Both have the cores that `mien.threads.threads` says, and OpenMP's own way to wait. Rates are of the epoch's
steps; the figures and the checkpoint after it are not in them.

The parts of mien's step are timed in a copy of its loop, and the copy must end at the very loss that `train` ends at,
or it is no copy. `--sharing` trains two at once on the same cores, with OpenMP's idle threads spinning (its default),
sleeping, and with one thread each (MIEN_THREADS=1).
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


def notebook(model: str, steps: int, workers: int) -> dict[str, Any]:
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
        began, running = time.perf_counter(), 0.0
        for x_BCHW, label_B in loader:
            sgd.zero_grad()
            loss = torch.nn.functional.nll_loss(network(x_BCHW), label_B)
            loss.backward()
            sgd.step()
            running += loss.item()
        seconds = time.perf_counter() - began
    return {"images_per_second": steps * BATCH / seconds}


def _channels_first(model: Any, x_NCHW: Any) -> Any:
    """The same layers, fed as a notebook feeds them: three equal channels, channels first."""
    import torch

    logits_NK = model.head(model.pool(model.features(x_NCHW.repeat(1, 3, 1, 1)))).flatten(1)
    return torch.log_softmax(logits_NK, 1)


def mien(model: str, steps: int) -> dict[str, Any]:
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
            sys.exit(f"the copy of the loop ends at a loss of {loss}, train at {run.history[1]['train_loss']}")
        return {
            "images_per_second": run.history[1]["images_per_second"],
            "precision": run.machine["precision"],
            "milliseconds_per_step": {name: 1000 * seconds / steps for name, seconds in parts.items()},
        }


@dataclass(frozen=True)
class Timed:
    """An augmentation that adds up its own time."""

    change: Any
    spent: list[float]

    def __call__(self, x_NCHW: Any, rng: Any) -> Any:
        began = time.perf_counter()
        after = self.change(x_NCHW, rng)
        self.spent.append(time.perf_counter() - began)
        return after

    def to_dict(self) -> dict[str, Any]:
        return dict(self.change.to_dict())


def _parts(recipe: Any, split: Any, folder: Path) -> tuple[dict[str, float], float]:
    """Seconds of each part over the second epoch of `mien.train.loop`, copied, and that epoch's loss."""
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
    bare = build_model(recipe.model, 7)
    sgd = OPTIMIZERS[recipe.optimizer](bare, recipe.lr, recipe.momentum, recipe.weight_decay)
    model, optimizer = fabric.setup(bare, sgd)
    target_NK = torch.nn.functional.one_hot(torch.from_numpy(split.labels_N), 7).float()
    faces = Faces.from_split(split, fabric.device, target_NK)
    loss_of, steps = Loss.from_recipe(recipe, target_NK), steps_per_epoch(len(faces), recipe)
    spent: list[float] = []
    recipe = replace(recipe, augment=tuple(Timed(change, spent) for change in recipe.augment))
    lap = dict.fromkeys(("load", "augment", "forward", "backward", "optimizer", "logging"), 0.0)
    loss_sum = right = torch.zeros(())
    with Progress(recipe, 0, len(faces), folder, shown=True) as bar:
        for epoch in (1, 2):
            torch.manual_seed(epoch_rng(0, epoch, MODEL, torch.device("cpu")).initial_seed())
            model.train()
            lap, loss_sum, right = dict.fromkeys(lap, 0.0), torch.zeros((), dtype=torch.float64), torch.zeros(())
            spent.clear()
            bar.start(epoch)
            batches: Iterator[Any] = training_batches(faces, recipe, 0, epoch)
            clock = _clock(lap)
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
                right = right + (log_p_BK.argmax(1) == batch.target_BK.argmax(1)).sum()
                bar.step(len(batch.target_BK), loss_sum, right)
                clock("logging")
    lap["augment"] = sum(spent)
    lap["load"] -= lap["augment"]
    return lap, loss_sum.item() / len(faces)


def _clock(lap: dict[str, float]) -> Callable[[str], None]:
    """Each call adds the time since the last one to a part."""
    last = [time.perf_counter()]

    def tell(part: str) -> None:
        now = time.perf_counter()
        lap[part] += now - last[0]
        last[0] = now

    return tell


def _faces(steps: int) -> tuple[Any, Any]:
    from mien.data import sketch

    split = sketch(train=steps * BATCH, val=7, test=7)["train"]
    return split.pixels_NHW, split.labels_N


def child(side: str, model: str, steps: int) -> dict[str, Any]:
    if side == MIEN:
        return mien(model, steps)
    return notebook(model, steps, workers=2 if side == WORKERS else 0)


def measure(side: str, model: str, steps: int, settings: dict[str, str], times: int = 1) -> list[dict[str, Any]]:
    """What `times` processes, all at once, say of one side."""
    command = [sys.executable, __file__, "--child", side, "--models", model, "--steps", str(steps)]
    environment = {**os.environ, **settings}
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(times)
    ]
    said = [process.communicate() for process in started]
    for process, (_, errors) in zip(started, said, strict=True):
        if process.returncode:
            sys.exit(f"{side}, {model}: {errors}")
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


def compared(model: str, steps: int, repeats: int) -> dict[str, Any]:
    """Both ways of training one model, and the parts of mien's step."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(repeats):
        for side in SIDES:
            runs[side] += measure(side, model, steps, {})
    rates = {side: summary([run["images_per_second"] for run in each]) for side, each in runs.items()}
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


def shared(model: str, steps: int, repeats: int) -> dict[str, Any]:
    """Images a second of one process alone, and of two at once added up, under each way to wait."""
    rates: dict[str, dict[str, list[float]]] = {name: {"alone": [], "two at once": []} for name in POLICIES}
    for _ in range(repeats):
        for name, settings in POLICIES.items():
            for times, rate in zip((1, 2), rates[name].values(), strict=True):
                rate.append(sum(run["images_per_second"] for run in measure(MIEN, model, steps, settings, times)))
    return {name: {how: summary(rate) for how, rate in each.items()} for name, each in rates.items()}


def machine() -> dict[str, Any]:
    """Return the machine, versions and load average."""
    from mien.train.fabric import machine as facts
    from mien.train.fabric import make_fabric

    return {**facts(make_fabric("cpu")), "load_average": [round(n, 2) for n in os.getloadavg()]}


def show(model: str, found: dict[str, Any]) -> None:
    for side, rate in found["images_per_second"].items():
        low, high = rate["quartiles"]
        print(f"{model:18} {side:20} {rate['median']:8.1f} images/s  ({low:.1f} to {high:.1f})")
    print(f"{model:18} {found['times_faster_than_notebook']:.2f}x the notebook's loop")
    for part, ms in found["milliseconds_per_step"].items():
        print(f"{model:18} {part:20} {ms['median']:8.1f} ms a step")
    print(f"{model:18} all but forward and backward: {found['percent_not_forward_or_backward']['median']:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["seed_cnn_quarter", "seed_cnn"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--sharing", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "training.json")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.child:
        print(json.dumps(child(wanted.child, wanted.models[0], wanted.steps)))
        return
    record: dict[str, Any] = {
        "question": "images a second that the seed network trains at",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "repeats": wanted.repeats,
        "steps": wanted.steps,
        "batch": BATCH,
        "machine": machine(),
        "models": {},
    }
    for model in wanted.models:
        record["models"][model] = compared(model, wanted.steps, wanted.repeats)
        show(model, record["models"][model])
    if wanted.sharing:
        record["sharing"] = {wanted.models[0]: shared(wanted.models[0], 2 * wanted.steps, wanted.repeats)}
        for name, rates in record["sharing"][wanted.models[0]].items():
            for how, rate in rates.items():
                print(f"{name:18} {how:12} {rate['median']:8.1f} images/s together")
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    wanted.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
