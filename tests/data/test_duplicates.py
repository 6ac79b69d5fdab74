"""Near-duplicates by split and class, their cache, and the masks derived from them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from blurs import fields, jpeg
from mien.data import Dataset, Split, find_near_duplicates, load, sketch
from mien.data import duplicates as module
from mien.data.audit import audit, duplicates_of_evaluation, without_duplicates
from mien.data.audit_tables import audit_tables
from mien.errors import MissingSplit


@pytest.fixture
def copied(cache_dir: Path) -> Dataset:
    """Val faces 3, 4 and 5 are train faces 1, brighter, 2, as JPEG, and 8, the same bytes; test face 0 mirrors val 6.

    Train face 9 is train face 7 moved by two pixels, under another label. Two val faces and one of train are white.
    """
    drawn = sketch(train=20, val=12, test=8)
    faces = fields(40)
    train, val, test = faces[:20], faces[20:32], faces[32:]
    val[3] = (train[1] * 0.6 + 70).astype(np.uint8)
    val[4], val[5], test[0] = jpeg(train[2], 60), train[8], val[6][:, ::-1]
    train[9] = np.roll(train[7], 2, axis=1)
    val[10] = val[11] = train[19] = 255
    pixels = {"train": train, "val": val, "test": test}
    splits = {name: replace(split, pixels_NHW=pixels[name]) for name, split in drawn.splits.items()}
    labels_N = splits["train"].labels_N.copy()
    labels_N[7], labels_N[9] = 0, 1
    splits["train"] = replace(splits["train"], labels_N=labels_N)
    return replace(drawn, splits=splits)


def rows(split: Split, hit_N: np.ndarray) -> list[int]:
    return np.flatnonzero(hit_N).tolist()


def test_pairs_between_and_within_splits(copied: Dataset) -> None:
    train, val, test = (copied[name] for name in ("train", "val", "test"))
    duplicates = find_near_duplicates(copied)
    assert len(duplicates) == 5
    assert rows(val, duplicates.mask(val, train)) == [3, 4, 5]
    assert rows(train, duplicates.mask(train, val)) == [1, 2, 8]
    assert rows(train, duplicates.mask(train, train)) == [7, 9]
    assert rows(test, duplicates.mask(test, val)) == [0]
    assert not duplicates.mask(test, train).any()
    mirrored = duplicates.between(test, val)
    assert (mirrored.a_P.tolist(), mirrored.b_P.tolist()) == ([val.rows_N[6]], [test.rows_N[0]])
    assert mirrored.mirrored_P.all()
    assert duplicates.between(val, train).correlation_P.max() == pytest.approx(1, abs=1e-5)


def test_masks_of_leaked_faces(copied: Dataset) -> None:
    """The white faces are byte-identical, so they are excluded together with near-duplicates."""
    val = copied["val"]
    assert rows(val, ~without_duplicates(copied, "val")) == [5, 10, 11]
    assert rows(val, ~without_duplicates(copied, "val", near=True)) == [3, 4, 5, 10, 11]
    assert rows(copied["train"], duplicates_of_evaluation(copied)) == [1, 2, 8, 19]
    alone = replace(copied, splits={"train": copied["train"]})
    assert not duplicates_of_evaluation(alone).any()
    with pytest.raises(MissingSplit, match="no split 'train'"):
        duplicates_of_evaluation(replace(copied, splits={"val": val}))


def test_audit_counts_near_duplicates_by_pair_and_class(copied: Dataset) -> None:
    assert audit(copied).near is None
    found = audit(copied, near=True)
    assert found.near is not None
    names, near = copied.labels.names, found.near
    counts = {pair: sum(classes.values()) for pair, classes in near.faces.items()}
    assert counts == {
        "train in train": 2, "val in train": 3, "val in val": 0,
        "test in train": 0, "test in val": 1, "test in test": 0,
    }  # fmt: skip
    labels_N = copied["val"].labels_N[[3, 4, 5]]
    assert near.faces["val in train"] == {name: int((labels_N == k).sum()) for k, name in enumerate(names)}
    assert near.mirrored == {pair: int(pair == "test in val") for pair in near.faces}
    train = copied["train"].labels_N[[1, 2, 8]]
    assert near.contradicted["train in train"] == 1
    assert near.contradicted["val in train"] == int((train != labels_N).sum())
    assert json.loads(json.dumps(found.to_dict()))["near"]["faces"] == near.faces
    said = io.StringIO()
    Console(width=80, file=said).print(audit_tables(found))
    rows_of = [line.split() for line in said.getvalue().splitlines()]
    assert ["all", "2", "3", "0", "0", "1", "0"] in rows_of
    assert ["mirrored", "pairs", "0", "0", "0", "0", "1", "0"] in rows_of


def test_cached_pairs_are_reused_unless_damaged(
    copied: Dataset, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_near_duplicates(copied)
    (file,) = cache_dir.glob("*.near_duplicates.npy")

    def never(faces_NHW: np.ndarray) -> object:
        raise AssertionError("looked again")

    with monkeypatch.context() as patch:
        patch.setattr(module, "near_duplicate_pairs", never)
        again = find_near_duplicates(copied)
        for a, b in zip(vars(first).values(), vars(again).values(), strict=True):
            np.testing.assert_array_equal(a, b)
        with pytest.raises(AssertionError, match="looked again"):
            find_near_duplicates(copied, cache=False)
        fewer = replace(copied, splits={"val": copied["val"]})
        with pytest.raises(AssertionError, match="looked again"):
            find_near_duplicates(fewer)
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], b"nonsense", whole.replace(b"<f8", b"<i8")):
        file.write_bytes(damaged)
        assert len(find_near_duplicates(copied)) == len(first)
        assert file.read_bytes() == whole


def test_search_with_unwritable_cache(copied: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "file"))
    assert len(find_near_duplicates(copied)) == 5


def test_near_duplicates_in_fer2013_validation(fer2013_dir: Path) -> None:
    """Byte-identical faces are all among the pairs; how many more there are may differ by a few from chip to chip."""
    data = load(fer2013_dir / "fer2013.csv")
    val = data["val"]
    alone = replace(data, splits={"val": val})
    duplicates = find_near_duplicates(alone)
    assert 75 <= len(duplicates) <= 87
    assert (duplicates.correlation_P >= 0.95).all()
    flat_N = val.pixels_NHW.reshape(len(val), -1).std(1) == 0
    copies = audit(alone).redundant["val"] - max(int(flat_N.sum()) - 1, 0)
    assert copies > 0
    assert (duplicates.correlation_P > 0.9999).sum() >= copies
