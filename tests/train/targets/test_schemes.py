"""Label schemes: targets, sampled labels, losses, and the labels that models are evaluated by."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.__main__ import main
from mien.data import sketch, write_csv
from mien.data.dataset import Dataset
from mien.data.votes import relabel_by_majority
from mien.errors import DataError, MissingSplit, RunError
from mien.evaluation.protocols import truth_for
from mien.labels import FER7, FERPLUS8, FERPLUS_COLUMNS, LabelSet
from mien.train import Recipe, Run, compare, predict, train
from mien.train.batches import Faces, training_batches
from mien.train.loop import prepare_targets
from mien.train.loss import Loss
from mien.train.predict import load_predictor
from mien.train.targets.schemes import SCHEMES, evaluation_dataset, training_targets

ALL = sorted(SCHEMES)
OF_VOTES = ["distribution", "drawing", "majority", "multi_label"]
# Of eight training faces of the toy: kept by each scheme (of two minds: no majority; contempt is one; no face is none).
KEPT = {"majority": 6, "multi_label": 7, "drawing": 7, "distribution": 7, "fer2013": 8, "mixed": 8, "expected": 8}
OWN = ("fer2013", "mixed", "expected")  # schemes that use the own labels


def expected_majority(votes_NV: np.ndarray) -> np.ndarray:
    """Return the FER+ class of each face of the toy data, -1 where no expression has a majority."""
    best_N = votes_NV.argmax(1)
    clear_N = (votes_NV.max(1) > 5) & (best_N < 8)
    return np.where(clear_N, best_N, -1)


@pytest.mark.parametrize("name", ALL)
def test_training_targets_are_shares(name: str, voted: Dataset) -> None:
    targets = training_targets(voted, name)
    train_split = targets.dataset["train"]
    assert targets.target_NK.dtype == torch.float32
    assert targets.target_NK.shape == (96 * KEPT[name] // 8, len(targets.dataset.labels))
    assert len(train_split) == len(targets.target_NK)
    assert torch.allclose(targets.target_NK.sum(1), torch.ones(len(train_split)))
    assert targets.dataset.labels == (FER7 if name in OWN else FERPLUS8)
    at_N = np.searchsorted(voted["train"].rows_N, train_split.rows_N)
    assert (train_split.pixels_NHW == voted["train"].pixels_NHW[at_N]).all()
    if name in OF_VOTES:
        votes_NV = voted["train"].votes_NV[at_N]
        assert (targets.target_NK.numpy().argmax(1) == votes_NV.argmax(1)).all()


@pytest.mark.parametrize("label_set", ["fer7", "ferplus8"])
@pytest.mark.parametrize("name", ALL)
def test_every_scheme_trains_on_either_label_set(name: str, label_set: str, voted: Dataset) -> None:
    targets = training_targets(voted, name, label_set)
    assert targets.dataset.labels.name == label_set
    assert torch.allclose(targets.target_NK.sum(1), torch.ones(len(targets.target_NK)))
    own = label_set == "fer7" and name in OWN
    assert len(targets.dataset["val"]) == 32 if own else len(targets.dataset["val"]) < 32
    assert targets.truth == f"{label_set} by {'its own labels' if own else 'the majority of FER+ votes'}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_training_reduces_the_loss(
    name: str, make_voted: Callable[..., Dataset], small: Recipe, tmp_path: Path
) -> None:
    # The rate falls: at a constant one the last epoch of so few steps is a matter of luck, and of the machine.
    settling = replace(small, scheme=name, epochs=6, lr=0.02, schedule="cosine", augment=())
    run = train(settling, make_voted(train=384), tmp_path)
    losses = [epoch["train_loss"] for epoch in run.history]
    assert losses[-1] < 0.8 * losses[0]
    assert run.history[-1]["val_accuracy"] > 0.6
    assert [len(p) for p in run.checkpoint().probs.values()] == [32 if name in OWN else 24] * 2


@pytest.mark.parametrize("name", OF_VOTES)
def test_accuracy_is_by_the_majority_vote(name: str, voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    run = train(replace(small, scheme=name, epochs=1), voted, tmp_path)
    for split in ("val", "test"):
        true_N = expected_majority(voted[split].votes_NV)
        predicted_N = run.predictions()[split].argmax(1)
        assert run.history[0][f"{split}_accuracy"] == pytest.approx((predicted_N == true_N[true_N >= 0]).mean())
    train_eval_N = training_targets(voted, name).train_eval.labels_N
    true_N = expected_majority(voted["train"].votes_NV)
    assert train_eval_N.tolist() == true_N[true_N >= 0].tolist()


def test_fer2013_scheme_uses_the_data_as_it_is(voted: Dataset) -> None:
    targets = training_targets(voted, "fer2013")
    assert targets.dataset["train"] is voted["train"]
    assert targets.train_eval is voted["train"]
    assert targets.votes is None
    assert (targets.target_NK.numpy() == np.eye(7)[voted["train"].labels_N]).all()


def test_fer2013_scheme_accepts_any_label_set(toy: Dataset) -> None:
    own = replace(toy, labels=LabelSet("own", ("happy", "happiness", "a", "b", "c", "d", "e")))
    assert (training_targets(own, "fer2013").target_NK.numpy() == np.eye(7)[toy["train"].labels_N]).all()
    for scheme, label_set in (("majority", "auto"), ("fer2013", "fer7"), ("mixed", "ferplus8")):
        with pytest.raises(DataError, match=r"toy.csv has the labels happy, happiness, .*; use --set scheme="):
            training_targets(own, scheme, label_set)


def test_fer2013_scheme_in_ferplus8_is_evaluated_by_votes(voted: Dataset) -> None:
    targets = training_targets(voted, "fer2013", "ferplus8")
    assert len(targets.target_NK) == 96
    names = [FERPLUS8.names[k] for k in targets.target_NK.argmax(1)]
    assert names == [FER7.names[k] for k in voted["train"].labels_N]
    assert len(targets.dataset["val"]) == 24


@pytest.mark.parametrize("name", [name for name in ALL if name != "fer2013"])
def test_missing_votes_raise_before_the_run(name: str, toy: Dataset, small: Recipe, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"toy.csv has no FER\+ votes; give .* with --votes"):
        train(replace(small, scheme=name), toy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mixed_targets(voted: Dataset) -> None:
    label_N = voted["train"].labels_N
    target_NK = training_targets(voted, "mixed", mix=0.25).target_NK.numpy()
    column = {0: 4, 1: 5, 2: 6, 3: 1, 4: 3, 5: 2, 6: 0}
    seven = {column: k for k, column in column.items()}
    for row, label in enumerate(label_N):
        expected = np.eye(7)[label]
        if row % 8 < 6:  # contempt is none of the seven, and no face no expression: their label teaches alone
            # Each class of the toy's votes has a share, but where eight or more of ten votes are one class's.
            votes = {0: (0.7, 0.3), 1: (1, 0), 2: (1, 0), 3: (0.6, 0.4), 4: (1, 0), 5: (0.5, 0.5)}[row % 8]
            expected = 0.75 * expected
            expected[label] += 0.25 * votes[0]
            expected[seven[(column[label] + 1) % 7]] += 0.25 * votes[1]
        assert target_NK[row] == pytest.approx(expected, abs=1e-6)
    assert (training_targets(voted, "mixed", mix=0.0).target_NK.numpy() == np.eye(7)[label_N]).all()
    assert training_targets(voted, "mixed").dataset["train"] is voted["train"]


def test_mixed_targets_in_ferplus8_keep_contempt(voted: Dataset) -> None:
    targets = training_targets(voted, "mixed", "ferplus8", mix=0.5)
    assert (targets.target_NK[6::8, 7] == 0.5).all()
    assert (targets.target_NK[7::8].max(1).values == 1).all()


def test_multi_label_loss_is_that_of_the_likeliest_label() -> None:
    p_BK = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])
    target_BK = torch.tensor([[0.6, 0.0, 0.4], [0.5, 0.5, 0.0]])
    log_p_BK = p_BK.log().requires_grad_()
    loss_B = SCHEMES["multi_label"].loss(log_p_BK, target_BK)
    assert loss_B.tolist() == pytest.approx([-np.log(0.3), -np.log(0.2)])
    loss_B.sum().backward()
    assert log_p_BK.grad.tolist() == [[0, 0, -1], [0, -1, 0]]
    smoothed = Loss.from_recipe(Recipe("smooth", scheme="multi_label", label_smoothing=0.1), target_BK)(
        p_BK.log(), target_BK
    )
    spread_B = -p_BK.log().mean(1)
    assert float(smoothed) == pytest.approx(float((0.9 * loss_B.detach() + 0.1 * spread_B).mean()))


def test_sampled_labels_have_the_frequencies_of_shares() -> None:
    share_K = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    rng = torch.Generator().manual_seed(0)
    drawn_NK = SCHEMES["drawing"].target(share_K.expand(40_000, -1), rng)
    assert set(drawn_NK.flatten().tolist()) == {0.0, 1.0}
    assert (drawn_NK.sum(1) == 1).all()
    assert drawn_NK.mean(0).tolist() == pytest.approx(share_K.tolist(), abs=0.01)
    assert (drawn_NK.sum(0)[share_K == 0] == 0).all()


def test_sampled_label_never_has_share_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    share_BK = torch.tensor([[0.0, 0.1, 0.2, 0.0], [0.0, 0.7, 0.3, 0.0]])  # the first row sums to less than 1
    for edge, expected in ((0.0, 1), (1 - 2**-24, 2)):
        monkeypatch.setattr(torch, "rand", lambda n, generator, edge=edge: torch.full((n,), edge))
        assert SCHEMES["drawing"].target(share_BK, torch.Generator()).argmax(1).tolist() == [expected, expected]


def shown(epoch: int, seed: int = 0, **fields: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 96 faces in the order of an epoch, and the class that each is shown with; half have either class."""
    pixels_NCHW = torch.arange(96, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 48, 48).contiguous()
    faces = Faces(pixels_NCHW, torch.zeros(96, dtype=torch.long), torch.full((96, 2), 0.5))
    recipe = replace(Recipe("any", scheme="drawing", mean=0.0, std=1 / 255), **fields)
    batches = list(training_batches(faces, recipe, seed, epoch))
    order_N = torch.cat([batch.x_BCHW[:, 0, 0, 0] for batch in batches]).round().long()
    return order_N, torch.cat([batch.target_BK for batch in batches]).argmax(1)


