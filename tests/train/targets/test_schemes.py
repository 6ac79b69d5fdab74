"""Label schemes: what is taught, what is drawn, what pulls, and by what a model is judged."""

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
from mien.train.targets.schemes import SCHEMES, judged, training_targets

ALL = sorted(SCHEMES)
OF_VOTES = ["distribution", "drawing", "majority", "multi_label"]
# Of eight training faces of the toy: kept by each scheme (of two minds: no majority; contempt is one; no face is none).
KEPT = {"majority": 6, "multi_label": 7, "drawing": 7, "distribution": 7, "fer2013": 8, "mixed": 8, "expected": 8}
OWN = ("fer2013", "mixed", "expected")  # taught by the data's own labels, alone or not


def majority_by_hand(votes_NV: np.ndarray) -> np.ndarray:
    """FER+ class of each face of the toy, -1 where it has no majority for an expression."""
    best_N = votes_NV.argmax(1)
    clear_N = (votes_NV.max(1) > 5) & (best_N < 8)
    return np.where(clear_N, best_N, -1)


@pytest.mark.parametrize("name", ALL)
def test_targets_are_shares_of_the_faces_that_are_learned_from(name: str, voted: Dataset) -> None:
    found = training_targets(voted, name)
    train_split = found.dataset["train"]
    assert found.target_NK.dtype == torch.float32
    assert found.target_NK.shape == (96 * KEPT[name] // 8, len(found.dataset.labels))
    assert len(train_split) == len(found.target_NK)
    assert torch.allclose(found.target_NK.sum(1), torch.ones(len(train_split)))
    assert found.dataset.labels == (FER7 if name in OWN else FERPLUS8)
    at_N = np.searchsorted(voted["train"].rows_N, train_split.rows_N)
    assert (train_split.pixels_NHW == voted["train"].pixels_NHW[at_N]).all()
    if name in OF_VOTES:
        votes_NV = voted["train"].votes_NV[at_N]
        assert (found.target_NK.numpy().argmax(1) == votes_NV.argmax(1)).all()


@pytest.mark.parametrize("label_set", ["fer7", "ferplus8"])
@pytest.mark.parametrize("name", ALL)
def test_every_scheme_teaches_either_set(name: str, label_set: str, voted: Dataset) -> None:
    found = training_targets(voted, name, label_set)
    assert found.dataset.labels.name == label_set
    assert torch.allclose(found.target_NK.sum(1), torch.ones(len(found.target_NK)))
    own = label_set == "fer7" and name in OWN
    assert len(found.dataset["val"]) == 32 if own else len(found.dataset["val"]) < 32
    assert found.truth == f"{label_set} by {'its own labels' if own else 'the majority of FER+ votes'}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_the_loss_falls(name: str, make_voted: Callable[..., Dataset], small: Recipe, tmp_path: Path) -> None:
    # The rate falls: at a constant one the last epoch of so few steps is a matter of luck, and of the machine.
    settling = replace(small, scheme=name, epochs=6, lr=0.02, schedule="cosine", augment=())
    run = train(settling, make_voted(train=384), tmp_path)
    losses = [epoch["train_loss"] for epoch in run.history]
    assert losses[-1] < 0.8 * losses[0]
    assert run.history[-1]["val_accuracy"] > 0.6
    assert [len(p) for p in run.checkpoint().probs.values()] == [32 if name in OWN else 24] * 2


@pytest.mark.parametrize("name", OF_VOTES)
def test_accuracy_is_against_the_majority_whatever_is_taught(
    name: str, voted: Dataset, small: Recipe, tmp_path: Path
) -> None:
    run = train(replace(small, scheme=name, epochs=1), voted, tmp_path)
    for split in ("val", "test"):
        true_N = majority_by_hand(voted[split].votes_NV)
        predicted_N = run.predictions()[split].argmax(1)
        assert run.history[0][f"{split}_accuracy"] == pytest.approx((predicted_N == true_N[true_N >= 0]).mean())
    clean_N = training_targets(voted, name).clean.labels_N
    true_N = majority_by_hand(voted["train"].votes_NV)
    assert clean_N.tolist() == true_N[true_N >= 0].tolist()


def test_plain_labels_are_the_data_as_it_is(voted: Dataset) -> None:
    found = training_targets(voted, "fer2013")
    assert found.dataset["train"] is voted["train"]
    assert found.clean is voted["train"]
    assert found.votes is None
    assert (found.target_NK.numpy() == np.eye(7)[voted["train"].labels_N]).all()


def test_plain_labels_teach_any_label_set(toy: Dataset) -> None:
    own = replace(toy, labels=LabelSet("own", ("happy", "happiness", "a", "b", "c", "d", "e")))
    assert (training_targets(own, "fer2013").target_NK.numpy() == np.eye(7)[toy["train"].labels_N]).all()
    for scheme, label_set in (("majority", "auto"), ("fer2013", "fer7"), ("mixed", "ferplus8")):
        with pytest.raises(DataError, match=r"toy.csv is labelled happy, happiness, .*: learn that with --set scheme="):
            training_targets(own, scheme, label_set)


def test_plain_labels_in_ferplus_classes_are_judged_by_the_votes(voted: Dataset) -> None:
    found = training_targets(voted, "fer2013", "ferplus8")
    assert len(found.target_NK) == 96
    names = [FERPLUS8.names[k] for k in found.target_NK.argmax(1)]
    assert names == [FER7.names[k] for k in voted["train"].labels_N]
    assert len(found.dataset["val"]) == 24


@pytest.mark.parametrize("name", [name for name in ALL if name != "fer2013"])
def test_votes_that_are_missing_are_asked_for_before_anything_is_made(
    name: str, toy: Dataset, small: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"toy.csv has no FER\+ votes; give the file .* with --votes"):
        train(replace(small, scheme=name), toy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mixed_by_hand(voted: Dataset) -> None:
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


def test_mixed_in_ferplus_classes_keeps_contempt(voted: Dataset) -> None:
    found = training_targets(voted, "mixed", "ferplus8", mix=0.5)
    assert (found.target_NK[6::8, 7] == 0.5).all()
    assert (found.target_NK[7::8].max(1).values == 1).all()


def test_the_likeliest_of_several_labels_alone_pulls() -> None:
    p_BK = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])
    target_BK = torch.tensor([[0.6, 0.0, 0.4], [0.5, 0.5, 0.0]])
    log_p_BK = p_BK.log().requires_grad_()
    loss_B = SCHEMES["multi_label"].loss(log_p_BK, target_BK)
    assert loss_B.tolist() == pytest.approx([-np.log(0.3), -np.log(0.2)])
    loss_B.sum().backward()
    assert log_p_BK.grad.tolist() == [[0, 0, -1], [0, -1, 0]]
    smoothed = Loss.of(Recipe("smooth", scheme="multi_label", label_smoothing=0.1), target_BK)(p_BK.log(), target_BK)
    spread_B = -p_BK.log().mean(1)
    assert float(smoothed) == pytest.approx(float((0.9 * loss_B.detach() + 0.1 * spread_B).mean()))


