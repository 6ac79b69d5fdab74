"""Images read on a real cluster: every one of them once, whatever dies meanwhile, and as one process reads them."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from machines import LocalCluster, local_cluster
from mien.errors import MienError
from mien.imaging.load import read_image
from mien.recognition import analyze_on_cluster, analyze_sources, find_sources, load, open_writer, sample
from waiting import wait_until

pytestmark = pytest.mark.cluster

PORTRAIT = read_image(sample())
POISON = Path(__file__).parent / "poison"
SIZE = 12  # images to a partition
SURE = 0.97  # of some of the portraits the model is less sure
NANO: dict[str, Any] = {"name_or_path": "nano", "size": SIZE}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster(2, POISON) as some:
        yield some


@pytest.fixture
def machines(cluster: LocalCluster) -> LocalCluster:
    cluster.repair()
    return cluster


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Portraits that differ, a group, walls, files that are no images, and names of every kind; 60 in all."""
    folder, rng = tmp_path_factory.mktemp("spread") / "photos", np.random.default_rng(0)
    (folder / "below" / "further").mkdir(parents=True)
    for i in range(52):
        side = int(rng.integers(110, 170))
        image_HW3 = cv2.convertScaleAbs(cv2.resize(PORTRAIT, (side, side)), alpha=rng.uniform(0.6, 1.2))
        cv2.imwrite(str(folder / ("", "below", "below/further")[i % 3] / f"{i:03}.jpg"), image_HW3)
    cv2.imwrite(str(folder / "group.jpg"), np.hstack([cv2.resize(PORTRAIT, (160, 160))] * 3))
    for i in range(3):
        cv2.imwrite(str(folder / f"wall-{i}.png"), np.full((90, 120, 3), 60 * i, np.uint8))
    (folder / "cut.jpg").write_bytes(sample().read_bytes()[:5000])
    (folder / "no.jpg").write_text("no image")
    (folder / "empty.jpg").touch()
    shutil.copy(folder / "000.jpg", os.fsencode(folder) + b"/\xff.jpg")
    return folder


def alone(folder: Path, out: Path, **options: Any) -> list[dict[str, Any]]:
    """What `mien analyze --format parquet` writes."""
    recognizer = load("nano", **options)
    with open_writer("parquet", recognizer.labels.names, out=out) as writer:
        for _, analysis in analyze_sources(recognizer, find_sources([folder])):
            writer.write(analysis)
    return parquet.read_table(out).to_pylist()  # type: ignore[no-any-return]


def table(out: Path) -> list[dict[str, Any]]:
    """All rows, in the order of the files."""
    return [row for file in sorted(out.glob("*.parquet")) for row in parquet.read_table(file).to_pylist()]


def left_over(out: Path) -> list[str]:
    return [str(file.relative_to(out)) for file in (out / "_mien").rglob("*") if file.parent.name != "_mien"]


def images_in(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["source"] for row in rows if row["face"] in (None, 1))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_node_that_is_killed_costs_no_image(machines: LocalCluster, photos: Path, tmp_path: Path) -> None:
    """Each image once, all rows those of one process, though one is killed in the middle of a partition."""
    here, gate = tmp_path / "photos", tmp_path / "gate"
    shutil.copytree(photos, here)
    order = [Path(source.name) for source in find_sources([here])]
    for number in range(1, 5):  # all partitions but the first are held where a few images have been read
        held = next(one for one in order[number * SIZE + 4 :] if len(one.stem) == 3)
        held.write_bytes(held.read_bytes() + b"held until there is " + os.fsencode(gate))
    expected = alone(here, tmp_path / "alone.parquet")
    out = tmp_path / "out"
    with closing(analyze_on_cluster(here, out, address=machines.address, **NANO)) as going:
        plan, first = next(going)
        wait_until(lambda: len(list(tmp_path.glob("gate.*"))) == 2, "two actors at work")
        at_work = [int(file.suffix[1:]) for file in tmp_path.glob("gate.*")]
        machines.kill_node()
        wait_until(lambda: sum(map(is_alive, at_work)) == 1, "the end of one of them")
        gate.touch()
        done = [first, *(one for _, one in going)]
    assert (plan.images, plan.partitions) == (60, 5)
    assert sorted(one.number for one in done) == list(range(5))
    assert sum(one.images for one in done) == 60
    assert sum(one.unread for one in done) == 3
    assert table(out) == expected
    assert set(images_in(table(out)).values()) == {1}
    assert left_over(out) == []


