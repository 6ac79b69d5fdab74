"""The command `mien serve`: start, log and shutdown."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from command import MIEN
from mien.recognition import sample
from served import connect
from waiting import LONGEST

IMAGE = sample().read_bytes()


@contextmanager
def command(*words: str, max_files: int = 0, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the command, with a limit of open files if given; yield the process and its port once it is ready."""
    line = [*MIEN, "serve", "--port", "0", "--model", "nano", *words]
    if max_files:
        line = ["sh", "-c", f'ulimit -n {max_files}; exec "$@"', "sh", *line]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            assert process.stderr is not None
            greeting = process.stderr.readline()
            found = re.fullmatch(r"mien is running on http://[\d.]+:(\d+) \(press Ctrl-C to stop\)\n", greeting)
            assert found, greeting
            yield process, int(found[1])
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_finishes_requests_and_exits_with_0(number: signal.Signals) -> None:
    head = f"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(IMAGE)}\r\n\r\n".encode()
    with command() as (process, port):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=LONGEST) as line,
            socket.create_connection(("127.0.0.1", port), timeout=LONGEST) as idle,
            connect(f"ws://127.0.0.1:{port}/v1/stream") as stream,
        ):
            stream.send('{"token": null}')
            stream.recv(timeout=LONGEST)
            line.sendall(head + IMAGE[:1000])
            assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=LONGEST).status_code == 200
            process.send_signal(number)
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(timeout=LONGEST)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012  # service restart
            assert idle.recv(1) == b""
            with pytest.raises(ConnectionRefusedError):  # no new connections
                socket.create_connection(("127.0.0.1", port), timeout=LONGEST)
            line.sendall(IMAGE[1000:])
            response = b""
            while part := line.recv(65536):
                response += part
            assert response.startswith(b"HTTP/1.1 200 ")
            assert b'"label":"happy"' in response
        assert process.wait(LONGEST) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_signal_after_first_line_exits_with_0() -> None:
    with command() as (process, _):
        process.terminate()
        assert process.wait(LONGEST) == 0


def test_connections_beyond_open_file_limit_are_closed() -> None:
    """Surplus connections are closed at once; others keep working."""
    with command(max_files=640) as (process, port):
        with connect(f"ws://127.0.0.1:{port}/v1/stream") as stream, ExitStack() as many:
            stream.send('{"token": null}')
            stream.recv(timeout=LONGEST)
            for _ in range(700):
                many.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LONGEST))
            stream.send(bytes(4) + IMAGE)
            assert '"happy"' in str(stream.recv(timeout=LONGEST))
        process.terminate()
        assert process.stderr is not None
        log = process.stderr.read()
    assert "Traceback" not in log
    assert "out of system resource" not in log


def test_access_log_has_ids_but_no_content() -> None:
    with command() as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST) as client:
            one = client.post("/v1/analyze?min_confidence=0.31", files={"files": ("holiday.jpg", IMAGE)})
            two = client.get("/a%0Ab", headers={"X-Request-ID": "proxy-1", "User-Agent": "curious"})
            three = client.get("/healthz", headers={"X-Request-ID": "a b\x7f"})
        process.terminate()
        log = process.communicate(timeout=LONGEST)[1]
    assert two.headers["X-Request-ID"] == "proxy-1"
    assert re.fullmatch("[0-9a-f]{16}", three.headers["X-Request-ID"])
    lines = [line.split(" ", 2)[2] for line in log.splitlines()]
    assert lines[0].startswith(f"{one.headers['X-Request-ID']} POST /v1/analyze 200 ")
    assert lines[1].startswith("proxy-1 GET /a%0Ab 404 ")
    assert len(lines) == 3
    for word in ("holiday", "0.31", "curious", "happy", "127.0.0.1"):
        assert word not in log


def test_uploads_leave_no_files(tmp_path: Path) -> None:
    """Home folder, temporary folder and working folder stay empty."""
    here = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    with command(**here) as (_, port):
        files = [("files", ("a.jpg", IMAGE)), ("files", ("b.bmp", b"BM" + bytes(5_000_000)))]
        assert httpx.post(f"http://127.0.0.1:{port}/v1/analyze", files=files, timeout=LONGEST).status_code == 200
    assert list(tmp_path.rglob("*")) == []


def mien(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [*MIEN, "serve", *words]
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ, **environment}, timeout=LONGEST)


def test_startup_error_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = mien("--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert re.fullmatch(r"mien: cannot listen on 127\.0\.0\.1, port \d+: .*; choose another .*--port\n", done.stderr)
    for words, environment, message in (
        (["--model", "photos"], {}, "model not found: photos"),
        (["--host", "192.0.2.1"], {}, "cannot listen on 192.0.2.1"),
        (["--host", 70 * "ü" + ".org"], {}, "cannot listen on üü"),
        (["--allow-host", "https://a.org"], {}, "host must be a name without scheme"),
        ([], {"MIEN_TOKEN": "short"}, "MIEN_TOKEN must be 8 to 512"),
    ):
        done = mien("--port", "0", *words, **environment)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert message in done.stderr


def test_public_host_prints_warnings() -> None:
    with command("--host", "0.0.0.0") as (process, _):
        assert process.stderr is not None
        assert "--allow-host NAME" in process.stderr.readline()
        assert "set MIEN_TOKEN" in process.stderr.readline()


def test_missing_extra_prints_install_command() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['mien', 'serve']\n"
        "from mien.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "mien: the service needs the extra 'serve'. Install it with: pip install 'mien[serve]'\n"