def test_drawn_labels_go_with_the_shares() -> None:
    share_K = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    rng = torch.Generator().manual_seed(0)
    drawn_NK = SCHEMES["drawing"].target(share_K.expand(40_000, -1), rng)
    assert set(drawn_NK.flatten().tolist()) == {0.0, 1.0}
    assert (drawn_NK.sum(1) == 1).all()
    assert drawn_NK.mean(0).tolist() == pytest.approx(share_K.tolist(), abs=0.01)
    assert (drawn_NK.sum(0)[share_K == 0] == 0).all()


def test_a_drawn_class_has_a_share_at_the_very_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    share_BK = torch.tensor([[0.0, 0.1, 0.2, 0.0], [0.0, 0.7, 0.3, 0.0]])  # the first row sums to less than 1
    for edge, expected in ((0.0, 1), (1 - 2**-24, 2)):
        monkeypatch.setattr(torch, "rand", lambda n, generator, edge=edge: torch.full((n,), edge))
        assert SCHEMES["drawing"].target(share_BK, torch.Generator()).argmax(1).tolist() == [expected, expected]


def shown(epoch: int, seed: int = 0, **fields: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces in the order of an epoch and the class that each is shown as, of 96, half one class and half another."""
    pixels_NCHW = torch.arange(96, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 48, 48).contiguous()
    faces = Faces(pixels_NCHW, torch.zeros(96, dtype=torch.long), torch.full((96, 2), 0.5))
    recipe = replace(Recipe("any", scheme="drawing", mean=0.0, std=1 / 255), **fields)
    batches = list(training_batches(faces, recipe, seed, epoch))
    order_N = torch.cat([batch.x_BCHW[:, 0, 0, 0] for batch in batches]).round().long()
    return order_N, torch.cat([batch.target_BK for batch in batches]).argmax(1)


def drawn(epoch: int, seed: int = 0, **fields: object) -> torch.Tensor:
    """The class that each face is shown as, in the order of the faces."""
    order_N, class_N = shown(epoch, seed, **fields)
    return class_N[order_N.argsort()]


def test_labels_are_drawn_afresh_each_epoch_and_alike_from_one_seed() -> None:
    assert set(drawn(1).tolist()) == {0, 1}
    assert torch.equal(drawn(1), drawn(1))
    assert torch.equal(drawn(1), drawn(1, batch=10, accumulate=3))
    assert 20 < int((drawn(1) != drawn(2)).sum()) < 76
    assert not torch.equal(shown(1)[1], shown(2)[1])  # not the same draws for other faces
    assert 20 < int((drawn(1) != drawn(1, seed=1)).sum()) < 76


@pytest.mark.parametrize("name", ["drawing", "multi_label"])
def test_a_run_of_votes_resumes_bit_for_bit(name: str, voted: Dataset, small: Recipe, tmp_path: Path) -> None:
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


def test_a_run_of_other_votes_is_another_run(voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    recipe = replace(small, scheme="mixed", epochs=1)
    run = train(recipe, voted, tmp_path)
    assert run.identity["data"]["votes"] == training_targets(voted, "mixed").votes
    votes_NV = voted["train"].votes_NV.copy()
    votes_NV[0] = votes_NV[0, ::-1]
    other = replace(voted, splits={**voted.splits, "train": replace(voted["train"], votes_NV=votes_NV)})
    with pytest.raises(RunError, match=r"holds a run of something else: data.votes is .* there and .* here"):
        train(recipe, other, tmp_path, resume=True)


def test_the_record_has_the_classes_that_were_learned(voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    run = train(replace(small, scheme="majority", epochs=1), voted, tmp_path)
    data = run.identity["data"]
    assert (data["label_set"], data["labels"]) == ("ferplus8", list(FERPLUS8.names))
    assert data["faces"] == {"train": 72, "val": 24, "test": 24}
    plain = train(replace(small, epochs=1), voted, tmp_path / "plain").identity["data"]
    assert "votes" not in plain


def test_votes_alone_need_no_labels_but_a_validation_split_to_select_by(
    make_voted: Callable[..., Dataset], small: Recipe, voted: Dataset
) -> None:
    blank = replace(voted["train"], labels_N=np.full(96, -1))
    unlabelled = replace(voted, splits={**voted.splits, "train": blank})
    assert len(prepare_targets(replace(small, scheme="majority"), unlabelled, 0).target_NK) == 72
    with pytest.raises(RunError, match="have no labels"):
        prepare_targets(replace(small, scheme="mixed"), unlabelled, 0)
    with pytest.raises(MissingSplit, match="no labelled split 'val' to select by"):
        prepare_targets(replace(small, scheme="majority", select="val_loss"), make_voted(val=0), 0)


@pytest.fixture(scope="module")
def runs(voted: Dataset, small: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A model for each kind of truth."""
    folder, recipe = tmp_path_factory.mktemp("runs"), replace(small, epochs=1)
    return {
        "eight": train(replace(recipe, scheme="distribution"), voted, folder / "eight"),
        "seven": train(replace(recipe, scheme="distribution", label_set="fer7"), voted, folder / "seven"),
        "labels": train(recipe, voted, folder / "labels"),
    }


def test_a_model_is_asked_for_the_faces_that_it_is_judged_on(
    runs: dict[str, Run], voted: Dataset, toy: Dataset
) -> None:
    for name, truth in (
        ("eight", relabel_by_majority(voted)),
        ("seven", relabel_by_majority(voted, FER7)),
        ("labels", voted),
    ):
        run = runs[name]
        judged = truth_for(load_predictor(run.folder), voted, "val")
        assert judged is not None
        assert (judged["val"].labels_N == truth["val"].labels_N).all()
        for dataset in (voted, truth):
            assert np.array_equal(predict(run.folder, dataset, "val"), run.predictions()["val"])
    # Where there are no votes, a model of the seven is judged by the labels, be it FER2013 or other faces.
    for unvoted in (replace(toy, name="fer2013"), toy):
        assert truth_for(load_predictor(runs["seven"].folder), unvoted, "val") is unvoted
        assert len(predict(runs["seven"].folder, unvoted, "val")) == len(unvoted["val"])
        with pytest.raises(DataError, match=r"toy.csv has no votes; .* with --votes"):
            predict(runs["eight"].folder, unvoted, "val")
    with pytest.raises(DataError, match=r"the model tells angry, .* apart, but toy.csv is labelled neutral, happy"):
        predict(runs["seven"].folder, relabel_by_majority(voted), "val")


@pytest.mark.slow
def test_the_four_schemes_are_compared_and_plain_labels_beside_them(
    voted: Dataset, small: Recipe, tmp_path: Path
) -> None:
    arms = [replace(small, name=name, scheme=name, epochs=1, label_set="ferplus8") for name in ["fer2013", *OF_VOTES]]
    result = compare(voted, arms, seeds=1, out=tmp_path)
    assert result.data.classes == FERPLUS8.names
    assert [arm.scores["test"].n for arm in result.arms] == [24] * 5
    true_N = majority_by_hand(voted["test"].votes_NV)
    assert result.arms[0].scores["test"].support.tolist() == np.bincount(true_N[true_N >= 0], minlength=8).tolist()
    page = html.unescape((tmp_path / "report.html").read_text())
    assert "FER+ (toy.csv by the majority of votes, 8 classes)" in page
    assert "only faces with a majority are kept: 72 of 96 in 'train', 24 of 32 in 'val', 24 of 32 in 'test'" in page


def test_arms_under_different_labels_are_not_compared(voted: Dataset, small: Recipe, tmp_path: Path) -> None:
    plain = replace(small, name="plain", epochs=1)
    for other in (
        replace(plain, name="other", scheme="majority"),
        replace(plain, name="other", scheme="majority", label_set="fer7"),
    ):
        with pytest.raises(
            RunError, match=r"'plain' is judged in fer7 by its own labels and 'other' in fer.* by the majority of FER\+"
        ):
            compare(voted, [plain, other], seeds=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_scheme_is_judged_by(voted: Dataset) -> None:
    assert judged(voted, "fer2013") is voted
    assert judged(voted, "mixed", "fer7") is voted
    assert judged(voted, "drawing").labels == FERPLUS8
    assert judged(voted, "drawing", "fer7").labels == FER7
    assert len(judged(voted, "drawing", "fer7")["val"]) == 20  # contempt drops out as well


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
        said = capsys.readouterr()
        return int(done.value.code or 0), said.out + said.err

    code, said = mien("train", "seed", "--out", out)
    assert code == 2
    assert "has no FER+ votes; give FER+'s fer2013new.csv with --votes" in said
    code, said = mien("train", "seed", "--out", out, "--votes", votes)
    assert code == 0, said
    assert f"judge it with: mien evaluate {out} --data {csv} --votes {votes} --split val" in said
    assert Run(out).predictions()["val"].shape == (35, 8)
    arms = ("--arms", "seed,seed_augmented", "--seeds", 1)
    code, said = mien("compare", *arms, "--out", tmp_path / "study", "--votes", votes)
    assert code == 0, said
    assert Run(tmp_path / "study" / "seed-seed0").identity["data"]["label_set"] == "ferplus8"