def test_finished_partitions_are_not_done_again(machines: LocalCluster, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with closing(analyze_on_cluster(photos, out, address=machines.address, **NANO)) as going:  # as Ctrl-C does
        first = [next(going)[1].number for _ in range(2)]
    told = {f"part-{number:08d}.parquet" for number in first}
    assert told <= {file.name for file in out.glob("*.parquet")}
    for file in out.glob("*.parquet"):
        if file.name not in told:
            file.unlink()  # on a fast machine all are finished by now, and nothing would be left to do
    kept = {file: file.stat().st_mtime_ns for file in out.glob("*.parquet")}
    again = [one for _, one in analyze_on_cluster(photos, out, address=machines.address, resume=True, **NANO)]
    assert sorted(one.number for one in again) == list(range(5))
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert set(images_in(table(out)).values()) == {1}
    assert sum(one.images for one in again) == 60
    # With all done, no cluster is asked.
    assert len(list(analyze_on_cluster(photos, out, address="127.0.0.1:1", resume=True, **NANO))) == 5


def test_a_image_that_ends_the_process_costs_one_row(machines: LocalCluster, tmp_path: Path) -> None:
    """Also where one ends it as the kernel does when memory is out."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    data = cv2.imencode(".jpg", cv2.resize(PORTRAIT, (150, 150)))[1].tobytes()
    for i in range(2 * SIZE):
        (folder / f"{i:02}.jpg").write_bytes(data + {3: b"poison", 7: b"glutton"}.get(i, b""))
    done = [one for _, one in analyze_on_cluster(folder, out, address=machines.address, **NANO)]
    assert sorted((one.number, one.images, one.unread) for one in done) == [(0, SIZE, 2), (1, SIZE, 0)]
    rows = table(out)
    assert [row["source"] for row in rows] == [f"{folder}/{i:02}.jpg" for i in range(2 * SIZE)]
    errors = {Path(row["source"]).stem: row["error"] for row in rows if row["error"]}
    assert errors.keys() == {"03", "07"}
    assert "signal 11 (SIGSEGV)" in errors["03"]
    assert "signal 9 (SIGKILL)" in errors["07"]
    read = [{**row, "source": ""} for row in rows if not row["error"]]
    assert all(row == read[0] for row in read)
    assert read[0]["faces"] == 1
    assert left_over(out) == []


@pytest.mark.parametrize("form", ["flat", "struct"])
def test_images_in_parquet(machines: LocalCluster, photos: Path, tmp_path: Path, form: str) -> None:
    """Behind an address, in and out: rows are those of the same images in a folder."""
    expected = alone(photos, tmp_path / "alone.parquet", min_confidence=SURE)
    assert len({row["label"] == "uncertain" for row in expected if row["face"]}) == 2
    held = [{"bytes": Path(s.name).read_bytes(), "path": s.name} for s in find_sources([photos]) if s.name.isascii()]
    rows = held if form == "flat" else [{"image": one, "label": 0} for one in held]
    shards = tmp_path / "shards"
    shards.mkdir()
    for i, some in enumerate((rows[:31], rows[31:])):
        parquet.write_table(pyarrow.Table.from_pylist(some), shards / f"{i}.parquet", row_group_size=5)
    source, out = f"file://{shards}", f"local://{tmp_path}/out"  # the second is fsspec's alone
    told = list(analyze_on_cluster(source, out, address=machines.address, min_confidence=SURE, **NANO))
    assert {plan.partitions for plan, _ in told} == {6}  # two row groups of five each, and what is left
    assert [r for r in expected if r["source"].isascii() and "\\" not in r["source"]] == table(tmp_path / "out")


@pytest.mark.smoke
def test_a_folder_behind_an_address_is_read_as_the_folder_is(
    machines: LocalCluster, photos: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    shutil.copytree(photos / "below", few)
    (few / "cut.jpg").write_bytes(sample().read_bytes()[:5000])
    expected = alone(few, tmp_path / "alone.parquet")
    list(analyze_on_cluster(f"file://{few}", f"file://{tmp_path}/out", address=machines.address, **NANO))
    for row in (got := table(tmp_path / "out")):
        row["source"] = row["source"].removeprefix("file://")
        row["error"] = row["error"] and row["error"].removeprefix("file://")
    assert got == expected


# ---- what is refused, before any cluster is asked


def _refused(*words: Any, **options: Any) -> str:
    with pytest.raises(MienError) as told:
        list(analyze_on_cluster(*words, address="127.0.0.1:1", **{**NANO, **options}))
    assert "\n" not in str(told.value)
    return str(told.value)


def test_what_cannot_be_read(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert _refused(tmp_path / "empty", tmp_path / "a").startswith(f"no images in {tmp_path}/empty: none ends with")
    assert _refused(tmp_path / "emp*", tmp_path / "a").startswith(f"no images in {tmp_path}/emp*: none ends with")
    assert "standard input" in _refused("-", tmp_path / "a")
    (tmp_path / "torn.parquet").write_bytes(b"torn")
    assert "cannot be read as parquet" in _refused(tmp_path / "torn.parquet", tmp_path / "a")
    for gone in ("gone.jpg", "gone.parquet", "gone/*.jpg"):
        assert (
            _refused(tmp_path / gone, tmp_path / "a") == f"this machine sees nothing that is called {tmp_path / gone}"
        )
    assert "nor by fsspec" in _refused("nothing://bucket", tmp_path / "a")
    assert "one image or more" in _refused(photos, tmp_path / "a", size=0)
    one = pyarrow.table({"a": [b"1"], "b": [b"2"]})
    parquet.write_table(one, tmp_path / "two.parquet")
    assert "which column holds the bytes of its images: it has a, b" in _refused(
        tmp_path / "two.parquet", tmp_path / "a"
    )
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_gone_on_with(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no Ray cluster answers at 127.0.0.1:1" in _refused(photos, out)
    assert "say --resume to go on" in _refused(photos, out)
    assert "holds the results of" in _refused(photos / "below", out, resume=True)
    assert "images to a partition; give the options of then" in _refused(photos, out, resume=True, size=5)
    assert "threshold is 0.9 now, and was 0.65" in _refused(photos, out, resume=True, threshold=0.9)
    assert "model is another one now" in _refused(photos, out, resume=True, name_or_path="base")
    (out / "part-00000001.parquet").write_bytes(b"torn")
    assert "part-00000001.parquet is damaged" in _refused(photos, out, resume=True)
    (out / "_mien" / "plan.json").unlink()
    assert "holds results, but no _mien/plan.json" in _refused(photos, out)
