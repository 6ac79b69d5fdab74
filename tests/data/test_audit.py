"""The audit, on data with known defects and on FER2013."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mien.data import load
from mien.data.audit import audit, without_duplicates
from mien.errors import MissingSplit


def test_audit_finds_known_defects(tiny) -> None:
    faces, emotions = tiny.faces_NHW, tiny.emotions
    faces[10] = faces[11] = faces[12] = faces[5]  # three redundant copies in train, of differing labels
    faces[20], emotions[20] = faces[6], emotions[6]  # one more, of the same label
    faces[130] = faces[131] = faces[5]  # two val faces with a duplicate in train
    faces[180] = faces[130]  # a test face with one in both
    faces[199] = 7  # flat, beside rows 0, 1 and 2 of the fixture
    found = audit(load(tiny.write(tiny.lines()), cache=False))
    assert found.flat == (0, 1, 2, 199)
    assert found.redundant == {"train": 4, "val": 1, "test": 0}
    assert found.across == {"val in train": 2, "test in train": 1, "test in val": 1}
    assert found.contradicted == {"train": ((5, 10, 11, 12),), "val": ((130, 131),), "test": ()}
    assert sum(found.counts["train"].values()) == 120
    assert found.counts["val"]["angry"] == sum(e == 0 for e in emotions[120:170])


def test_audit_to_dict_is_json(tiny_csv) -> None:
    found = audit(load(tiny_csv, cache=False))
    record = json.loads(json.dumps(found.to_dict()))
    assert record["flat"] == [0, 1, 2]
    assert record["labels"][3] == "happy"
    assert record["counts"]["train"] == found.counts["train"]
    assert set(record) == set(type(found).__dataclass_fields__)


def test_audit_without_labels_counts_no_label(tiny) -> None:
    found = audit(load(tiny.write(tiny.lines("{pixels}"), "pixels", "test.csv"), cache=False))
    assert found.counts["test"]["(no label)"] == 200
    assert found.contradicted == {"test": ()}


def test_without_duplicates_masks_faces_in_training(tiny) -> None:
    faces = tiny.faces_NHW
    faces[130] = faces[131] = faces[5]  # two val faces with a duplicate in train
    faces[140] = faces[141]  # duplicates of each other, and not of training
    faces[180] = faces[132]  # a test face with one in val
    data = load(tiny.write(tiny.lines()), cache=False)
    keep_N = without_duplicates(data, "val")
    assert data["val"].rows_N[~keep_N].tolist() == [130, 131]
    assert keep_N.dtype == bool
    assert without_duplicates(data, "test").all()
    assert not without_duplicates(data, "train").any()
    blank = load(tiny.write(tiny.lines("{pixels}"), "pixels", "test.csv"), cache=False)
    with pytest.raises(MissingSplit, match="no split 'train'"):
        without_duplicates(blank, "test")


def test_audit_of_fer2013(fer2013_dir: Path) -> None:
    data = load(fer2013_dir / "fer2013.csv", votes=fer2013_dir / "fer2013new.csv")
    found = audit(data)
    assert found.across == {"val in train": 280}
    assert (~without_duplicates(data, "val")).sum() == 280
    assert found.redundant["train"] == 1236
    assert len(found.contradicted["train"]) == 39
    assert found.flat == (
        6458, 7629, 10423, 11286, 13148, 13402, 13988, 15894, 22198, 22927, 28601, 30002,
    )  # fmt: skip
    assert list(found.counts["train"].values()) == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert list(found.counts["val"].values()) == [467, 56, 496, 895, 653, 415, 607]
    # Row 5274 looks blank but is no constant, so it is not among the flat ones.
    blank = data["train"].pixels_NHW[5274]
    assert (blank.min(), blank.max()) == (196, 254)