def drawn(epoch: int, seed: int = 0, **fields: object) -> torch.Tensor:
    """Return the class that each face is shown with, in the order of the faces."""
    order_N, class_N = shown(epoch, seed, **fields)
    return class_N[order_N.argsort()]


def test_sampled_labels_depend_on_seed_and_epoch() -> None:
    assert set(drawn(1).tolist()) == {0, 1}
    assert torch.equal(drawn(1), drawn(1))
    assert torch.equal(drawn(1), drawn(1, batch=10, accumulate=3))
    assert 20 < int((drawn(1) != drawn(2)).sum()) < 76
    assert not torch.equal(shown(1)[1], shown(2)[1])  # not the same draws for other faces
    assert 20 < int((drawn(1) != drawn(1, seed=1)).sum()) < 76


@pytest.mark.parametrize("name", ["drawing", "multi_label"])
def test_resumed_run_is_bit_identical(name: str, voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    recipe = replace(small, scheme=name, epochs=3, ema=0.9, class_weights=0.5, label_smoothing=0.1)
    straight = train(recipe, voted, tmp_path / "straight", seed=1)
    write = Run.write_history

    def stop_after_one(self: Run, history: list[dict[str, float]]) -> None:
        if len(history) == 1:
            raise KeyboardInterrupt
        write(self, history)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "write_history", stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, voted, tmp_path / "part", seed=1)
    resumed = train(recipe, voted, tmp_path / "part", seed=1, resume=True)
    for part in ("model", "optimizer", "average", "probs"):
        a, b = (dict(getattr(run.checkpoint(), part)) for run in (straight, resumed))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)
    assert [e["train_loss"] for e in straight.history] == [e["train_loss"] for e in resumed.history]


