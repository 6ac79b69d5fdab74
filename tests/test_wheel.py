"""What a stranger gets: the wheel in an empty environment, with its dependencies and no torch, outside the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
import videos
from mien.data import load
from mien.recognition import sample
from waiting import LONGEST

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[1]
# Where the index cannot be reached: these, out of the environment that runs the tests, and what they need.
NEEDED = (
    "numpy", "numpy.libs", "onnxruntime", "cv2", "opencv_python_headless.libs", "rich", "typer", "flatbuffers",
    "google", "packaging", "markdown_it", "mdurl", "pygments", "shellingham", "typing_extensions.py", "annotated_doc",
    "annotated_types", "pydantic", "pydantic_core", "typing_inspection", "click",
)  # fmt: skip
NEEDED_TO_SERVE = (
    "anyio", "av", "av.libs", "fastapi", "h11", "idna", "prometheus_client", "python_multipart", "starlette", "uvicorn",
    "websockets",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that neither the checkout nor what an earlier build left there has a part in it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    words = ["wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "dist", folder]
    built = pip(sys.executable, *words)
    if built.returncode:  # no index: with the setuptools that is here
        built = pip(sys.executable, *words, "--no-build-isolation")
    if built.returncode and "setuptools" in built.stderr:
        pytest.skip(f"a wheel needs setuptools, and there is neither an index nor one here: {built.stderr[-300:]}")
    assert built.returncode == 0, built.stderr
    (file,) = (folder / "dist").glob("mien-*.whl")
    return file


@dataclass(frozen=True)
class Stranger:
    """An environment that holds the wheel and its dependencies alone, in a folder of its own."""

    place: Path

    @property
    def bin_folder(self) -> Path:
        return self.place / "env" / ("Scripts" if os.name == "nt" else "bin")

    @property
    def environment(self) -> dict[str, str]:
        place = self.place
        return {"PATH": "/usr/bin:/bin", "COLUMNS": "120", "HOME": str(place), "MIEN_CACHE": str(place / "cache")}

    def install(self, what: str | Path, needed: tuple[str, ...]) -> None:
        """The wheel, with extras or without; `needed` is what it needs, where there is no index to ask."""
        python = self.bin_folder / "python"
        done = pip(python, "install", "--quiet", what)
        if done.returncode:
            print(
                f"the index cannot be reached, so the dependencies are those of this environment: {done.stderr[-300:]}"
            )
            borrow(python, needed)
            done = pip(python, "install", "--quiet", "--no-deps", what)
        assert done.returncode == 0, done.stderr

    def run(self, program: str, *words: object, at: Path | None = None) -> str:
        """What one of its programs says."""
        command = [self.bin_folder / program, *map(str, words)]
        told = subprocess.run(command, cwd=at or self.place, capture_output=True, text=True, env=self.environment)
        assert (told.returncode, told.stderr) == (0, ""), told.stdout + told.stderr
        return told.stdout


@pytest.fixture(scope="module")
def stranger(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    one = Stranger(tmp_path_factory.mktemp("stranger"))
    subprocess.run([sys.executable, "-m", "venv", one.place / "env"], check=True)
    one.install(wheel, NEEDED)
    return one


def pip(python: str | Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "pip", "--disable-pip-version-check", *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def borrow(python: Path, names: tuple[str, ...]) -> None:
    """Link what is named, and nothing else, into the empty environment."""
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    there = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    for name in names:
        if (source := Path(np.__file__).parents[1] / name).exists():
            (there / name).symlink_to(source)


@pytest.mark.smoke
def test_the_wheel_holds_the_package_and_every_shipped_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "src" / "mien"
    files = {f"mien/{f.relative_to(package)}" for f in package.rglob("*") if f.is_file() and f.suffix != ".pyc"}
    assert inside == files


def test_it_runs_without_torch_and_away_from_the_checkout(stranger: Stranger) -> None:
    code = (
        "import importlib.util, mien; "
        "print(mien.__file__, *(importlib.util.find_spec(name) for name in ('torch', 'onnx', 'matplotlib')))"
    )
    told = stranger.run("python", "-c", code).split()
    assert "site-packages" in told[0]
    assert str(ROOT) not in told[0]
    assert told[1:] == ["None"] * 3


def test_shipped_models_open_and_are_judged(stranger: Stranger, tmp_path: Path) -> None:
    code = (
        "import mien, numpy, mien.model\n"
        "for name in mien.model.shipped_models():\n"
        "    model = mien.load(name)\n"
        "    told = model.probabilities(numpy.zeros((2, 48, 48), 'uint8'))\n"
        "    print(name, *told.shape, len(model.labels))\n"
    )
    lines = [line.split() for line in stranger.run("python", "-c", code).splitlines()]
    told = stranger.run("mien", "models", "--json", tmp_path / "models.json")
    assert [line[0] for line in lines] == list(json.loads((tmp_path / "models.json").read_text())["models"])
    for name, faces, classes, labels in lines:
        assert (faces, classes) == ("2", labels)
        assert name in told
        if classes == "7":
            assert "faces" in stranger.run("mien", "evaluate", name, "--data", "sketch", "--split", "val")


def test_the_sample_is_read(stranger: Stranger) -> None:
    code = (
        "import mien, mien.recognition\n"
        "print(*(face.label for face in mien.load().analyze(mien.recognition.sample()).faces))"
    )
    assert stranger.run("python", "-c", code) == "happy\n"


def test_a_model_of_ones_own_opens_and_is_judged(stranger: Stranger, tmp_path: Path) -> None:
    models.write_model(tmp_path / "own")
    code = "import mien; model = mien.load('own'); print(*model.labels.names, model.model.card.name)"
    assert stranger.run("python", "-c", code, at=tmp_path) == "angry disgust fear happy sad surprise neutral toy\n"
    words = ("evaluate", "own", "--data", "sketch", "--split", "val", "--json", "f.json", "--predictions", "p.npy")
    told = stranger.run("mien", *words, at=tmp_path)
    val = load("sketch")["val"]
    by_hand_NK = models.by_hand(val.pixels_NHW, 7)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), by_hand_NK, atol=2e-5)
    accuracy = json.loads((tmp_path / "f.json").read_text())["accuracy"]
    assert accuracy == (by_hand_NK.argmax(1) == val.labels_N).mean()
    assert f"accuracy {100 * accuracy:.1f} %" in told


def test_the_service_answers_and_ends_in_peace(stranger: Stranger, wheel: Path, tmp_path: Path) -> None:
    """Last of all, as the extras go into the same environment."""
    stranger.install(f"{wheel}[serve,video]", NEEDED_TO_SERVE)
    film = videos.write(tmp_path / "a.mp4", lambda i: videos.frame(160, 120, (0.5, 0.5, 0.6, 1.0)), videos.times(3))
    command = [stranger.bin_folder / "mien", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=stranger.place, env=stranger.environment
    ) as process:
        try:
            assert process.stderr is not None
            greeting = process.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", greeting)
            assert address, greeting + process.stderr.read()

            def ask(path: str, body: bytes | None = None) -> dict[str, Any]:
                kind = {} if body is None else {"Content-Type": "application/octet-stream"}
                asked = urllib.request.Request(address[0] + path, body, kind)
                with urllib.request.urlopen(asked, timeout=LONGEST) as answer:
                    return json.load(answer)

            assert ask("/healthz") == {"status": "alive"}
            (told,) = ask("/v1/analyze", sample().read_bytes())["results"]
            assert [face["label"] for face in told["faces"]] == ["happy"]
            assert len(ask("/v1/video", film.read_bytes())["frames"]) == 3
            process.terminate()
            assert process.wait(LONGEST) == 0
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
