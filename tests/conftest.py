"""What all tests share: the real data, where it is at hand, and small data sets made on the spot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

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
def fer2013_dir(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with fer2013.csv, fer2013new.csv and fer2013.npz, unpacked from the real data beside the checkout.

    Of several processes that run the tests the first one to ask unpacks it for all.
    """
    if not (SHARED / "make_csv.py").exists():
        pytest.skip(f"needs the real data in {SHARED}")
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "fer2013"
    with FileLock(folder.with_suffix(".lock")):
        if not (done := folder / "done").exists():
            folder.mkdir(exist_ok=True)
            subprocess.run([sys.executable, SHARED / "make_csv.py", folder], check=True, capture_output=True)
            done.touch()
    return folder
