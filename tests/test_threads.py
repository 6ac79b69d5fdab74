"""One setting for threads, and who comes before whom."""

from __future__ import annotations

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


def test_the_engine_obeys_in_a_fresh_process() -> None:
    code = "import torch; from mien.train.engine import engine; engine('cpu'); print(torch.get_num_threads())"
    clean = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    for setting, expected in ({"MIEN_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "1"}, 1):
        done = subprocess.run([sys.executable, "-c", code], env={**clean, **setting}, capture_output=True, text=True)
        assert done.stdout.strip() == str(expected), done.stderr


def test_the_engine_takes_no_more_threads_than_the_caller_asked_of_torch() -> None:
    code = (
        "import torch; torch.set_num_threads(1); from mien.train.engine import engine; engine('cpu'); "
        "print(torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr
