"""`mien analyze --ray` with a local Ray, without Ray, and with options that do not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from pyarrow import parquet

from machines import ray_folder
from mien.imaging.load import read_image
from mien.recognition import sample


def run(*words: object, before: str = "pass", at: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; {before}; sys.argv[0] = 'mien'; from mien.__main__ import main; main()"
    command = [sys.executable, "-c", code, "analyze", *map(str, words)]
    environment = {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1", "MIEN_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=at, env=environment)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(5):
        cv2.imwrite(str(folder / f"{i}.jpg"), cv2.resize(read_image(sample()), (120 + i, 120)))
    (folder / "no.jpg").write_text("not an image")
    return folder


@pytest.fixture
def _own_ray() -> Iterator[None]:
    with ray_folder():
        yield


@pytest.mark.cluster
@pytest.mark.usefixtures("_own_ray")
def test_local_ray_gives_the_rows_of_one_process(photos: Path) -> None:
    """Ray is started and stopped; the rows are those of one process; and the run can be resumed."""
    words = ["photos", "--model", "nano"]
    done = run(*words, "--ray", "local", "--out", "out", "--partition", 2, at=photos.parent)
    message = "mien: 1 of 6 images could not be read; see the error in their rows\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)
    assert run(*words, "--out", "alone.parquet", at=photos.parent).returncode == 1
    rows = [row for f in sorted((photos.parent / "out").glob("*.parquet")) for row in parquet.read_table(f).to_pylist()]
    assert rows == parquet.read_table(photos.parent / "alone.parquet").to_pylist()
    assert [row["source"] for row in rows] == [*(f"photos/{i}.jpg" for i in range(5)), "photos/no.jpg"]
    again = run(*words, "--ray", "local", "--out", "out", "--partition", 2, "--resume", at=photos.parent)
    assert (again.returncode, again.stdout, again.stderr) == (1, "", message)


def test_without_ray_the_error_names_the_extra(photos: Path) -> None:
    done = run("photos", "--ray", "local", "--out", "out", before="sys.modules['ray'] = None", at=photos.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "mien: reading on a cluster needs the extra 'cluster'. Install it with: pip install 'mien[cluster]'\n"
    )
    assert not (photos.parent / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos", "--ray", "local"], "--ray needs one folder, pattern or Parquet file"),
        (["a", "b", "--ray", "local", "--out", "out"], "--ray needs one folder, pattern or Parquet file"),
        (["--sample", "--ray", "local", "--out", "out"], "--sample cannot be used with --ray"),
        (["photos", "--format", "csv", "--ray", "local", "--out", "out"], "--format cannot be used with --ray"),
        (["photos", "--annotate", "a", "--ray", "local", "--out", "out"], "--annotate cannot be used with --ray"),
        (["photos", "--ray", "127.0.0.1:1", "--out", "out"], "no Ray cluster answers at 127.0.0.1:1 ("),
        (["photos", "--model", "gone", "--ray", "local", "--out", "out"], "model not found"),
    ],
)
def test_options_that_do_not_fit_are_refused(photos: Path, words: list[str], said: str) -> None:
    done = run(*words, at=photos.parent)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"mien: {said}")
