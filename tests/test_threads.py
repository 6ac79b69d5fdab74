"""One setting for threads, and who comes before whom."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mien import threads
from mien.errors import MienError


@pytest.fixture(autouse=True)
def _no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIEN_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_the_setting_comes_before_openmps_and_that_before_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= threads.threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert threads.threads() == 5
    monkeypatch.setenv("MIEN_THREADS", "3")
    assert threads.threads() == 3


@pytest.mark.parametrize("bad", ["0", "-1", "two", "1.5", "²", "9" * 12])
def test_what_is_no_number_of_threads_is_refused(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_THREADS", bad)
    with pytest.raises(MienError, match=f"MIEN_THREADS is the number of threads to use, .* not '{bad}'"):
        threads.threads()


@pytest.mark.parametrize(("said", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1)])
def test_a_containers_quota_counts(said: str, cores: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(said + "\n")
    assert threads._quota(tmp_path / "cpu.max") == cores


@pytest.mark.parametrize("said", ["max 100000", ""])
def test_no_quota_is_no_limit(said: str, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(said)
    assert threads._quota(tmp_path / "cpu.max") > 10_000
    assert threads._quota(tmp_path / "none") > 10_000


@pytest.fixture(scope="module")
def engines() -> dict[str, int]:
    """How many threads torch has after `make_fabric`: by each setting, and where the caller wanted one.

    All in one fresh process, as most of what it does is to import torch.
    """
    code = (
        "import json, os, torch\n"
        "from mien.train.fabric import make_fabric\n"
        "usual, told = torch.get_num_threads(), {}\n"
        "for name, number in ('MIEN_THREADS', 3), ('OMP_NUM_THREADS', 1), ('caller', 1):\n"
        "    torch.set_num_threads(number if name == 'caller' else usual)\n"
        "    os.environ[name] = str(number)\n"
        "    make_fabric('cpu')\n"
        "    told[name] = torch.get_num_threads()\n"
        "    del os.environ[name]\n"
        "print(json.dumps(told))\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("MIEN_THREADS", "OMP_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, int] = json.loads(done.stdout)
    return told


def test_the_engine_obeys_in_a_fresh_process(engines: dict[str, int]) -> None:
    assert engines["MIEN_THREADS"] == 3
    assert engines["OMP_NUM_THREADS"] == 1


def test_the_engine_takes_no_more_threads_than_the_caller_asked_of_torch(engines: dict[str, int]) -> None:
    assert engines["caller"] == 1
