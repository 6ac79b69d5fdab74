"""Images analyzed on a real cluster: each exactly once, whatever dies, with the results of one process."""

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
MIN_CONFIDENCE = 0.97  # some of the portraits are below it
NANO: dict[str, Any] = {"name_or_path": "nano", "size": SIZE}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster(2, POISON) as machines:
        yield machines


@pytest.fixture
def machines(cluster: LocalCluster) -> LocalCluster:
    cluster.repair()
    return cluster


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Different portraits, a group, walls, files that are not images, and file names of every kind; 60 in all."""
    folder, rng = tmp_path_factory.mktemp("spread") / "photos", np.random.default_rng(0)
    (folder / "below" / "further").mkdir(parents=True)
    for i in range(52):
        side = int(rng.integers(110, 170))
        image_HW3 = cv2.convertScaleAbs(cv2.resize(PORTRAIT, (side, side)), alpha=rng.uniform(0.6, 1.2))
        cv2.imwrite(str(folder / ("", "below", "below/further")[i % 3] / f"{i:03}.jpg"), image_HW3)
    cv2.imwrite(str(folder / "group.jpg"), np.hstack([cv2.resize(PORTRAIT, (160, 160))] * 3))
    for i in range(3):
        cv2.imwrite(str(folder / f"wall-{i}.png"), np.full((90, 120, 3), 60 * i, np.uint8))
    (folder / "cut.jpg").write_bytes(sample().read_bytes()[:500])
    (folder / "no.jpg").write_text("not an image")
    (folder / "empty.jpg").touch()
    shutil.copy(folder / "000.jpg", os.fsencode(folder) + b"/\xff.jpg")
    return folder


def analyze_locally(folder: Path, out: Path, **options: Any) -> list[dict[str, Any]]:
    """What `mien analyze --format parquet` writes."""
    recognizer = load("nano", **options)
    with open_writer("parquet", recognizer.labels.names, out=out) as writer:
        for _, analysis in analyze_sources(recognizer, find_sources([folder])):
            writer.write(analysis)
    return parquet.read_table(out).to_pylist()  # type: ignore[no-any-return]


def table(out: Path) -> list[dict[str, Any]]:
    """All rows, in the order of the files."""
    return [row for file in sorted(out.glob("*.parquet")) for row in parquet.read_table(file).to_pylist()]


def leftovers(out: Path) -> list[str]:
    return [str(file.relative_to(out)) for file in (out / "_mien").rglob("*") if file.parent.name != "_mien"]


def image_counts(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["source"] for row in rows if row["face"] in (None, 1))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_node_killed_while_reading_costs_no_image(machines: LocalCluster, photos: Path, tmp_path: Path) -> None:
    """Each image is there once, with the rows of one process, although a node is killed within a partition."""
    here, gate = tmp_path / "photos", tmp_path / "gate"
    shutil.copytree(photos, here)
    order = [Path(source.name) for source in find_sources([here])]
    for number in range(1, 5):  # all partitions but the first pause after a few images
        held = next(path for path in order[number * SIZE + 4 :] if len(path.stem) == 3)
        held.write_bytes(held.read_bytes() + b"held until there is " + os.fsencode(gate))
    expected = analyze_locally(here, tmp_path / "alone.parquet")
    out = tmp_path / "out"
    with closing(analyze_on_cluster(here, out, address=machines.address, **NANO)) as run:
        plan, first = next(run)
        wait_until(lambda: len(list(tmp_path.glob("gate.*"))) == 2, "two actors at work")
        at_work = [int(file.suffix[1:]) for file in tmp_path.glob("gate.*")]
        machines.kill_node()
        wait_until(lambda: sum(map(is_alive, at_work)) == 1, "the end of one of them")
        gate.touch()
        done = [first, *(result for _, result in run)]
    assert (plan.images, plan.partitions) == (60, 5)
    assert sorted(one.number for one in done) == list(range(5))
    assert sum(one.images for one in done) == 60
    assert sum(one.unread for one in done) == 3
    assert table(out) == expected
    assert set(image_counts(table(out)).values()) == {1}
    assert leftovers(out) == []


def test_resume_keeps_finished_partitions(machines: LocalCluster, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with closing(analyze_on_cluster(photos, out, address=machines.address, **NANO)) as run:  # as Ctrl-C does
        first = [next(run)[1].number for _ in range(2)]
    results = {f"part-{number:08d}.parquet" for number in first}
    assert results <= {file.name for file in out.glob("*.parquet")}
    for file in out.glob("*.parquet"):
        if file.name not in results:
            file.unlink()  # on a fast machine all are finished by now
    kept = {file: file.stat().st_mtime_ns for file in out.glob("*.parquet")}
    again = [result for _, result in analyze_on_cluster(photos, out, address=machines.address, resume=True, **NANO)]
    assert sorted(one.number for one in again) == list(range(5))
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert set(image_counts(table(out)).values()) == {1}
    assert sum(one.images for one in again) == 60
    # If all partitions are finished, no cluster is joined.
    assert len(list(analyze_on_cluster(photos, out, address="127.0.0.1:1", resume=True, **NANO))) == 5


def test_image_that_crashes_the_process_costs_one_row(machines: LocalCluster, tmp_path: Path) -> None:
    """Also an image that has the process killed for memory."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    data = cv2.imencode(".jpg", cv2.resize(PORTRAIT, (150, 150)))[1].tobytes()
    for i in range(2 * SIZE):
        (folder / f"{i:02}.jpg").write_bytes(data + {3: b"poison", 7: b"glutton"}.get(i, b""))
    done = [result for _, result in analyze_on_cluster(folder, out, address=machines.address, **NANO)]
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
    assert leftovers(out) == []


