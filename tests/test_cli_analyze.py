"""`mien analyze` by its real entry point: output, files and exit codes."""

from __future__ import annotations

import contextlib
import csv
import inspect
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from command import MIEN
from mien.cli.analyze import analyze
from mien.imaging.load import read_image
from mien.recognition import sample
from waiting import LONGEST, wait_until

PORTRAIT = read_image(sample())
ENVIRONMENT = {**os.environ, "COLUMNS": "100", "PYTHONUTF8": "1", "NO_COLOR": "1"}


def run(*words: object, at: Path | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", "analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, cwd=at, env=ENVIRONMENT, text=True, **options)  # type: ignore[call-overload, no-any-return]


def everything_on(terminal: int) -> str:
    """Return all text that is written to a terminal until its other end is closed."""
    parts = []
    with contextlib.suppress(OSError):  # Linux: the other end is closed
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    return b"".join(parts).decode()


def on_a_terminal(*words: object, at: Path) -> tuple[int, str]:
    """Return exit code and screen of a run whose stdout and stderr are a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mien", "analyze", *map(str, words)]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, cwd=at, env=ENVIRONMENT)
    os.close(theirs)
    screen = everything_on(ours)
    os.close(ours)
    return process.wait(), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)  # without colors and bold


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two portraits, one of them in a subfolder, a group, an image without a face, and a truncated one."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    shutil.copy(sample(), folder / "a.jpg")
    cv2.imwrite(str(folder / "below" / "a.png"), cv2.resize(PORTRAIT, (400, 400)))
    cv2.imwrite(str(folder / "group.jpg"), np.hstack([PORTRAIT[:400, :400]] * 2))
    cv2.imwrite(str(folder / "wall.png"), np.full((90, 120, 3), 128, np.uint8))
    (folder / "cut.jpg").write_bytes(sample().read_bytes()[:5000])
    return folder


def test_sample_is_analyzed() -> None:
    done = run("--sample")
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    assert (results["source"], results["error"], len(results["faces"])) == ("sample.jpg", None, 1)
    assert results["faces"][0]["label"] == "happy"


def test_terminal_shows_a_table_with_bars(tmp_path: Path) -> None:
    code, screen = on_a_terminal("--sample", at=tmp_path)
    assert code == 0
    assert "sample.jpg  512 x 512, 1 face" in screen
    assert "█████" in screen
    assert all(name in screen for name in mien.FER7.names)


def test_terminal_shows_a_line_per_face_for_a_folder(photos: Path) -> None:
    code, screen = on_a_terminal(photos.name, at=photos.parent)
    assert code == 1
    assert screen.count("happy") == 4
    assert "photos/wall.png  no face" in screen
    assert "5 of 5 images, 4 faces" in screen
    assert "mien: 1 of 5 images could not be read; see the error in their rows" in screen


def test_progress_bar_goes_to_stderr_only(photos: Path) -> None:
    """stderr a terminal, stdout a pipe: the lines are clean."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mien", "analyze", str(photos)]
    with (
        ThreadPoolExecutor(1) as pool,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=ENVIRONMENT) as process,
    ):
        os.close(theirs)
        shown = pool.submit(everything_on, ours)
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        screen = shown.result()
    os.close(ours)
    assert len([json.loads(line) for line in lines]) == 5
    assert "images/s" in screen


@pytest.mark.parametrize(("named", "code"), [("a.jpg", 0), ("wall.png", 0), ("cut.jpg", 1), ("gone.jpg", 1), (".", 1)])
def test_exit_code_tells_whether_all_images_were_read(photos: Path, named: str, code: int) -> None:
    done = run(named, "--format", "jsonl", at=photos)
    assert done.returncode == code
    assert [bool(json.loads(line)["error"]) for line in done.stdout.splitlines()].count(True) == code
    assert "Traceback" not in done.stderr


def test_json_is_one_document_and_csv_a_row_per_face(photos: Path) -> None:
    found = json.loads(run(photos, "--format", "json").stdout)
    assert [len(one["faces"]) for one in found] == [1, 0, 2, 0, 1]
    table = list(csv.DictReader(io.StringIO(run(photos, "--format", "csv").stdout)))
    assert [row["face"] for row in table] == ["1", "", "1", "2", "", "1"]
    assert table[1]["error"].startswith(str(photos / "cut.jpg"))


def test_standard_input_beside_other_paths(photos: Path) -> None:
    with sample().open("rb") as portrait:
        done = run("-", photos / "wall.png", stdin=portrait)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["source"], len(one["faces"])) for one in results] == [("-", 1), (str(photos / "wall.png"), 0)]


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_out_suffix_selects_the_format(photos: Path, suffix: str) -> None:
    out = photos.parent / "new" / f"faces.{suffix}"
    done = run(photos / "a.jpg", photos / "group.jpg", "--out", out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert out.stat().st_size > 100
    sidecar = [f"{out.name}.resume.json"] if suffix in ("jsonl", "csv", "parquet") else []
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, *sidecar]