def test_resume_with_other_votes_raises(voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    recipe = replace(small, scheme="mixed", epochs=1)
    run = train(recipe, voted, tmp_path)
    assert run.identity["data"]["votes"] == training_targets(voted, "mixed").votes
    votes_NV = voted["train"].votes_NV.copy()
    votes_NV[0] = votes_NV[0, ::-1]
    other = replace(voted, splits={**voted.splits, "train": replace(voted["train"], votes_NV=votes_NV)})
    with pytest.raises(RunError, match=r"contains a run with other settings \(data.votes=.* instead of "):
        train(recipe, other, tmp_path, resume=True)


def test_run_records_the_classes(voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    run = train(replace(small, scheme="majority", epochs=1), voted, tmp_path)
    data = run.identity["data"]
    assert (data["label_set"], data["labels"]) == ("ferplus8", list(FERPLUS8.names))
    assert data["faces"] == {"train": 72, "val": 24, "test": 24}
    plain = train(replace(small, epochs=1), voted, tmp_path / "plain").identity["data"]
    assert "votes" not in plain


def test_scheme_of_votes_needs_no_labels(make_voted: Callable[..., Dataset], small: Recipe, voted: Dataset) -> None:
    blank = replace(voted["train"], labels_N=np.full(96, -1))
    unlabelled = replace(voted, splits={**voted.splits, "train": blank})
    assert len(prepare_targets(replace(small, scheme="majority"), unlabelled, 0).target_NK) == 72
    with pytest.raises(RunError, match="have no labels"):
        prepare_targets(replace(small, scheme="mixed"), unlabelled, 0)
    with pytest.raises(MissingSplit, match="no labeled split 'val' to select the epoch by"):
        prepare_targets(replace(small, scheme="majority", select="val_loss"), make_voted(val=0), 0)


@pytest.fixture(scope="module")
def runs(voted: Dataset, small: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Return a run for each kind of ground truth."""
    folder, recipe = tmp_path_factory.mktemp("runs"), replace(small, epochs=1)
    return {
        "eight": train(replace(recipe, scheme="distribution"), voted, folder / "eight"),
        "seven": train(replace(recipe, scheme="distribution", label_set="fer7"), voted, folder / "seven"),
        "labels": train(recipe, voted, folder / "labels"),
    }


def test_predict_uses_the_evaluated_faces(runs: dict[str, Run], voted: Dataset, toy: Dataset) -> None:
    for name, truth in (
        ("eight", relabel_by_majority(voted)),
        ("seven", relabel_by_majority(voted, FER7)),
        ("labels", voted),
    ):
        run = runs[name]
        truth_of_model = truth_for(load_predictor(run.folder), voted, "val")
        assert truth_of_model is not None
        assert (truth_of_model["val"].labels_N == truth["val"].labels_N).all()
        for dataset in (voted, truth):
            assert np.array_equal(predict(run.folder, dataset, "val"), run.predictions()["val"])
    # Where there are no votes, models of the seven classes are evaluated by the labels, on any data set.
    for unvoted in (replace(toy, name="fer2013"), toy):
        assert truth_for(load_predictor(runs["seven"].folder), unvoted, "val") is unvoted
        assert len(predict(runs["seven"].folder, unvoted, "val")) == len(unvoted["val"])
        with pytest.raises(DataError, match=r"toy.csv has no votes; .* with --votes"):
            predict(runs["eight"].folder, unvoted, "val")
    with pytest.raises(DataError, match=r"the model has the classes angry, .*, but toy.csv has neutral, happy"):
        predict(runs["seven"].folder, relabel_by_majority(voted), "val")


@pytest.mark.slow
def test_compare_the_four_schemes(voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    arms = [replace(small, name=name, scheme=name, epochs=1, label_set="ferplus8") for name in ["fer2013", *OF_VOTES]]
    result = compare(voted, arms, seeds=1, out=tmp_path)
    assert result.data.classes == FERPLUS8.names
    assert [arm.scores["test"].n for arm in result.arms] == [24] * 5
    true_N = expected_majority(voted["test"].votes_NV)
    assert result.arms[0].scores["test"].support.tolist() == np.bincount(true_N[true_N >= 0], minlength=8).tolist()
    page = html.unescape((tmp_path / "report.html").read_text())
    assert "FER+ (toy.csv with the majority vote, 8 classes)" in page
    assert "only faces with a majority are kept: 72 of 96 in 'train', 24 of 32 in 'val', 24 of 32 in 'test'" in page


def test_compare_arms_with_different_labels_raises(voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    plain = replace(small, name="plain", epochs=1)
    for other in (
        replace(plain, name="other", scheme="majority"),
        replace(plain, name="other", scheme="majority", label_set="fer7"),
    ):
        with pytest.raises(RunError, match=r"different labels: 'plain' by .*, 'other' by "):
            compare(voted, [plain, other], seeds=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_evaluation_dataset_of_each_scheme(voted: Dataset) -> None:
    assert evaluation_dataset(voted, "fer2013") is voted
    assert evaluation_dataset(voted, "mixed", "fer7") is voted
    assert evaluation_dataset(voted, "drawing").labels == FERPLUS8
    assert evaluation_dataset(voted, "drawing", "fer7").labels == FER7
    assert len(evaluation_dataset(voted, "drawing", "fer7")["val"]) == 20  # contempt drops out as well


@pytest.mark.slow
def test_the_commands_take_votes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    csv, votes, out = tmp_path / "fer2013.csv", tmp_path / "votes.csv", tmp_path / "run"
    write_csv(csv, sketch(train=70, val=35, test=35))
    usages = ["Training"] * 70 + ["PublicTest"] * 35 + ["PrivateTest"] * 35
    row = ",".join("10" if name == "sadness" else "0" for name in FERPLUS_COLUMNS)
    lines = [f"{usage},,{row}" for usage in usages]
    votes.write_text("\n".join(["Usage,Image name," + ",".join(FERPLUS_COLUMNS), *lines]))

    def mien(*words: object) -> tuple[int, str]:
        quick = ["model=mien_nano", "epochs=1", "precision=float32", "scheme=majority"]
        settings = [word for setting in quick for word in ("--set", setting)]
        monkeypatch.setattr(sys, "argv", ["mien", *map(str, words), "--data", str(csv), *settings])
        with pytest.raises(SystemExit) as done:
            main()
        captured = capsys.readouterr()
        return int(done.value.code or 0), captured.out + captured.err

    code, output = mien("train", "seed", "--out", out)
    assert code == 2
    assert "has no FER+ votes; give FER+'s fer2013new.csv with --votes" in output
    code, output = mien("train", "seed", "--out", out, "--votes", votes)
    assert code == 0, output
    assert f"evaluate it with: mien evaluate {out} --data {csv} --votes {votes} --split val" in output
    assert Run(out).predictions()["val"].shape == (35, 8)
    arms = ("--arms", "seed,seed_augmented", "--seeds", 1)
    code, output = mien("compare", *arms, "--out", tmp_path / "study", "--votes", votes)
    assert code == 0, output
    assert Run(tmp_path / "study" / "seed-seed0").identity["data"]["label_set"] == "ferplus8"
