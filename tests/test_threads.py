"""The number of threads: the order of the settings, and the quota of a container."""

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


def test_threads_mien_threads_before_omp_before_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= threads.threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert threads.threads() == 5
    monkeypatch.setenv("MIEN_THREADS", "3")
    assert threads.threads() == 3


@pytest.mark.parametrize("bad", ["0", "-1", "two", "1.5", "²", "9" * 12])
def test_threads_invalid_setting_raises(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_THREADS", bad)
    with pytest.raises(MienError, match=f"MIEN_THREADS must be a whole number from 1 to 9999, got '{bad}'"):
        threads.threads()


@pytest.mark.parametrize(("content", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1)])
def test_quota_of_a_container_rounds_up(content: str, cores: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(content + "\n")
    assert threads._quota(tmp_path / "cpu.max") == cores


@pytest.mark.parametrize("content", ["max 100000", ""])
def test_quota_missing_is_unlimited(content: str, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert threads._quota(tmp_path / "cpu.max") > 10_000
    assert threads._quota(tmp_path / "none") > 10_000


@pytest.fixture(scope="module")
def fabric_threads() -> dict[str, int]:
    """Return torch's number of threads after `make_fabric`, for each setting and for a caller that set torch to one.

    All of them run in one new process, because importing torch takes most of the time.
    """
    code = (
        "import json, os, torch\n"
        "from mien.train.fabric import make_fabric\n"
        "default, result = torch.get_num_threads(), {}\n"
        "for name, number in ('MIEN_THREADS', 3), ('OMP_NUM_THREADS', 1), ('caller', 1):\n"
        "    torch.set_num_threads(number if name == 'caller' else default)\n"
        "    os.environ[name] = str(number)\n"
        "    make_fabric('cpu')\n"
        "    result[name] = torch.get_num_threads()\n"
        "    del os.environ[name]\n"
        "print(json.dumps(result))\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("MIEN_THREADS", "OMP_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, int] = json.loads(done.stdout)
    return result


def test_make_fabric_uses_the_setting(fabric_threads: dict[str, int]) -> None:
    assert fabric_threads["MIEN_THREADS"] == 3
    assert fabric_threads["OMP_NUM_THREADS"] == 1


def test_make_fabric_keeps_fewer_torch_threads(fabric_threads: dict[str, int]) -> None:
    assert fabric_threads["caller"] == 1