def test_synonym_and_nothing_to_resume_are_noted(tmp_path: Path) -> None:
    out = tmp_path / "new.csv"
    done = run("--sample", "--prior", "joy=0.4", "--out", out, "--resume")
    assert done.returncode == 0
    assert f"mien: nothing to resume: {out} does not exist; starting a new file\n" in done.stderr
    assert "mien: --prior: 'joy' is a synonym of the class 'happy'\n" in done.stderr


@pytest.mark.slow
def test_options_reach_the_recognizer(photos: Path) -> None:
    def faces(*words: object) -> list[dict[str, object]]:
        return json.loads(run(photos / "group.jpg", *words).stdout)["faces"]  # type: ignore[no-any-return]

    assert [face["label"] for face in faces("--min-confidence", 1)] == ["uncertain"] * 2
    assert faces("--threshold", 0.999) == []
    assert len(faces("--max-faces", 1)) == 1
    assert faces("--detector", "whole")[0]["box"] == {"left": 200, "top": 0, "width": 400, "height": 400}
    # With the whole image, since the probabilities of the face alone differ only after four digits.
    results = [faces("--detector", "whole", *more)[0]["probabilities"] for more in ((), ("--tta", "flip"))]
    assert results[0] != results[1]
    assert faces("--longest-side", 320)[0]["box"] != faces()[0]["box"]
    assert json.loads(run(photos / "a.jpg", "--model", "base").stdout)["model"] == "base"
    assert "above the limit" in json.loads(run(photos / "a.jpg", "--max-pixels", 1000).stdout)["error"]
    assert "above the limit" in json.loads(run(photos / "a.jpg", "--max-bytes", 1000).stdout)["error"]


def test_defaults_equal_those_of_load() -> None:
    """An option and the argument of `mien.load` that it stands for."""
    renamed = {"model": "name_or_path"}
    ours = {renamed.get(n, n): p.default for n, p in inspect.signature(analyze).parameters.items()}
    theirs = {n: p.default for n, p in inspect.signature(mien.load).parameters.items() if n != "threads"}
    assert theirs.keys() <= ours.keys()
    assert mien.load().model.card.name == ours.pop("name_or_path")
    del theirs["name_or_path"]
    assert {n: ours[n] for n in theirs} == theirs


# ---- annotated images


def test_annotated_images_keep_the_layout(photos: Path) -> None:
    before = {f: f.read_bytes() for f in photos.rglob("*.*")}
    seen = photos / "seen"
    for _ in range(2):  # the second time the copies exist and are not analyzed
        assert run(photos, "--annotate", seen).returncode == 1
        there = sorted(str(f.relative_to(seen)) for f in seen.rglob("*.*"))
        assert there == ["a.jpg", "below/a.png", "group.jpg", "wall.png"]
    assert {f: f.read_bytes() for f in before} == before
    drawn = cv2.imread(str(seen / "below" / "a.png"))
    assert (drawn != cv2.resize(PORTRAIT, (400, 400))).any()


def test_annotated_images_over_images_are_refused(photos: Path) -> None:
    done = run("photos", "--annotate", "photos", at=photos.parent)
    assert done.returncode == 2
    assert done.stderr.startswith("mien: photos/a.jpg would be overwritten")


def test_sample_beside_an_image_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results and annotated copies of both have different names."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("sample.jpg", np.full((90, 120, 3), 128, np.uint8))
    analyze(["sample.jpg"], sample=True, model="nano", annotate=Path("seen"), out=Path("a.jsonl"))
    results = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert [(one["source"], one["width"]) for one in results] == [(str(sample()), 512), ("sample.jpg", 120)]
    assert cv2.imread("seen/sample.jpg").shape == (512, 512, 3)
    assert cv2.imread("seen/sample-2.jpg").shape == (270, 360, 3)  # small ones are drawn larger


# ---- stopped and resumed


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_resume_analyzes_no_image_twice(photos: Path, suffix: str) -> None:
    out = photos.parent / f"faces.{suffix}"
    assert run(photos / "a.jpg", photos / "cut.jpg", "--out", out).returncode == 1
    first = out.read_bytes()
    done = run(photos, "--out", out, "--resume")
    assert done.returncode == 1  # the one that could not be read is still not read
    if suffix != "parquet":
        assert out.read_bytes().startswith(first)
    names = _sources(out)
    assert len(names) == 6 if suffix != "jsonl" else 5
    assert len(set(names)) == 5
    before = out.read_bytes()
    assert run(photos, "--out", out, "--resume").returncode == 1
    assert _sources(out) == names
    assert suffix == "parquet" or out.read_bytes() == before


