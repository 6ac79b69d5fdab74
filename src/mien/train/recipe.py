"""`Recipe`: everything that determines what a training run learns."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from mien.errors import MienError
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
    """What is trained, on which pixels, for how long.

    Attributes:
        name: the arm's name in reports and folders.
        model: a name in `MODELS`.
        augment: augmentations in the order in which they are applied to the training images.
        batch: images that go through the model at once; the last batch of an epoch may be smaller.
        accumulate: batches whose gradients are averaged into one step; `batch` times `accumulate` images a step.
        epochs: passes over the training split, reshuffled each time.
        optimizer: `sgd`, `nesterov`, `adam`, `adamw` or `muon` (`optimizers`).
        lr, momentum, weight_decay: what the optimizer goes by; `lr` is the highest rate where it changes.
        schedule: `constant`, `cosine` or `triangular`: how the rate goes after the warm-up (`schedule.learning_rate`).
        warmup: epochs, or a part of one, over which the rate rises from near 0 to `lr`.
        scheme: what labels the training faces: `fer2013`, the data's own labels, whatever the data set; `majority`,
            `multi_label`, `drawing` or `distribution`, FER+'s votes in the four ways of Barsoum et al. 2016; `mixed`,
            both; `expected`, the labels and what the votes make one expect of them (`schemes.SCHEMES`).
        label_set: the classes that the model tells apart: `fer7`, `ferplus8`, or `auto`, the data's own for `fer2013`,
            `mixed` and `expected` and FER+'s for the rest. What a model is judged by follows from both fields
            (`schemes.evaluation_dataset`).
        mix: of `mixed` and `expected`, the votes' share in each target, from 0 to 1; the label has the rest.
        teacher: a trained model that tells the same classes apart, or several joined by `+`: runs, files or shipped
            names (`teacher`); empty for none.
        teach: the teachers' share in each target, from 0 to 1; `scheme` has the rest.
        views: after so many epochs their shuffled and augmented images come round again, so that teachers, who cost
            more than their pupil, are asked once for each (Faghri et al. 2023, arXiv 2303.08983); 0: never.
        drop_duplicates: leave out training faces that are images of another split, byte for byte or cut, sized, stored,
            lit or mirrored anew (`data.duplicates`).
        doubts: the file with what models say of faces that they did not learn from (`noise.out_of_fold`); empty for
            none.
        drop_noisy: the share of the training faces to leave out, those whose labels are least believable by
            `label_noise`.
        soften_noisy: the share, next in that order, whose target becomes what `label_noise` has for them.
        label_smoothing: the share of each target that is spread evenly over all classes (Szegedy et al. 2016, section
            7, arXiv 1512.00567).
        class_weights: from 0 (every face counts the same in the loss) to 1 (every class does, each face weighted by
            the inverse of its class's share); 0.5 weights by the inverse square root.
        logit_adjustment: strength tau of the logit adjustment (Menon et al. 2021, arXiv 2007.07314): 0 for none, 1 for
            a model that assumes equally frequent classes, 0.5 for one that assumes the square roots of the training
            frequencies.
        balanced_sampling: from 0 (every face once an epoch) to 1 (every class equally often); 0.5 goes by square roots.
        ema: the share that the running average of the weights keeps at each step, such as 0.999; that average is then
            what is judged and kept; 0 for none (`ema.ModelEMA`).
        select: which epoch's model a run is judged by: `last`, or the best by `val_accuracy`, `val_macro_f1`,
            `val_loss`.
        patience: end the run after this many epochs without a better `select`; 0 never does.
        mean, std: pixels enter the model as (x/255 - mean)/std.
        precision: `auto` (bf16 where the machine at hand computes it in hardware, else float32; a run that is resumed
            on another machine follows that one), `bf16` or `float32`.

    Raises:
        MienError: a field outside its range; the text says which and what it may be.
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
            raise MienError(f"a recipe's name becomes a folder's: letters, digits, '_', '-' and '.', not '{self.name}'")
        for field, (kinds, words) in TYPES.items():
            value = getattr(self, field)
            if not isinstance(value, kinds) or isinstance(value, bool) != (kinds is bool):
                raise self._wrong(field, f"must be {words}")
            if isinstance(value, float) and not math.isfinite(value):
                raise self._wrong(field, f"must be {words}")
        if not (isinstance(self.augment, tuple) and all(hasattr(change, "to_dict") for change in self.augment)):
            raise self._wrong("augment", "must be a tuple of augmentations")
        for field in ("batch", "accumulate", "epochs", "lr", "std"):
            if not 0 < getattr(self, field) < MOST:
                raise self._wrong(field, f"must be above 0 and below {MOST:,}")
        for field in ("momentum", "label_smoothing", "ema", "drop_noisy", "soften_noisy"):
            if not 0 <= getattr(self, field) < 1:
                raise self._wrong(field, "must be 0 or more and below 1")
        for field in ("class_weights", "balanced_sampling"):
            if not 0 <= getattr(self, field) <= 1:
                raise self._wrong(field, "goes from 0, not at all, to 1, fully")
        if not 0 <= self.mix <= 1:
            raise self._wrong("mix", "goes from 0, the labels alone, to 1, the votes alone")
        if not 0 <= self.teacher_weight <= 1:
            raise self._wrong("teacher_weight", "goes from 0, the labels alone, to 1, the teachers alone")
        for field in ("weight_decay", "views", "patience", "warmup", "logit_adjustment"):
            if not 0 <= getattr(self, field) < MOST:
                raise self._wrong(field, f"must be 0 or more and below {MOST:,}")
        for field, there in CHOICES.items():
            if getattr(self, field) not in there:
                raise self._wrong(field, f"is one of {', '.join(there)}")
        if (self.drop_noisy or self.soften_noisy) and not self.label_noise:
            raise self._wrong("label_noise", "must name the file that says which labels are noisy")
        if self.drop_noisy + self.soften_noisy > 1:
            raise self._wrong("soften_noisy", f"and drop_noisy, {self.drop_noisy}, make more than all faces")
        if self.warmup >= self.epochs:
            raise self._wrong("warmup", f"must end before the training does, after {self.epochs} epochs")
        if self.optimizer == "nesterov" and not self.momentum:
            raise self._wrong("momentum", "must be above 0 with nesterov")
        if self.patience and self.select == LAST:
            raise self._wrong("patience", f"needs a measure to watch: set select to {', '.join(MEASURES)}")

    def _wrong(self, field: str, must: str) -> MienError:
        got = getattr(self, field)
        return MienError(
            f"recipe '{self.name}': {field} {must}, got {got if isinstance(got, int | float) else repr(got)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON types; what `recipe.json` holds."""
        return {**asdict(self), "augment": [a.to_dict() for a in self.augment]}


PRECISIONS = ("auto", "bf16", "float32")
# Field -> what it may be, and that in words: JSON must give back what it was given.
TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(
        (
            "model", "optimizer", "schedule", "scheme", "label_set", "teacher", "label_noise", "select", "precision",
        ),
        (str, "text"),
    ),
    "drop_duplicates": (bool, "true or false"),
    **dict.fromkeys(("batch", "accumulate", "epochs", "views", "patience"), (int, "a whole number")),
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
MOST = 1_000_000  # more than this of anything is a slip of the finger
