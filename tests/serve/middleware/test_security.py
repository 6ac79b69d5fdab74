"""Who may ask: names, sites, tokens; and what browsers are told."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mien.errors import MienError
from mien.recognition import sample
from mien.serve import Settings
from mien.serve.middleware.security import is_token
from served import RunningService, connect, running
from waiting import LONGEST

TOKEN = "correct-horse-battery"
ROUTES = ("/v1/analyze", "/v1/video", "/v1/models", "/v1/nowhere")


@pytest.fixture(scope="module")
def guarded() -> Iterator[RunningService]:
    with running(token=TOKEN, hosts=("faces.example.org",), origins=("https://pages.example.org",)) as one:
        yield one


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("said", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer"])
def test_v1_routes_without_token_get_401(guarded: RunningService, route: str, said: str | None) -> None:
    headers = {"Authorization": said} if said else {}
    got = guarded.http.post(route, content=b"x", headers=headers)
    assert (got.status_code, got.json()["error"]["code"]) == (401, "unauthorized")
    assert got.headers["WWW-Authenticate"].startswith("Bearer")


def test_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by its length either: digests of one length, by the function that takes one time for all."""
    compared: list[tuple[bytes, bytes]] = []
    usual = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or usual(a, b))
    said = [None, "", "c", TOKEN[:-1], TOKEN + "x", "\xff" * 9, TOKEN]
    assert [is_token(TOKEN, one) for one in said] == [False] * 6 + [True]
    assert {len(part) for pair in compared for part in pair} == {32}
    assert len(compared) == len(said)


def test_v1_routes_with_token_get_200(guarded: RunningService) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.http.get("/v1/models", headers=headers).status_code == 200
    assert guarded.http.post("/v1/analyze", content=sample().read_bytes(), headers=headers).status_code == 200


def test_other_routes_need_no_token(guarded: RunningService) -> None:
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics", "/sample.jpg"):
        assert guarded.http.get(path).status_code == 200


@pytest.mark.parametrize("hello", [f'{{"token": "{TOKEN}"}}', '{"token": null}'])
def test_stream_requires_token_in_first_message(guarded: RunningService, hello: str) -> None:
    with connect(guarded.ws) as socket:
        socket.send(hello)
        if TOKEN in hello:
            assert '"ready":true' in socket.recv(timeout=LONGEST)
        else:
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=LONGEST)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401


HOSTS: list[tuple[str, bool]] = [
    ("localhost", True), ("LOCALHOST:80", True), ("127.0.0.1:8000", True), ("[::1]:8000", True), ("[::1]", True),
    ("faces.example.org", True), ("evil.example.org", False), ("localhost.evil.org", False), ("", False),
    ("faces.example.org.", False), ("0.0.0.0", False), ("localhost:80:80", False),
]  # fmt: skip


@pytest.mark.parametrize(("host", "known"), HOSTS)
def test_unknown_host_gets_421(guarded: RunningService, host: str, known: bool) -> None:
    status, told = guarded.raw(f"GET /openapi.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert status == (200 if known else 421)
    assert known or told["error"]["code"] == "unknown_host"


def test_health_checks_accept_any_host(guarded: RunningService) -> None:
    for path in ("/healthz", "/readyz"):
        assert guarded.http.get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


ORIGINS: list[tuple[str, bool]] = [
    ("https://pages.example.org", True), ("http://127.0.0.1:{port}", True), ("https://evil.example.org", False),
    ("null", False), ("http://127.0.0.1:1", False), ("https://pages.example.org.evil.org", False), ("127.0.0.1", False),
]  # fmt: skip


@pytest.mark.parametrize(("origin", "known"), ORIGINS)
def test_foreign_origin_gets_403(guarded: RunningService, origin: str, known: bool) -> None:
    origin = origin.format(port=guarded.port)
    got = guarded.http.get("/healthz", headers={"Origin": origin})
    assert got.status_code == (200 if known else 403)
    allowed = got.headers.get("Access-Control-Allow-Origin")
    assert allowed == (origin if "pages" in origin and known else None)
    if known:
        with connect(guarded.ws, origin=origin) as socket:  # type: ignore[arg-type]
            socket.send(f'{{"token": "{TOKEN}"}}')
            assert '"ready":true' in socket.recv(timeout=LONGEST)
    else:
        with pytest.raises(InvalidStatus) as refused, connect(guarded.ws, origin=origin):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 403


def test_stream_with_unknown_host_gets_421(served: RunningService) -> None:
    handshake = (
        "GET /v1/stream HTTP/1.1\r\nHost: evil.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    status, told = served.raw(handshake.encode())
    assert (status, told["error"]["code"]) == (421, "unknown_host")


def test_cors_preflight_only_for_allowed_origins(served: RunningService, guarded: RunningService) -> None:
    asked: dict[str, Any] = {
        "headers": {"Origin": "https://pages.example.org", "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "authorization"}
    }  # fmt: skip
    got = guarded.http.options("/v1/analyze", **asked)
    assert got.status_code == 200
    assert got.headers["Access-Control-Allow-Origin"] == "https://pages.example.org"
    assert "authorization" in got.headers["Access-Control-Allow-Headers"].lower()
    assert served.http.options("/v1/analyze", **asked).status_code == 403


def test_origins_are_normalized() -> None:
    given = ("https://Example.org", "https://a.org:443", "http://a.org:80", "http://a.org:443")
    assert Settings(origins=given).origins == (
        "https://example.org",
        "https://a.org",
        "http://a.org",
        "http://a.org:443",
    )


def test_responses_have_security_headers(served: RunningService) -> None:
    for path in ("/", "/docs", "/v1/models", "/nowhere"):
        got = served.http.get(path)
        policy = dict(part.strip().split(" ", 1) for part in got.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in got.headers["Content-Security-Policy"]
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Referrer-Policy"] == "no-referrer"
        assert got.headers["X-Frame-Options"] == "DENY"
        assert got.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "server" not in got.headers
    assert served.http.get("/v1/models").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "short"}, {"token": "with blanks in it"}, {"hosts": ("https://a.org",)}, {"origins": ("a.org",)},
        {"origins": ("*",)}, {"port": 70000}, {"queue": 0}, {"timeout": float("nan")},
        {"timeout": float("inf")}, {"host": ""},
    ],
)  # fmt: skip
def test_settings_with_invalid_value_raise(wrong: dict[str, Any]) -> None:
    with pytest.raises(MienError):
        Settings(**wrong)
