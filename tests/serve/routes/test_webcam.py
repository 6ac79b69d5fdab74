"""The webcam route: frames in, results out."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cv2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

import videos
from served import RunningService, connect, running
from waiting import LONGEST


def image(x: float = 0.5) -> bytes:
    return cv2.imencode(".jpg", videos.frame(320, 240, (x, 0.5, 0.5, 1.0)))[1].tobytes()


def frame(number: int, data: bytes) -> bytes:
    return struct.pack(">I", number) + data


@contextmanager
def webcam(served: RunningService) -> Iterator[ClientConnection]:
    with connect(served.ws) as socket:
        socket.send('{"token": null}')
        assert json.loads(socket.recv(timeout=LONGEST))["ready"] is True
        yield socket


def receive(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(timeout=LONGEST))


def skipped(served: RunningService) -> float:
    found = re.search(r'^mien_frames_total{outcome="skipped"} (.*)$', served.http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def close_code(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=LONGEST)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_first_message_has_model_and_labels(served: RunningService) -> None:
    with connect(served.ws) as socket:
        socket.send('{"token": "of no use here"}')
        ready = receive(socket)
    assert ready == {"ready": True, "model": "nano", "labels": list(served.service.photos.labels.names), "prior": None}


def test_person_keeps_number_across_frames(served: RunningService) -> None:
    with webcam(served) as socket:
        for i in range(3):
            socket.send(frame(i, image(0.4 + 0.02 * i)))
            response = receive(socket)
            assert (response["frame"], response["skipped"]) == (i, 0)
            assert {key: response["analysis"][key] for key in ("width", "height", "error")} == {
                "width": 320, "height": 240, "error": None
            }  # fmt: skip
            assert [(face["person"], face["label"]) for face in response["analysis"]["faces"]] == [(1, "happy")]


def test_newest_frame_is_analyzed_when_behind(served: RunningService) -> None:
    go = threading.Event()
    loop, batcher = served.loop, served.service.batcher
    with webcam(served) as socket:
        # The only thread is busy, so the first frame waits while others arrive.
        job = asyncio.run_coroutine_threadsafe(batcher.run_in_pool(lambda: go.wait(LONGEST)), loop)
        before = skipped(served)
        socket.send(frame(0, image()))
        for _ in range(1000):
            if served.http.get("/healthz") and batcher.images == 1:
                break
        for number in range(1, 6):
            socket.send(frame(number, image()))
        for _ in range(1000):
            if skipped(served) == before + 4:
                break
        go.set()
        job.result()
        first, last = receive(socket), receive(socket)
    assert (first["frame"], first["skipped"]) == (0, 0)
    assert (last["frame"], last["skipped"]) == (5, 4)


def test_unreadable_frame_gets_error_and_stream_continues(served: RunningService) -> None:
    with webcam(served) as socket:
        socket.send(frame(7, b"no image"))
        response = receive(socket)
        assert (response["frame"], response["skipped"]) == (7, 0)
        assert response["error"]["code"] == "unreadable_image"
        socket.send(frame(2**32 - 1, image()))
        assert receive(socket)["frame"] == 2**32 - 1


@pytest.mark.parametrize("hello", ["", "nonsense", "[]", '{"token": 3}', '"token"', b"\0\0\0\0x", "[" * 5000])
def test_invalid_first_message_closes(served: RunningService, hello: str | bytes) -> None:
    with connect(served.ws) as socket:
        socket.send(hello)
        assert close_code(socket) == 4400


@pytest.mark.parametrize("wrong", ["text", b"", b"\0\0\0\0"])
def test_invalid_frame_closes(served: RunningService, wrong: str | bytes) -> None:
    with webcam(served) as socket:
        socket.send(wrong)
        assert close_code(socket) == 4400


def test_large_frame_closes(served: RunningService) -> None:
    with webcam(served) as socket:
        with suppress(ConnectionClosed):  # it may close before all is sent
            socket.send(bytes(4_000_001))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=LONGEST)
    # The close frame is lost where the connection is reset while the client sends.
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009


def test_long_first_message_closes(served: RunningService) -> None:
    """Otherwise a client without a token could make the service hold frames."""
    with connect(served.ws) as socket:
        with suppress(ConnectionClosed):
            socket.send('{"token": "' + "a" * 20_000 + '"}')
        assert close_code(socket) == 1009
    with webcam(served) as socket:
        socket.send(frame(1, image() + bytes(100_000)))  # data after the end of an image is allowed
        assert receive(socket)["frame"] == 1


@pytest.mark.parametrize("greeted", [False, True])
def test_invalid_utf8_closes_without_traceback(
    served: RunningService, greeted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with webcam(served) if greeted else connect(served.ws) as socket:
        socket.send(b"\xff\xfe", text=True)
        assert close_code(socket) == 4400
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_frame_returns_at_most_64_faces(served: RunningService) -> None:
    with webcam(served) as socket:
        socket.send(frame(0, videos.crowd()))
        assert len(receive(socket)["analysis"]["faces"]) == 64


def test_idle_stream_is_closed(monkeypatch: pytest.MonkeyPatch, served: RunningService) -> None:
    monkeypatch.setattr("mien.serve.routes.webcam.HELLO_SECONDS", 0.05)
    with connect(served.ws) as socket:
        assert close_code(socket) == 4408
    monkeypatch.setattr("mien.serve.routes.webcam.HELLO_SECONDS", 10)
    monkeypatch.setattr("mien.serve.routes.webcam.IDLE_SECONDS", 0.05)
    with webcam(served) as socket:
        assert close_code(socket) == 4408


def test_surplus_webcam_is_closed() -> None:
    with running(streams=1) as small:
        with webcam(small), connect(small.ws) as second:
            second.send('{"token": null}')
            assert close_code(second) == 1013
        with webcam(small) as again:  # the first has disconnected
            again.send(frame(1, image()))
            assert receive(again)["frame"] == 1


def test_unauthorized_stream_is_not_counted() -> None:
    with running(streams=1, token="correct-horse-battery") as small, connect(small.ws), connect(small.ws) as own:
        own.send('{"token": "correct-horse-battery"}')
        assert receive(own)["ready"] is True


def test_frame_with_full_queue_gets_busy() -> None:
    with running(queue=1) as small, webcam(small) as socket:
        with small.service.batcher.reserve(1):
            socket.send(frame(3, image()))
            response = receive(socket)
        assert (response["frame"], response["skipped"], response["error"]["code"]) == (3, 0, "busy")
        assert 'mien_frames_total{outcome="busy"} 1.0' in small.http.get("/metrics").text


def test_disconnect_during_frame_frees_its_slot(served: RunningService) -> None:
    go = threading.Event()
    job = asyncio.run_coroutine_threadsafe(served.service.batcher.run_in_pool(lambda: go.wait(LONGEST)), served.loop)
    with webcam(served) as socket:
        socket.send(frame(0, image()))
        socket.ping().wait(LONGEST)
    go.set()
    job.result()
    with webcam(served) as socket:
        socket.send(frame(0, image()))
        assert receive(socket)["frame"] == 0
    assert served.service.batcher.images == 0
