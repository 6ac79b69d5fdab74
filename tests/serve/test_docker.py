"""The Dockerfile and the compose file follow their rules; their commands run on a read-only file system."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

import mien
from mien.serve.config import PORT
from suite import debian
from waiting import LONGEST

ROOT = Path(__file__).parents[2]
LINES = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
STEPS = [line.split(" ", 1) for line in LINES if line and not line.startswith("#")]
LAST = STEPS[max(i for i, (word, _) in enumerate(STEPS) if word == "FROM") :]  # of the final image


def arguments_of(word: str) -> list[str]:
    return [rest for name, rest in LAST if name == word]


def test_image_is_slim_and_runs_unprivileged() -> None:
    assert all(rest.startswith("python:3.11-slim") for word, rest in STEPS if word == "FROM")
    assert arguments_of("USER") == ["10001:10001"]
    order = [word for word, _ in LAST]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert "PYTHONDONTWRITEBYTECODE=1" in arguments_of("ENV")[0]
    assert not arguments_of("VOLUME")
    assert "MIEN_TOKEN" not in (ROOT / "Dockerfile").read_text()


def test_dockerignore_allows_only_copied_files() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[0] == "*"
    copied = {name.rstrip("/") for word, rest in STEPS if word == "COPY" and "--from" not in rest
              for name in rest.split()[:-1]}  # fmt: skip
    assert {name.removeprefix("./") for name in copied} == {line[1:] for line in ignore if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_compose_is_read_only_and_local() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["mien"]
    assert service["read_only"] is True
    assert service["user"] == arguments_of("USER")[0]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert arguments_of("EXPOSE") == [str(PORT)]


def test_commands_run_on_read_only_file_system(tmp_path: Path) -> None:
    """Run the entry point and the health check in an empty folder without write permission."""
    words = json.loads(arguments_of("ENTRYPOINT")[0])
    check = json.loads(arguments_of("HEALTHCHECK")[0].split("CMD ", 1)[1])
    assert words[0] == "mien"
    assert check[0] == "python"
    tmp_path.chmod(0o555)
    # Root can write everywhere unless it drops its capabilities.
    drop = [debian("util-linux", "setpriv"), "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1",
                   "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(mien.__file__).parents[1])}  # fmt: skip
    run = [*drop, sys.executable, "-m", *words, "--port", "0"]
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
        assert process.stderr is not None
        greeting = process.stderr.readline()
        port = re.search(r"http://0\.0\.0\.0:(\d+) ", greeting)
        assert port, greeting + process.stderr.read()
        code = check[2].replace(f":{PORT}/", f":{port[1]}/")
        done = subprocess.run([sys.executable, check[1], code], capture_output=True, text=True, timeout=LONGEST)
        assert done.returncode == 0, done.stderr
        process.terminate()
        assert process.wait(LONGEST) == 0
    done = subprocess.run([sys.executable, check[1], code], capture_output=True, timeout=LONGEST)
    assert done.returncode != 0  # the check can fail
    assert list(tmp_path.iterdir()) == []