@pytest.mark.parametrize(
    ("other", "recorded"),
    [
        ("--model base", "model=photo"),
        ("--tta flip", "tta=none"),
        ("--threshold 0.999 --longest-side 320", "longest_side=1280, threshold=0.65"),
        ("--prior balanced", "prior=None"),
    ],
)
def test_resume_with_other_options_is_refused(photos: Path, other: str, recorded: str) -> None:
    """Otherwise a file would have rows of different models or options."""
    out = photos.parent / "faces.csv"
    assert run(photos / "a.jpg", "--out", out).returncode == 0
    before = out.read_bytes()
    done = run(photos, "--out", out, "--resume", *other.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"cannot resume: {out} was written with other options ({recorded})" in done.stderr
    assert "use the same options or another --out" in done.stderr
    assert out.read_bytes() == before


def test_prior_gives_the_results_of_the_library(photos: Path) -> None:
    out = photos.parent / "faces.jsonl"
    for _ in range(2):  # the second time all images are done, with the same prior
        done = run(photos / "a.jpg", photos / "group.jpg", "--out", out, "--prior", "fear=0.4", *["--resume"] * _)
        assert (done.returncode, done.stderr) == (0, "")
    reader = mien.load(prior="fear=0.4")
    wanted = [reader.analyze(photos / name).to_dict() for name in ("a.jpg", "group.jpg")]
    assert [json.loads(line) for line in out.read_text().splitlines()] == wanted


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "json"])
def test_stopped_command_keeps_results_and_can_be_resumed(tmp_path: Path, number: int, suffix: str) -> None:
    folder, out = tmp_path / "photos", tmp_path / f"faces.{suffix}"
    folder.mkdir()
    for i in range(300):
        os.link(_small(tmp_path), folder / f"{i:03}.jpg")
    command = [*MIEN, "analyze", "photos", "--out", str(out), "--annotate", "seen"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    # One batch is written, and some images of the next.
    wait_until(lambda: process.poll() is not None or len(list((tmp_path / "seen").glob("*"))) >= 70, "70 images")
    process.send_signal(number)
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 128 + number
    message = f"mien: stopped; results so far are in {out}"
    assert err == message + ("\n" if suffix == "json" else "; run the same command with --resume to continue\n")
    kept = _sources(out)
    assert 64 <= len(kept) < 300
    assert kept == [f"photos/{i:03}.jpg" for i in range(len(kept))]
    if suffix != "json":
        assert run("photos", "--out", out, "--resume", at=tmp_path).returncode == 0
        assert _sources(out) == [f"photos/{i:03}.jpg" for i in range(300)]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_killed_command_can_be_resumed(tmp_path: Path, suffix: str) -> None:
    folder, out = tmp_path / "photos", tmp_path / f"faces.{suffix}"
    folder.mkdir()
    for i in range(200):
        os.link(_small(tmp_path), folder / f"{i:03}.jpg")
    process = subprocess.Popen([*MIEN, "analyze", "photos", "--out", str(out)], cwd=tmp_path, env=ENVIRONMENT)
    wait_until(lambda: process.poll() is not None or (out.exists() and out.read_bytes().count(b"\n") > 10), "10 rows")
    process.kill()
    process.wait()
    assert run("photos", "--out", out, "--resume", at=tmp_path).returncode == 0
    assert _sources(out) == [f"photos/{i:03}.jpg" for i in range(200)]


def _small(folder: Path) -> Path:
    file = folder / "small.jpg"
    if not file.exists():
        cv2.imwrite(str(file), cv2.resize(PORTRAIT, (160, 160)))
    return file


def _sources(out: Path) -> list[str]:
    if out.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(out).column("source").to_pylist()  # type: ignore[no-any-return]
    if out.suffix == ".json":
        return [one["source"] for one in json.loads(out.read_text())]
    if out.suffix == ".jsonl":
        return [json.loads(line)["source"] for line in out.read_text().splitlines()]
    with out.open(newline="") as file:
        return [row["source"] for row in csv.DictReader(file)]


def test_closed_pipe_gives_no_traceback(photos: Path) -> None:
    command = f"{sys.executable} -m mien analyze {photos} | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no input; pass images, folders or patterns"),
        (["--sample", "--resume"], "--resume needs the file to continue: use --out"),
        (["--sample", "--out", "a.json", "--resume"], "cannot resume a json file"),
        (["--sample", "--out", "a.xls"], "unknown file name extension of a.xls"),
        (["--sample", "--format", "xml"], "unknown format 'xml'"),
        (["--sample", "--model", "nono"], "model not found: nono"),
        (["--sample", "--detector", "eyes"], "yunet, whole"),
        (["--sample", "--threshold", "2"], "above 0 and at most 1"),
        (["--sample", "--min-confidence", "-1"], "from 0 to 1"),
        (["--sample", "--tta", "spin"], "tta must be one of none, flip"),
        (["--sample", "--out", "x.txt"], "unknown file name extension of x.txt; use one of .json, "),
        (["--sample", "--prior", "happy=0"], "the fraction of happy must be a number above 0"),
        (["--sample", "--longest-side", "0"], "longest_side must be a whole number"),
        (["--sample", "--format", "parquet"], "use --out faces.parquet"),
        (["--sample", "--partition", "5"], "--partition needs --ray"),
        (["--nonsense"], "No such option"),
        (["."], "no images in ."),
    ],
)
def test_mistakes_exit_with_2_and_one_sentence(words: list[str], said: str, tmp_path: Path) -> None:
    done = run(*words, at=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_analyze_works_without_the_extras() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning_fabric', 'safetensors', 'matplotlib', 'pyarrow', 'av', 'PIL', 'pandas'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = ['mien', 'analyze', '--sample', '--format', 'csv']\n"
        "from mien.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sample.jpg,1,1,happy" in done.stdout
