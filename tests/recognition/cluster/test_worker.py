"""One partition, read here and now: what other commands, machines and full disks can do to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

import mien
from mien.errors import MienError
from mien.recognition import sample
from mien.recognition.cluster.attempts import AttemptLog
from mien.recognition.cluster.plan import HEAD, Plan, check_same, cut, load_plan, make_plan, remaining_partitions
from mien.recognition.cluster.snapshot import RecognizerSnapshot
from mien.recognition.cluster.storage import Store
from mien.recognition.cluster.worker import PartitionResult, PartitionWorker

NANO = RecognizerSnapshot.of("nano")
DATA = sample().read_bytes()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.jpg").write_bytes(DATA if i else DATA[:5000])
    return folder


def planned(source: object, out: Path, size: int = 10) -> tuple[PartitionWorker, Plan]:
    store = Store(str(out))
    NANO.save(store)
    shares = cut(str(source), store, size=size)
    plan = make_plan(store, str(source), shares, size=size, reading=NANO.identity)
    assert load_plan(store) == plan
    return PartitionWorker(NANO, store, plan), plan


def notes(out: Path) -> list[Path]:
    return [file for file in (out / "_mien" / "begun").rglob("*") if file.is_file()]


def test_who_fails_without_dying_blames_no_image(photos: Path, tmp_path: Path) -> None:
    """However often the disk is full, all images are read when it no longer is."""
    out = tmp_path / "out"
    reader, plan = planned(photos, out)
    (share,) = remaining_partitions(reader.store, plan, [])
    AttemptLog(reader.store, 0).begin()  # by one that was killed, so that they are read one by one
    in_the_way = out / "part-00000000.parquet"
    in_the_way.mkdir()
    for _ in range(3):
        with pytest.raises(MienError, match=r"partition 0 of .* cannot be done: "):
            reader.read(share)
        assert len(notes(out)) == 1
    in_the_way.rmdir()
    assert reader.read(share) == PartitionResult(0, 3, 1, 2)
    assert notes(out) == []


def test_what_is_there_is_left_as_it_is(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    reader, plan = planned(photos, out)
    (share,) = remaining_partitions(reader.store, plan, [])
    done = reader.read(share)
    before = (out / "part-00000000.parquet").stat()
    AttemptLog(reader.store, 0).begin()  # by one that died when all was done but the tidying up
    assert reader.read(share) == done
    assert notes(out) == []
    assert (out / "part-00000000.parquet").stat().st_mtime_ns == before.st_mtime_ns


def test_two_who_plan_at_once_do_not_mix(photos: Path, tmp_path: Path) -> None:
    """The same plan is one; of two that differ the earlier goes no further, and its own list stays whole."""
    out = tmp_path / "out"
    first, plan = planned(photos, out)
    (share,) = remaining_partitions(first.store, plan, [])
    _, same = planned(photos, out)
    assert same == plan
    second, other = planned(photos, out, size=2)
    assert len(list(remaining_partitions(first.store, plan, []))) == 1
    assert len(list(remaining_partitions(first.store, other, []))) == 2
    with pytest.raises(MienError, match="is being filled by another command, with other options"):
        first.read(share)
    assert list(out.glob("part-*")) == []
    assert [second.read(one).images for one in remaining_partitions(second.store, other, [])] == [2, 1]
    _, third = planned(photos, out, size=1)
    with pytest.raises(MienError, match="is being filled by another command"):
        PartitionWorker(NANO, second.store, third).read({"number": 0, "names": [str(photos / "0.jpg")]})
    with pytest.raises(MienError, match="is being filled by another command"):
        PartitionWorker(RecognizerSnapshot.of("nano", threshold=0.9), first.store, plan)


def test_a_machine_that_does_not_see_the_source_makes_no_rows(photos: Path, tmp_path: Path) -> None:
    for i, source in enumerate((photos, photos / "*.jpg", photos / "**" / "*.jpg", photos / "1.jpg")):
        reader, plan = planned(source, tmp_path / f"out-{i}")
        (share,) = remaining_partitions(reader.store, plan, [])
        photos.rename(tmp_path / "away")
        with pytest.raises(MienError, match=r"does not see .*; all must, by the same name"):
            reader.read(share)
        (tmp_path / "away").rename(photos)
        assert reader.read(share).images == plan.images > 0


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere/python"])
def test_no_process_apart_is_no_fault_of_a_image(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    reader, plan = planned(photos, tmp_path / "out")
    (share,) = remaining_partitions(reader.store, plan, [])
    AttemptLog(reader.store, 0).begin()
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(MienError, match="no process can be started to read images apart: "):
        reader.read(share)
    assert list((tmp_path / "out").glob("part-*")) == []


def test_tables_with_odd_names_behind_an_address(tmp_path: Path) -> None:
    folder = tmp_path / "some tables"
    folder.mkdir()
    rows = pyarrow.table({"bytes": [DATA], "path": ["x"]})
    for name in ("a b.parquet", "c%20d#e?f.parquet"):
        parquet.write_table(rows, folder / name)
    reader, plan = planned(f"file://{tmp_path}/some%20tables", tmp_path / "out")
    assert [reader.read(share) for share in remaining_partitions(reader.store, plan, [])] == [
        PartitionResult(0, 1, 0, 1),
        PartitionResult(1, 1, 0, 1),
    ]


def test_a_plan_that_is_damaged_or_of_another_place(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    reader, plan = planned("photos", out, size=1)
    check_same(plan, reader.store, "photos", size=1, reading=NANO.identity)
    monkeypatch.chdir(photos)
    with pytest.raises(MienError, match=f"holds the results of photos in {tmp_path}; go on from there"):
        check_same(plan, reader.store, "photos", size=1, reading=NANO.identity)
    lines = out / plan.lines
    whole = lines.read_bytes()
    for content, said in ((whole[: len(whole) // 2], "is cut off"), (b"x\n", "cannot be read")):
        lines.write_bytes(content)
        with pytest.raises(MienError, match=said):
            list(remaining_partitions(reader.store, plan, []))
    lines.unlink()
    with pytest.raises(MienError, match="cannot be read"):
        list(remaining_partitions(reader.store, plan, []))
    (out / HEAD).write_text("{}")
    with pytest.raises(MienError, match="is damaged"):
        load_plan(reader.store)


def test_partition_read_with_a_prior_is_adjusted(photos: Path, tmp_path: Path) -> None:
    """By a recognizer that was saved beside the results and opened again, as each machine of a cluster does."""
    rows = {}
    for prior in (None, "joy=0.1", {"happy": 0.1}):
        store = Store(str(tmp_path / str(len(rows))))
        packed = RecognizerSnapshot.of("nano", prior=prior)
        packed.save(store)
        shares = cut(str(photos), store, size=10)
        plan = make_plan(store, str(photos), shares, size=10, reading=packed.identity)
        (share,) = remaining_partitions(store, plan, [])
        PartitionWorker(RecognizerSnapshot.saved(store), store, plan).read(share)
        rows[str(prior)] = parquet.read_table(f"{store.address}/part-00000000.parquet").to_pylist()
        reader = mien.load("nano", prior=prior)
        for row in (row for row in rows[str(prior)] if row["face"]):
            (face,) = reader.analyze(row["source"]).faces
            assert row["model"] == reader.pipeline.model_name
            assert [row[f"p_{name}"] for name in reader.labels.names] == pytest.approx(face.probabilities, abs=1e-4)
    assert rows["joy=0.1"] == rows["{'happy': 0.1}"] != rows["None"]


def test_results_of_another_prior_are_not_continued(photos: Path, tmp_path: Path) -> None:
    store, (plain, adjusting) = (
        Store(str(tmp_path / "out")),
        (RecognizerSnapshot.of("nano", prior=p) for p in (None, "balanced")),
    )
    plan = make_plan(store, str(photos), cut(str(photos), store, size=10), size=10, reading=plain.identity)
    with pytest.raises(MienError):
        check_same(plan, store, str(photos), size=10, reading=adjusting.identity)
    assert (
        RecognizerSnapshot.of("nano", prior="joy=0.1").identity
        == RecognizerSnapshot.of("nano", prior={"happy": 0.1}).identity
    )
