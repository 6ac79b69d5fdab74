"""What all tests share: the real data, where it is at hand, small data made on the spot, and the command line."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

import models
from mien.__main__ import main
from mien.data import load, sketch, write_csv
from mien.labels import FERPLUS_COLUMNS
from suite import (  # noqa: F401  hooks of the whole suite
    pytest_collection_modifyitems,
    pytest_make_collect_report,
    pytest_runtest_makereport,
    pytest_terminal_summary,
    pytest_xdist_make_scheduler,
    scratch,
)

# Where the real data may lie: MIEN_FER2013, else a folder beside the checkout.
SHARED = Path(os.environ.get("MIEN_FER2013", Path(__file__).resolve().parents[2] / "shared" / "fer2013"))

# Albumentations would ask the network for a newer version when it is imported.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Tests neither read nor fill the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MIEN_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def fer2013_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fer2013.csv, fer2013new.csv and fer2013.npz, unpacked from the real data beside the checkout.

    Of several processes that run the tests the first one to ask unpacks it for all.
    """
    if not (SHARED / "make_csv.py").exists():
        pytest.skip(f"needs the data {SHARED}")
    folder = scratch(tmp_path_factory) / "fer2013"
    with FileLock(folder.with_suffix(".lock")):
        if not (done := folder / "done").exists():
            folder.mkdir(exist_ok=True)
            subprocess.run([sys.executable, SHARED / "make_csv.py", folder], check=True, capture_output=True)
            done.touch()
    return folder


@pytest.fixture
def no_privilege() -> Iterator[None]:
    """Have root obey the modes of files, as any other user does, until the test is over."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    effective = sets[0]
    sets[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, sets) == 0
    yield
    sets[0] = effective
    assert libc.capset(header, sets) == 0


@pytest.fixture
def mien(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `mien WORDS...`; gives exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mien", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "160")
        capfd.readouterr()
        with pytest.raises(SystemExit) as done:
            main()
        said = capfd.readouterr()
        return int(done.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sketch in fer2013.csv's form, with all three splits."""
    path = tmp_path_factory.mktemp("data") / "small.csv"
    write_csv(path, sketch(train=70, val=35, test=35))
    return path


@pytest.fixture(scope="module")
def votes(csv: Path) -> Path:
    """FER+ votes for it: nine of ten raters see class 0, the first face of each split excepted, which all call fear."""
    path = csv.parent / "votes.csv"
    lines, seen = [",".join(("Usage", "Image name", *FERPLUS_COLUMNS))], set()
    for line in csv.read_text().splitlines()[1:]:
        usage = line.split(",")[2]
        counts = [0, 0, 0, 0, 9, 1, 0, 0, 0, 0] if usage in seen else [0, 0, 0, 0, 0, 0, 10, 0, 0, 0]
        seen.add(usage)
        lines.append(",".join((usage, "x.png", *map(str, counts))))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def model(csv: Path, tmp_path: Path) -> Path:
    """The folder of a model that learned from the csv, its epoch and temperature chosen on validation."""
    about = {"name": "sketch", "digest": load(csv).digest, "faces": {"train": 70, "val": 35, "test": 35}}
    return models.write_model(tmp_path / "model", data=about)
