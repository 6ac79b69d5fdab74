"""One partition in this process: other commands, other machines and full disks."""

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
from mien.recognition.cluster.plan import (
    HEAD,
    Plan,
    check_same_plan,
    load_plan,
    make_plan,
    partition_source,
    remaining_partitions,
)
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
        (folder / f"{i}.jpg").write_bytes(DATA if i else DATA[:500])
    return folder


def make_worker(source: object, out: Path, size: int = 10) -> tuple[PartitionWorker, Plan]:
    store = Store(str(out))
    NANO.save(store)
    partitions = partition_source(str(source), store, size=size)
    plan = make_plan(store, str(source), partitions, size=size, recognizer=NANO.identity)
    assert load_plan(store) == plan
    return PartitionWorker(NANO, store, plan), plan


def attempts(out: Path) -> list[Path]:
    return [file for file in (out / "_mien" / "attempts").rglob("*") if file.is_file()]


def test_worker_with_a_full_disk_blames_no_image(photos: Path, tmp_path: Path) -> None:
    """However often the disk is full, all images are read once it is not."""
    out = tmp_path / "out"
    worker, plan = make_worker(photos, out)
    (partition,) = remaining_partitions(worker.store, plan, [])
    AttemptLog(worker.store, 0).start()  # of a process that was killed, so images are read one by one
    in_the_way = out / "part-00000000.parquet"
    in_the_way.mkdir()
    for _ in range(3):
        with pytest.raises(MienError, match=r"partition 0 of .* cannot be written: "):
            worker.process(partition)
        assert len(attempts(out)) == 1
    in_the_way.rmdir()
    assert worker.process(partition) == PartitionResult(0, 3, 1, 2)
    assert attempts(out) == []


