"""`Recipe`: everything that determines what a training run learns."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from mien.errors import MienError, did_you_mean
from mien.evaluation.selection import LAST
from mien.labels import LABEL_SETS
from mien.train.augment import Augmentation
from mien.train.best_epoch import MEASURES
from mien.train.models import MODELS
from mien.train.optim.optimizers import OPTIMIZERS
from mien.train.optim.schedule import SCHEDULES
from mien.train.targets.schemes import AUTO, SCHEMES


@dataclass(frozen=True)
class Recipe:
    """What a training run learns: model, augmentation, optimizer, targets and preprocessing.

    Attributes:
        name: Name of the arm in reports and folders.
        model: Architecture, a key of `MODELS`.
        augment: Augmentations, in the order in which they are applied to the training images.
        batch: Images per forward pass; the last batch of an epoch may be smaller.
        accumulate: Batches whose gradients are averaged for one optimizer step, of `batch` times `accumulate` images.
        epochs: Passes over the training split, shuffled each time.
        optimizer: `sgd`, `nesterov`, `adam`, `adamw` or `muon` (`optimizers`).
        lr: Learning rate; the highest one if the schedule changes it.
        momentum: Momentum of the optimizer.
        weight_decay: Weight decay of the optimizer.
        schedule: Learning rate after the warm-up: `constant`, `cosine` or `triangular` (`schedule.learning_rate`).
        warmup: Epochs, or a fraction of one, over which the learning rate rises from near 0 to `lr`.
        scheme: Label scheme of the training faces: `fer2013` for the labels of the data set, whatever data set it is;
            `majority`, `multi_label`, `drawing` or `distribution` for FER+ votes in the four ways of Barsoum et al.
            2016; `mixed` for both; `expected` for the labels and the votes expected from them (`schemes.SCHEMES`).
        label_set: Classes of the model: `fer7`, `ferplus8`, or `auto`, which is the label set of the data for
            `fer2013`, `mixed` and `expected` and FER+'s for the other schemes. Scheme and label set determine the
            labels of the evaluation (`schemes.evaluation_dataset`).
        mix: Weight of the votes in each target of `mixed` and `expected`, from 0 to 1; the rest is the label.
        teacher: Trained model with the same classes, or several joined by `+`: runs, files or names of shipped models
            (`distillation`); empty for none.
        teacher_weight: Weight of the teachers in each target, from 0 to 1; the rest is from `scheme`.
        views: Number of epochs after which the same shuffled and augmented images are repeated, so that teachers, which
            are slower than the student, predict each of them once (Faghri et al. 2023, arXiv 2303.08983); 0 for never.
        drop_duplicates: Whether to leave out training faces that are near-duplicates of faces in other splits: equal
            bytes, or the same image cropped, resized, compressed, mirrored or with other brightness (`duplicates`).
        label_noise: File with out-of-fold predictions of the training faces (`out_of_fold`); empty for none.
        drop_noisy: Share of the training faces to leave out, those with the least plausible labels by `label_noise`.
        soften_noisy: Share of the training faces, next in that order, whose target becomes the out-of-fold prediction.
        label_smoothing: Share of each target that is spread evenly over all classes (Szegedy et al. 2016, section 7,
            arXiv 1512.00567).
        class_weights: From 0 (every face has the same weight in the loss) to 1 (every class has, each face weighted by
            the inverse of its class's share); 0.5 weights by the inverse square root.
        logit_adjustment: Strength tau of the logit adjustment (Menon et al. 2021, arXiv 2007.07314): 0 for none, 1 for
            a model that assumes equally frequent classes, 0.5 for one that assumes the square roots of the training
            frequencies.
        balanced_sampling: From 0 (every face once per epoch) to 1 (every class equally often); 0.5 samples in
            proportion to the square roots of the class frequencies.
        ema: Decay of the exponential moving average of the weights per step, such as 0.999; the average is then
            evaluated and kept; 0 for none (`ema`).
        select: Epoch whose weights are evaluated: `last`, or the best by `val_accuracy`, `val_macro_f1` or `val_loss`.
        patience: Epochs without a better `select` after which training stops early; 0 for never.
        mean: Mean of the pixels: the input of the model is (x/255 - mean)/std.
        std: Standard deviation of the pixels.
        precision: `bf16`, `float32`, or `auto` for bf16 if the machine computes it in hardware, else float32; a run
            that is resumed on another machine then uses the precision of that machine.

    Raises:
        MienError: A field is outside its range; the message names the field and its range.

    Example:
        >>> from dataclasses import replace
        >>> from mien.train import Recipe
        >>> recipe = Recipe("mine", model="mien_nano", epochs=30, optimizer="adamw", lr=0.001)
        >>> replace(recipe, schedule="cosine", warmup=1.0).to_dict()["schedule"]
        'cosine'
    """

    name: str
    model: str = "seed_cnn"
    augment: tuple[Augmentation, ...] = ()
    batch: int = 64
    accumulate: int = 1
    epochs: int = 9
    optimizer: str = "sgd"
    lr: float = 0.003
    momentum: float = 0.9
    weight_decay: float = 0.0009
    schedule: str = "constant"
    warmup: float = 0.0
    scheme: str = "fer2013"
    label_set: str = AUTO
    mix: float = 0.5
    teacher: str = ""
    teacher_weight: float = 0.5
    views: int = 0
    drop_duplicates: bool = False
    label_noise: str = ""
    drop_noisy: float = 0.0
    soften_noisy: float = 0.0
    label_smoothing: float = 0.0
    class_weights: float = 0.0
    logit_adjustment: float = 0.0
    balanced_sampling: float = 0.0
    ema: float = 0.0
    select: str = LAST
    patience: int = 0
    mean: float = 0.5
    std: float = 0.5
    precision: str = "auto"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            raise MienError(
                f"invalid recipe name '{self.name}': it names a folder, so use letters, digits, '_', '-' and '.'"
            )
        for field, (kinds, description) in TYPES.items():
            value = getattr(self, field)
            if not isinstance(value, kinds) or isinstance(value, bool) != (kinds is bool):
                raise self._error(field, f"must be {description}")
            if isinstance(value, float) and not math.isfinite(value):
                raise self._error(field, f"must be {description}")
        if not (isinstance(self.augment, tuple) and all(hasattr(a, "to_dict") for a in self.augment)):
            raise self._error("augment", "must be a tuple of augmentations")
        for field in ("batch", "accumulate", "epochs", "lr", "std"):
            if not 0 < getattr(self, field) < LIMIT:
                raise self._error(field, f"must be above 0 and below {LIMIT:,}")
        for field in ("momentum", "label_smoothing", "ema", "drop_noisy", "soften_noisy"):
            if not 0 <= getattr(self, field) < 1:
                raise self._error(field, "must be 0 or more and below 1")
        for field in ("class_weights", "balanced_sampling"):
            if not 0 <= getattr(self, field) <= 1:
                raise self._error(field, "must be from 0 (off) to 1 (full)")
        if not 0 <= self.mix <= 1:
            raise self._error("mix", "must be from 0 (labels only) to 1 (votes only)")
        if not 0 <= self.teacher_weight <= 1:
            raise self._error("teacher_weight", "must be from 0 (labels only) to 1 (teachers only)")
        for field in ("weight_decay", "views", "patience", "warmup", "logit_adjustment"):
            if not 0 <= getattr(self, field) < LIMIT:
                raise self._error(field, f"must be 0 or more and below {LIMIT:,}")
        for field, choices in CHOICES.items():
            if (value := getattr(self, field)) not in choices:
                error = self._error(field, f"must be one of {', '.join(choices)}")
                raise MienError(f"{error}{did_you_mean(value, choices)}")
        if (self.drop_noisy or self.soften_noisy) and not self.label_noise:
            raise self._error("label_noise", "must be set to a file with out-of-fold predictions")
        if self.drop_noisy + self.soften_noisy > 1:
            raise self._error("soften_noisy", f"plus drop_noisy ({self.drop_noisy}) must be at most 1")
        if self.warmup >= self.epochs:
            raise self._error("warmup", f"must be shorter than the training of {self.epochs} epochs")
        if self.optimizer == "nesterov" and not self.momentum:
            raise self._error("momentum", "must be above 0 with optimizer nesterov")
        if self.patience and self.select == LAST:
            raise self._error("patience", f"needs a metric to watch; set select to one of {', '.join(MEASURES)}")

    def _error(self, field: str, requirement: str) -> MienError:
        value = getattr(self, field)
        text = value if isinstance(value, int | float) else repr(value)
        return MienError(f"recipe '{self.name}': {field} {requirement}, got {text}")

    def to_dict(self) -> dict[str, Any]:
        """Return every field as JSON types, as in `recipe.json`."""
        return {**asdict(self), "augment": [a.to_dict() for a in self.augment]}


PRECISIONS = ("auto", "bf16", "float32")
# Field -> its types and their description; only types that JSON preserves.
TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(
        (
            "model", "optimizer", "schedule", "scheme", "label_set", "teacher", "label_noise", "select", "precision",
        ),
        (str, "text"),
    ),
    "drop_duplicates": (bool, "true or false"),
    **dict.fromkeys(("batch", "accumulate", "epochs", "views", "patience"), (int, "an integer")),
    **dict.fromkeys(
        (
            "lr", "momentum", "weight_decay", "warmup", "mix", "teacher_weight", "drop_noisy", "soften_noisy",
            "label_smoothing", "class_weights", "logit_adjustment", "balanced_sampling", "ema", "mean", "std",
        ),
        ((int, float), "a number"),
    ),
}  # fmt: skip
CHOICES: dict[str, Collection[str]] = {
    "model": MODELS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "scheme": SCHEMES,
    "label_set": (AUTO, *LABEL_SETS),
    "select": (LAST, *MEASURES),
    "precision": PRECISIONS,
}
LIMIT = 1_000_000  # no field is larger than this except by mistake