@pytest.mark.parametrize("form", ["flat", "struct"])
def test_images_in_parquet_give_the_rows_of_a_folder(
    machines: LocalCluster, photos: Path, tmp_path: Path, form: str
) -> None:
    """Input and output are addresses; the rows are those of the same images in a folder."""
    expected = analyze_locally(photos, tmp_path / "alone.parquet", min_confidence=MIN_CONFIDENCE)
    assert len({row["label"] == "uncertain" for row in expected if row["face"]}) == 2
    held = [{"bytes": Path(s.name).read_bytes(), "path": s.name} for s in find_sources([photos]) if s.name.isascii()]
    rows = held if form == "flat" else [{"image": one, "label": 0} for one in held]
    shards = tmp_path / "shards"
    shards.mkdir()
    for i, some in enumerate((rows[:31], rows[31:])):
        parquet.write_table(pyarrow.Table.from_pylist(some), shards / f"{i}.parquet", row_group_size=5)
    source, out = f"file://{shards}", f"local://{tmp_path}/out"  # the second is known only to fsspec
    results = list(analyze_on_cluster(source, out, address=machines.address, min_confidence=MIN_CONFIDENCE, **NANO))
    assert {plan.partitions for plan, _ in results} == {6}  # two row groups of five each, and a rest
    assert [r for r in expected if r["source"].isascii() and "\\" not in r["source"]] == table(tmp_path / "out")


@pytest.mark.smoke
def test_folder_at_an_address_gives_the_rows_of_the_folder(
    machines: LocalCluster, photos: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    shutil.copytree(photos / "below", few)
    (few / "cut.jpg").write_bytes(sample().read_bytes()[:500])
    expected = analyze_locally(few, tmp_path / "alone.parquet")
    list(analyze_on_cluster(f"file://{few}", f"file://{tmp_path}/out", address=machines.address, **NANO))
    for row in (got := table(tmp_path / "out")):
        row["source"] = row["source"].removeprefix("file://")
        row["error"] = row["error"] and row["error"].removeprefix("file://")
    assert got == expected


# ---- errors before a cluster is joined


def error_of(*words: Any, **options: Any) -> str:
    with pytest.raises(MienError) as error:
        list(analyze_on_cluster(*words, address="127.0.0.1:1", **{**NANO, **options}))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_source_that_cannot_be_read_iserror_of(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert error_of(tmp_path / "empty", tmp_path / "a").startswith(
        f"no images in {tmp_path}/empty: no file name ends with"
    )
    assert error_of(tmp_path / "emp*", tmp_path / "a").startswith(
        f"no images in {tmp_path}/emp*: no file name ends with"
    )
    assert "standard input" in error_of("-", tmp_path / "a")
    (tmp_path / "torn.parquet").write_bytes(b"torn")
    assert "cannot be read as parquet" in error_of(tmp_path / "torn.parquet", tmp_path / "a")
    for gone in ("gone.jpg", "gone.parquet", "gone/*.jpg"):
        assert error_of(tmp_path / gone, tmp_path / "a") == f"no such file or folder on this machine: {tmp_path / gone}"
    assert "pyarrow or fsspec" in error_of("nothing://bucket", tmp_path / "a")
    assert "at least one image" in error_of(photos, tmp_path / "a", size=0)
    one = pyarrow.table({"a": [b"1"], "b": [b"2"]})
    parquet.write_table(one, tmp_path / "two.parquet")
    assert "which column has the bytes of the images: it has a, b" in error_of(tmp_path / "two.parquet", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_resume_with_other_source_or_options_iserror_of(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no Ray cluster answers at 127.0.0.1:1" in error_of(photos, out)
    assert "use --resume to continue" in error_of(photos, out)
    assert "has the results of" in error_of(photos / "below", out, resume=True)
    assert "written with other options (partition=12)" in error_of(photos, out, resume=True, size=5)
    assert "written with other options (threshold=0.65)" in error_of(photos, out, resume=True, threshold=0.9)
    assert "written with other options (model, card)" in error_of(photos, out, resume=True, name_or_path="base")
    (out / "part-00000001.parquet").write_bytes(b"torn")
    assert "part-00000001.parquet is damaged" in error_of(photos, out, resume=True)
    (out / "_mien" / "plan.json").unlink()
    assert "has results but no _mien/plan.json" in error_of(photos, out)