def test_worker_keeps_a_file_that_exists(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    worker, plan = make_worker(photos, out)
    (partition,) = remaining_partitions(worker.store, plan, [])
    done = worker.process(partition)
    before = (out / "part-00000000.parquet").stat()
    AttemptLog(worker.store, 0).start()  # of a process that died after it wrote the file
    assert worker.process(partition) == done
    assert attempts(out) == []
    assert (out / "part-00000000.parquet").stat().st_mtime_ns == before.st_mtime_ns


def test_two_commands_that_plan_at_once_do_not_mix(photos: Path, tmp_path: Path) -> None:
    """Equal plans are one; of two different plans the earlier command stops, and its list stays complete."""
    out = tmp_path / "out"
    first, plan = make_worker(photos, out)
    (partition,) = remaining_partitions(first.store, plan, [])
    _, same = make_worker(photos, out)
    assert same == plan
    second, other = make_worker(photos, out, size=2)
    assert len(list(remaining_partitions(first.store, plan, []))) == 1
    assert len(list(remaining_partitions(first.store, other, []))) == 2
    with pytest.raises(MienError, match="another command writes to"):
        first.process(partition)
    assert list(out.glob("part-*")) == []
    assert [second.process(one).images for one in remaining_partitions(second.store, other, [])] == [2, 1]
    _, third = make_worker(photos, out, size=1)
    with pytest.raises(MienError, match="another command writes to"):
        PartitionWorker(NANO, second.store, third).process({"number": 0, "names": [str(photos / "0.jpg")]})
    with pytest.raises(MienError, match="another command writes to"):
        PartitionWorker(RecognizerSnapshot.of("nano", threshold=0.9), first.store, plan)


def test_worker_that_cannot_find_the_source_raises(photos: Path, tmp_path: Path) -> None:
    for i, source in enumerate((photos, photos / "*.jpg", photos / "**" / "*.jpg", photos / "1.jpg")):
        worker, plan = make_worker(source, tmp_path / f"out-{i}")
        (partition,) = remaining_partitions(worker.store, plan, [])
        photos.rename(tmp_path / "away")
        with pytest.raises(MienError, match=r"cannot find .*; all machines need it under the same name"):
            worker.process(partition)
        (tmp_path / "away").rename(photos)
        assert worker.process(partition).images == plan.images > 0


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere/python"])
def test_worker_without_isolated_process_raises(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    worker, plan = make_worker(photos, tmp_path / "out")
    (partition,) = remaining_partitions(worker.store, plan, [])
    AttemptLog(worker.store, 0).start()
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(MienError, match="cannot start a separate process to read images: "):
        worker.process(partition)
    assert list((tmp_path / "out").glob("part-*")) == []


def test_parquet_files_with_odd_names_at_an_address(tmp_path: Path) -> None:
    folder = tmp_path / "some tables"
    folder.mkdir()
    rows = pyarrow.table({"bytes": [DATA], "path": ["x"]})
    for name in ("a b.parquet", "c%20d#e?f.parquet"):
        parquet.write_table(rows, folder / name)
    worker, plan = make_worker(f"file://{tmp_path}/some%20tables", tmp_path / "out")
    assert [worker.process(partition) for partition in remaining_partitions(worker.store, plan, [])] == [
        PartitionResult(0, 1, 0, 1),
        PartitionResult(1, 1, 0, 1),
    ]


def test_plan_damaged_or_of_another_folder_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    worker, plan = make_worker("photos", out, size=1)
    check_same_plan(plan, worker.store, "photos", size=1, recognizer=NANO.identity)
    monkeypatch.chdir(photos)
    with pytest.raises(MienError, match=f"has the results of photos in {tmp_path}; run the command in that folder"):
        check_same_plan(plan, worker.store, "photos", size=1, recognizer=NANO.identity)
    lines = out / plan.partitions_file
    whole = lines.read_bytes()
    for content, message in ((whole[: len(whole) // 2], "is truncated"), (b"x\n", "cannot be read")):
        lines.write_bytes(content)
        with pytest.raises(MienError, match=message):
            list(remaining_partitions(worker.store, plan, []))
    lines.unlink()
    with pytest.raises(MienError, match="cannot be read"):
        list(remaining_partitions(worker.store, plan, []))
    (out / HEAD).write_text("{}")
    with pytest.raises(MienError, match="is damaged"):
        load_plan(worker.store)


def test_partition_read_with_a_prior_is_adjusted(photos: Path, tmp_path: Path) -> None:
    """The recognizer is saved beside the results and loaded again, as on each machine of a cluster."""
    rows = {}
    for prior in (None, "joy=0.1", {"happy": 0.1}):
        store = Store(str(tmp_path / str(len(rows))))
        snapshot = RecognizerSnapshot.of("nano", prior=prior)
        snapshot.save(store)
        partitions = partition_source(str(photos), store, size=10)
        plan = make_plan(store, str(photos), partitions, size=10, recognizer=snapshot.identity)
        (partition,) = remaining_partitions(store, plan, [])
        PartitionWorker(RecognizerSnapshot.load(store), store, plan).process(partition)
        rows[str(prior)] = parquet.read_table(f"{store.address}/part-00000000.parquet").to_pylist()
        worker = mien.load("nano", prior=prior)
        for row in (row for row in rows[str(prior)] if row["face"]):
            (face,) = worker.analyze(row["source"]).faces
            assert row["model"] == worker.pipeline.model_name
            assert [row[f"p_{name}"] for name in worker.labels.names] == pytest.approx(face.probabilities, abs=1e-4)
    assert rows["joy=0.1"] == rows["{'happy': 0.1}"] != rows["None"]


def test_check_same_plan_with_another_prior_raises(photos: Path, tmp_path: Path) -> None:
    store, (plain, adjusting) = (
        Store(str(tmp_path / "out")),
        (RecognizerSnapshot.of("nano", prior=p) for p in (None, "balanced")),
    )
    plan = make_plan(
        store, str(photos), partition_source(str(photos), store, size=10), size=10, recognizer=plain.identity
    )
    with pytest.raises(MienError):
        check_same_plan(plan, store, str(photos), size=10, recognizer=adjusting.identity)
    assert (
        RecognizerSnapshot.of("nano", prior="joy=0.1").identity
        == RecognizerSnapshot.of("nano", prior={"happy": 0.1}).identity
    )
