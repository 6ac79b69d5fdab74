"""The training loop, to be read from top to bottom.

After each epoch the training, validation and, as the student report did, the test figures are written down. Nothing is
chosen by the test split: a run is judged by its last epoch, or, where the recipe says so, by the one that validation
chose.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.data.dataset import TEST, TRAIN, VAL, Dataset
from mien.errors import MissingSplit, RunError
from mien.evaluation.selection import LAST
from mien.evaluation.statistics.metrics import accuracy, confusion_matrix, log_loss, macro_f1
from mien.threads import threads
from mien.train.batches import NET, PURPOSES, Faces, normalize, steps_per_epoch, stream, training_batches
from mien.train.best_epoch import is_finished
from mien.train.checks import check_finite, check_loss, explain_out_of_memory, memory_advice
from mien.train.distillation import Teachers, load_teachers, teacher_identities
from mien.train.fabric import available, fabric_precision, is_main_process, machine, make_fabric
from mien.train.imbalance import class_frequencies
from mien.train.label_noise.filtering import filter_training_faces
from mien.train.loss import Loss
from mien.train.models import build_model
from mien.train.optim.ema import ModelEMA
from mien.train.optim.optimizers import OPTIMIZERS
from mien.train.optim.schedule import learning_rate
from mien.train.progress import Progress
from mien.train.recipe import Recipe
from mien.train.runs.checkpoint import after_epoch, restore, save_checkpoint
from mien.train.runs.folder import Metrics, Run, run_identity
from mien.train.runs.weights import find_initial_weights
from mien.train.targets.schemes import SCHEMES, TrainingTargets, training_targets

EVALUATION_BATCH = 512
# How many training faces are read unaugmented each epoch, to set beside the validation accuracy: a sixteenth of
# FER2013's, so that looking costs a fiftieth of the epoch, and never more than validation has.
CLEAN_SAMPLE = 1795


def train(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    seed: int = 0,
    init: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    progress: bool = False,
) -> Run:
    """Train `recipe` on the training split of `dataset` and keep the run in the folder `out`.

    Stopped at any moment, by any means, a run loses the epoch at hand and no more.

    Args:
        seed: decides the first weights, the order of the images and their augmentation.
        init: weights to start from (fine-tuning): the folder of a run or of an exported model, a safetensors file of
            mien's or the name of a shipped model. Where the labels differ, those that it did not know get fresh rows in
            the head. A run that has a checkpoint goes on without it.
        device: `auto`, `cpu`, `cuda` or `mps`.
        resume: go on after the last finished epoch of the run in `out`, or begin where there is none. With precision
            `auto`, a run that is resumed on another machine continues in the best precision of that machine.
        progress: show a live bar on stderr.

    Raises:
        MissingSplit: the data has no training split, or no validation to select by.
        DataError: the recipe learns from FER+ votes, and the data has none.
        RunError: `out` holds a run already and `resume` is false, or holds a run of something else, or another process
            is at it, or it cannot be written; the training faces have no labels; the recipe's doubts are about others;
            `init` is nothing to start from; the loss is no number any more; memory is short. The epochs that were done
            are kept.
    """
    going = epochs(recipe, dataset, out, seed=seed, init=init, device=device, resume=resume, progress=progress)
    for _ in going:
        pass
    return Run(Path(out))


def epochs(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    seed: int = 0,
    init: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    progress: bool = False,
) -> Generator[Metrics]:
    """As `train`, an epoch at a time: its figures, once its checkpoint is kept.

    Nothing is done before the first is asked for. Whoever has seen enough closes the generator; the run is then one
    that was stopped there.
    """
    learned = prepare_targets(recipe, dataset, seed)
    data, device = learned.dataset, available(device)
    run, start = Run(Path(out)), find_initial_weights(recipe, init) if init is not None else None
    recorded_init = start.identity if start else run.recorded_init if resume else None
    teachers = load_teachers(recipe, data.labels.names)
    identity = run_identity(recipe, seed, learned, recorded_init, teacher_identities(teachers))
    run.check_same(identity, resume)
    if run.finished:
        return
    with explain_out_of_memory(memory_advice(recipe, run.folder)), ExitStack() as callers:
        if is_main_process():  # of several processes, this one looks after the folder, and judges
            callers.enter_context(run.alone())
        kept = run.find_resume_checkpoint(identity)
        # `auto` follows the machine at hand: what was trained in bf16 goes on in float32 where bf16 would be emulated.
        fabric = make_fabric(device, recipe.precision)
        precision = fabric_precision(fabric)
        callers.enter_context(torch.random.fork_rng(_own(fabric)))  # their random numbers stay as they are
        torch.manual_seed(seed)
        bare = build_model(recipe.model, len(data.labels))
        if start:
            start.load_into(bare, data.labels.names)
        plain = OPTIMIZERS[recipe.optimizer](bare, recipe.lr, recipe.momentum, recipe.weight_decay)
        model, optimizer = fabric.setup(bare, plain)
        average = ModelEMA(bare, recipe.ema) if recipe.ema else None
        judged = average.model if average else bare
        faces = {s: Faces.of(data[s], fabric.device) for s in (VAL, TEST) if s in data and data[s].labelled}
        target_NK = learned.target_NK.to(fabric.device)
        faces[TRAIN] = Faces.of(data[TRAIN], fabric.device, target_NK)
        clean = Faces.of(learned.clean, fabric.device).sample(min(CLEAN_SAMPLE, len(faces.get(VAL, faces[TRAIN]))))
        loss_of, taught = Loss.of(recipe, target_NK), Teachers.of(teachers, recipe, fabric)
        steps = steps_per_epoch(len(faces[TRAIN]), recipe)
        warm, whole = round(recipe.warmup * steps), recipe.epochs * steps
        if kept:
            restore(kept, bare, plain, average)
        history = list(kept.state["history"]) if kept else []
        if fabric.is_global_zero:
            run.begin(identity, machine(fabric), kept)
        part, parts = fabric.global_rank, fabric.world_size

        shown = progress and fabric.is_global_zero
        with Progress(recipe, seed, len(faces[TRAIN]), run.folder, shown=shown) as bar:
            if not is_finished(history, recipe.epochs, recipe.select, recipe.patience):
                bar.say(_precision_change(history, precision))
            while not is_finished(history, recipe.epochs, recipe.select, recipe.patience):
                epoch, step = len(history) + 1, len(history) * steps
                torch.manual_seed(stream(seed, epoch, NET + PURPOSES * part, torch.device("cpu")).initial_seed())
                model.train()
                began, loss_sum, right = time.perf_counter(), _zero(fabric), _zero(fabric)
                bar.start(epoch)
                for batch in training_batches(faces[TRAIN], recipe, seed, epoch, part=part, parts=parts):
                    log_p_BK = model(batch.x_BCHW)
                    loss = loss_of(log_p_BK, taught(batch))
                    fabric.backward(loss * batch.share)
                    if batch.last:
                        for group in plain.param_groups:
                            group["lr"] = learning_rate(
                                recipe.schedule, recipe.lr, step, warmup_steps=warm, total_steps=whole
                            )
                        optimizer.step()
                        optimizer.zero_grad()
                        if average:
                            average.update(step)
                        step += 1
                        check_loss(loss_sum, step, epoch, recipe, run.folder)
                    if batch.share:
                        loss_sum += loss.detach() * len(batch.target_BK)
                        right += (log_p_BK.argmax(1) == batch.target_BK.argmax(1)).sum()
                        bar.step(len(batch.target_BK), loss_sum, right)
                loss_sum, right = fabric.all_reduce((loss_sum, right), reduce_op="sum")
                seconds = time.perf_counter() - began
                metrics: dict[str, float] = {
                    "epoch": epoch,
                    "train_loss": loss_sum.item() / len(faces[TRAIN]),
                    "train_accuracy": right.item() / len(faces[TRAIN]),
                    "lr": plain.param_groups[0]["lr"],
                    "seconds": seconds,
                    "images_per_second": len(faces[TRAIN]) / seconds,
                }
                told = {}
                if fabric.is_global_zero:
                    metrics |= _figures("clean", probabilities(fabric, judged, clean, recipe), clean)
                    told = {s: probabilities(fabric, judged, faces[s], recipe) for s in (VAL, TEST) if s in faces}
                    for split, p_NK in told.items():
                        metrics |= _figures(split, p_NK, faces[split])
                metrics = fabric.broadcast(metrics)
                check_finite(metrics, epoch, recipe, run.folder)
                history.append({**metrics, "precision": precision})
                if fabric.is_global_zero:
                    state = {
                        **identity,
                        "class_frequencies": class_frequencies(target_NK).tolist(),
                        "history": history,
                    }
                    kept = after_epoch(kept, bare, plain, average, told, state)
                    save_checkpoint(run.checkpoint_file, kept)
                    run.write_derived_files(kept)
                    bar.finish(metrics)
                yield history[-1]


def probabilities(fabric: Fabric, model: nn.Module, faces: Faces, recipe: Recipe) -> NDArray[np.float32]:
    """Softmax probabilities [N,K] of each face, unaugmented, in evaluation mode.

    `model` is on the device and not set up by `fabric`, so that one process of several can ask it alone.
    """
    model.eval()
    with torch.inference_mode(), fabric.autocast():
        parts = [
            model(normalize(x.float(), recipe)).float().exp() for x in torch.split(faces.pixels_NCHW, EVALUATION_BATCH)
        ]
    return torch.cat(parts).cpu().numpy()


def _figures(name: str, p_NK: NDArray[np.float32], faces: Faces) -> dict[str, float]:
    label_N, predicted_N = faces.labels_N.cpu().numpy(), p_NK.argmax(1)
    return {
        f"{name}_loss": log_loss(p_NK, label_N),
        f"{name}_accuracy": accuracy(label_N, predicted_N),
        f"{name}_macro_f1": macro_f1(confusion_matrix(label_N, predicted_N, p_NK.shape[1])),
    }


def _precision_change(history: Sequence[Metrics], precision: str) -> str:
    """Return the sentence for a run that is resumed in another precision than its last epoch, else an empty text."""
    before = history[-1].get("precision", precision) if history else precision
    if before == precision:
        return ""
    last = len(history)
    first = next((e for e in range(last, 0, -1) if history[e - 1].get("precision") != before), 0) + 1
    epochs = f"epochs {first}-{last} were" if first < last else f"epoch {last} was"
    has = "has" if precision == "bf16" else "has no"
    return f"this machine {has} bf16 arithmetic: continuing in {precision} ({epochs} trained in {before})"


def prepare_targets(recipe: Recipe, dataset: Dataset, seed: int) -> TrainingTargets:
    """The lesson of `recipe`; `MienError` for what would come out only after hours, or in the middle of them."""
    threads()
    if SCHEMES[recipe.scheme].own_labels and not dataset[TRAIN].labelled:
        raise RunError(f"the training faces of {dataset.source} have no labels, so there is nothing to learn from")
    learned = filter_training_faces(
        training_targets(dataset, recipe.scheme, recipe.label_set, recipe.mix), recipe, dataset
    )
    if recipe.select != LAST and not (VAL in learned.dataset and learned.dataset[VAL].labelled):
        raise MissingSplit(
            f"{dataset.source} has no labelled split '{VAL}' to select by: --set select={LAST} --set patience=0"
        )
    if not 0 <= seed < 2**31:
        raise RunError(f"a seed is a whole number from 0 to {2**31 - 1:,}, got {seed}")
    return learned


def _own(fabric: Fabric) -> list[int]:
    """The CUDA device whose random numbers a run uses."""
    return [torch.cuda.current_device()] if fabric.device.type == "cuda" else []


def _zero(fabric: Fabric) -> Tensor:
    """A sum that stays on the device, so that a step waits for nothing."""
    return torch.zeros((), device=fabric.device, dtype=torch.float64 if fabric.device.type != "mps" else torch.float32)
