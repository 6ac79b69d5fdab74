"""The training loop, to be read from top to bottom.

After each epoch the metrics on training, validation and, as in the student report, test faces are recorded. Nothing is
selected on the test split: a run is evaluated at its last epoch or, if the recipe says so, at the epoch that is best on
validation.
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
from mien.train.batches import MODEL, PURPOSES, Faces, epoch_rng, normalize, steps_per_epoch, training_batches
from mien.train.best_epoch import is_finished
from mien.train.checks import check_finite, check_loss, explain_out_of_memory, memory_advice
from mien.train.distillation import Teachers, load_teachers, teacher_identities
from mien.train.fabric import device_name, fabric_precision, is_main_process, machine, make_fabric, resolve_device
from mien.train.imbalance import class_frequencies
from mien.train.label_noise.filtering import filter_training_faces
from mien.train.loss import Loss
from mien.train.models import build_model
from mien.train.optim.ema import ModelEMA
from mien.train.optim.optimizers import OPTIMIZERS
from mien.train.optim.schedule import learning_rate
from mien.train.progress import Progress
from mien.train.recipe import Recipe
from mien.train.runs.checkpoint import next_checkpoint, restore, save_checkpoint
from mien.train.runs.folder import Metrics, Run
from mien.train.runs.identity import run_identity
from mien.train.runs.weights import find_initial_weights
from mien.train.targets.schemes import SCHEMES, TrainingTargets, training_targets

EVALUATION_BATCH = 512
# Number of training faces evaluated without augmentation after each epoch, to compare with validation: a sixteenth of
# FER2013's, which takes about a fiftieth of the epoch; at most as many as validation has.
TRAIN_EVAL_SAMPLE = 1795


def train(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    seed: int = 0,
    init: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    progress: bool | str = False,
) -> Run:
    """Train a model with a recipe on the training split of a data set.

    If the process is stopped or killed at any moment, only the current epoch is lost.

    Args:
        recipe: What to train and how.
        dataset: Data set with a training split; metrics are recorded on its validation and test splits too.
        out: Folder of the run.
        seed: Random seed of the initial weights, of the order of the images and of their augmentation.
        init: Weights to start from (fine-tuning): folder of a run or of an exported model, path of a safetensors file,
            or name of a shipped model. If the labels differ, classes that these weights do not have get new rows in the
            head. A run that has a checkpoint is resumed without it.
        device: `auto`, `cpu`, `cuda` or `mps`.
        resume: Whether to continue after the last finished epoch of the run in `out`, if there is one. With precision
            `auto`, a run that is resumed on another machine continues in the best precision of that machine.
        progress: Whether to show progress on stderr; a text is the position of the run among several.

    Returns:
        The finished run.

    Raises:
        MissingSplit: The data has no training split, or no validation split to select the epoch by.
        DataError: The recipe learns from FER+ votes, and the data has none.
        RunError: `out` contains a run and `resume` is false, or a run with other settings; another process is training
            it, or it cannot be written; the training faces have no labels; `label_noise` is about other faces; the
            weights `init` are not found; the loss is NaN; or memory is exhausted. Finished epochs are kept.

    Example:
        >>> import tempfile
        >>> from mien.data import sketch
        >>> from mien.train import apply_overrides, find_recipe, train
        >>> recipe = apply_overrides(find_recipe("seed"), ["model=mien_nano", "epochs=2"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = train(recipe, sketch(train=16, val=8, test=8), folder, device="cpu")
        ...     [epoch["epoch"] for epoch in run.history]
        [1, 2]
    """
    for _ in train_epochs(recipe, dataset, out, seed=seed, init=init, device=device, resume=resume, progress=progress):
        pass
    return Run(Path(out))


def train_epochs(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    seed: int = 0,
    init: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    progress: bool | str = False,
) -> Generator[Metrics]:
    """Train as `train`, and yield the metrics of each epoch after its checkpoint is saved.

    Nothing happens before the first epoch is requested. If the generator is closed, the run can be resumed there.
    """
    targets = prepare_targets(recipe, dataset, seed)
    data, device = targets.dataset, resolve_device(device)
    run, initial = Run(Path(out)), find_initial_weights(recipe, init) if init is not None else None
    init_identity = initial.identity if initial else run.recorded_init if resume else None
    teachers = load_teachers(recipe, data.labels.names)
    identity = run_identity(recipe, seed, targets, init_identity, teacher_identities(teachers))
    run.check_identity(identity, resume)
    if run.finished:
        return
    with explain_out_of_memory(memory_advice(recipe, run.folder)), ExitStack() as stack:
        if is_main_process():  # of several processes, the first evaluates and writes the folder
            stack.enter_context(run.locked())
        checkpoint = run.find_resume_checkpoint(identity)
        # `auto` follows the current machine: a run in bf16 continues in float32 where bf16 would be emulated.
        fabric = make_fabric(device, recipe.precision)
        precision = fabric_precision(fabric)
        stack.enter_context(torch.random.fork_rng(_cuda_devices(fabric)))  # the caller's random numbers do not change
        torch.manual_seed(seed)
        bare = build_model(recipe.model, len(data.labels))
        if initial:
            initial.load_into(bare, data.labels.names)
        plain = OPTIMIZERS[recipe.optimizer](bare, recipe.lr, recipe.momentum, recipe.weight_decay)
        model, optimizer = fabric.setup(bare, plain)
        average = ModelEMA(bare, recipe.ema) if recipe.ema else None
        evaluated = average.model if average else bare
        faces = {s: Faces.from_split(data[s], fabric.device) for s in (VAL, TEST) if s in data and data[s].labelled}
        target_NK = targets.target_NK.to(fabric.device)
        faces[TRAIN] = Faces.from_split(data[TRAIN], fabric.device, target_NK)
        train_eval_size = min(TRAIN_EVAL_SAMPLE, len(faces.get(VAL, faces[TRAIN])))
        train_eval = Faces.from_split(targets.train_eval, fabric.device).sample(train_eval_size)
        loss_of = Loss.from_recipe(recipe, target_NK)
        with_teachers = Teachers.from_weights(teachers, recipe, fabric)
        steps = steps_per_epoch(len(faces[TRAIN]), recipe)
        warmup_steps, total_steps = round(recipe.warmup * steps), recipe.epochs * steps
        if checkpoint:
            restore(checkpoint, bare, plain, average)
        history = list(checkpoint.state["history"]) if checkpoint else []
        if fabric.is_global_zero:
            run.write_records(identity, machine(fabric), checkpoint)
        part, parts = fabric.global_rank, fabric.world_size

        shown = bool(progress) and fabric.is_global_zero
        position = progress if isinstance(progress, str) else ""
        with Progress(recipe, seed, len(faces[TRAIN]), run.folder, shown=shown, position=position, parts=parts) as bar:
            if not is_finished(history, recipe.epochs, recipe.select, recipe.patience):
                bar.announce(device_name(fabric), precision, len(history))
                if resume and checkpoint is None and not position:
                    bar.print(f"nothing to resume in {run.folder}; training starts at epoch 1")
                bar.print(_precision_change(history, precision))
            while not is_finished(history, recipe.epochs, recipe.select, recipe.patience):
                epoch, step = len(history) + 1, len(history) * steps
                torch.manual_seed(epoch_rng(seed, epoch, MODEL + PURPOSES * part, torch.device("cpu")).initial_seed())
                model.train()
                started, loss_sum, correct = time.perf_counter(), _zero(fabric), _zero(fabric)
                bar.start(epoch)
                for batch in training_batches(faces[TRAIN], recipe, seed, epoch, part=part, parts=parts):
                    log_p_BK = model(batch.x_BCHW)
                    loss = loss_of(log_p_BK, with_teachers(batch))
                    fabric.backward(loss * batch.share)
                    if batch.last:
                        for group in plain.param_groups:
                            group["lr"] = learning_rate(
                                recipe.schedule, recipe.lr, step, warmup_steps=warmup_steps, total_steps=total_steps
                            )
                        optimizer.step()
                        optimizer.zero_grad()
                        if average:
                            average.update(step)
                        step += 1
                        check_loss(loss_sum, step, epoch, recipe, run.folder)
                    if batch.share:
                        loss_sum += loss.detach() * len(batch.target_BK)
                        correct += (log_p_BK.argmax(1) == batch.target_BK.argmax(1)).sum()
                        bar.step(len(batch.target_BK), loss_sum, correct)
                loss_sum, correct = fabric.all_reduce((loss_sum, correct), reduce_op="sum")
                seconds = time.perf_counter() - started
                metrics: dict[str, float] = {
                    "epoch": epoch,
                    "train_loss": loss_sum.item() / len(faces[TRAIN]),
                    "train_accuracy": correct.item() / len(faces[TRAIN]),
                    "lr": plain.param_groups[0]["lr"],
                    "seconds": seconds,
                    "images_per_second": len(faces[TRAIN]) / seconds,
                }
                probs: dict[str, NDArray[np.float32]] = {}
                if fabric.is_global_zero:
                    metrics |= _evaluate("train_eval", probabilities(fabric, evaluated, train_eval, recipe), train_eval)
                    probs = {s: probabilities(fabric, evaluated, faces[s], recipe) for s in (VAL, TEST) if s in faces}
                    for split, probs_NK in probs.items():
                        metrics |= _evaluate(split, probs_NK, faces[split])
                metrics = fabric.broadcast(metrics)
                check_finite(metrics, epoch, recipe, run.folder)
                history.append({**metrics, "precision": precision})
                if fabric.is_global_zero:
                    state = {
                        **identity,
                        "class_frequencies": class_frequencies(target_NK).tolist(),
                        "history": history,
                    }
                    checkpoint = next_checkpoint(checkpoint, bare, plain, average, probs, state)
                    save_checkpoint(run.checkpoint_file, checkpoint)
                    run.write_derived_files(checkpoint)
                    bar.finish(metrics)
                yield history[-1]


def probabilities(fabric: Fabric, model: nn.Module, faces: Faces, recipe: Recipe) -> NDArray[np.float32]:
    """Return the softmax probabilities of each face without augmentation, float32 [N,K].

    Args:
        fabric: Fabric of the run, for its precision.
        model: Model on the device, not set up by `fabric`, so that one of several processes can run it.
        faces: Faces on the device.
        recipe: Recipe with the mean and standard deviation of the pixels.
    """
    model.eval()
    with torch.inference_mode(), fabric.autocast():
        parts = [
            model(normalize(x.float(), recipe)).float().exp() for x in torch.split(faces.pixels_NCHW, EVALUATION_BATCH)
        ]
    return torch.cat(parts).cpu().numpy()


def _evaluate(name: str, probs_NK: NDArray[np.float32], faces: Faces) -> dict[str, float]:
    labels_N, predicted_N = faces.labels_N.cpu().numpy(), probs_NK.argmax(1)
    return {
        f"{name}_loss": log_loss(probs_NK, labels_N),
        f"{name}_accuracy": accuracy(labels_N, predicted_N),
        f"{name}_macro_f1": macro_f1(confusion_matrix(labels_N, predicted_N, probs_NK.shape[1])),
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
    """Return the training targets of a recipe, and check all that would otherwise fail during or after training.

    Raises:
        MissingSplit: The data has no training split, or no validation split to select the epoch by.
        DataError: The recipe learns from FER+ votes, and the data has none.
        RunError: The training faces have no labels, or the seed is outside its range.
    """
    threads()
    if SCHEMES[recipe.scheme].own_labels and not dataset[TRAIN].labelled:
        raise RunError(
            f"the training faces of {dataset.source} have no labels; "
            "label them, or use a scheme that learns from FER+ votes"
        )
    targets = training_targets(dataset, recipe.scheme, recipe.label_set, recipe.mix)
    targets = filter_training_faces(targets, recipe, dataset)
    if recipe.select != LAST and not (VAL in targets.dataset and targets.dataset[VAL].labelled):
        raise MissingSplit(
            f"{dataset.source} has no labeled split '{VAL}' to select the epoch by; "
            f"use --set select={LAST} --set patience=0"
        )
    if not 0 <= seed < 2**31:
        raise RunError(f"the random seed must be an integer from 0 to {2**31 - 1:,}, got {seed}")
    return targets


def _cuda_devices(fabric: Fabric) -> list[int]:
    """Return the CUDA device whose random numbers the run uses, if any."""
    return [torch.cuda.current_device()] if fabric.device.type == "cuda" else []


def _zero(fabric: Fabric) -> Tensor:
    """Return a zero on the device, for sums that are not read after every step."""
    return torch.zeros((), device=fabric.device, dtype=torch.float64 if fabric.device.type != "mps" else torch.float32)
