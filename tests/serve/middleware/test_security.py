"""Host, origin and token checks, and security headers."""

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
def protected() -> Iterator[RunningService]:
    with running(token=TOKEN, hosts=("faces.example.org",), origins=("https://pages.example.org",)) as service:
        yield service


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer"])
def test_v1_routes_without_token_get_401(protected: RunningService, route: str, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    response = protected.http.post(route, content=b"x", headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by its length either: digests of one length, by the function that takes one time for all."""
    compared: list[tuple[bytes, bytes]] = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or original(a, b))
    header = [None, "", "c", TOKEN[:-1], TOKEN + "x", "\xff" * 9, TOKEN]
    assert [is_token(TOKEN, one) for one in header] == [False] * 6 + [True]
    assert {len(part) for pair in compared for part in pair} == {32}
    assert len(compared) == len(header)


def test_v1_routes_with_token_get_200(protected: RunningService) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert protected.http.get("/v1/models", headers=headers).status_code == 200
    assert protected.http.post("/v1/analyze", content=sample().read_bytes(), headers=headers).status_code == 200


def test_other_routes_need_no_token(protected: RunningService) -> None:
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics", "/sample.jpg"):
        assert protected.http.get(path).status_code == 200


@pytest.mark.parametrize("hello", [f'{{"token": "{TOKEN}"}}', '{"token": null}'])
def test_stream_requires_token_in_first_message(protected: RunningService, hello: str) -> None:
    with connect(protected.ws) as socket:
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


@pytest.mark.parametrize(("host", "accepted"), HOSTS)
def test_unknown_host_gets_421(protected: RunningService, host: str, accepted: bool) -> None:
    status, body = protected.raw(f"GET /openapi.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert status == (200 if accepted else 421)
    assert accepted or body["error"]["code"] == "unknown_host"


def test_health_checks_accept_any_host(protected: RunningService) -> None:
    for path in ("/healthz", "/readyz"):
        assert protected.http.get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


ORIGINS: list[tuple[str, bool]] = [
    ("https://pages.example.org", True), ("http://127.0.0.1:{port}", True), ("https://evil.example.org", False),
    ("null", False), ("http://127.0.0.1:1", False), ("https://pages.example.org.evil.org", False), ("127.0.0.1", False),
]  # fmt: skip


@pytest.mark.parametrize(("origin", "accepted"), ORIGINS)
def test_foreign_origin_gets_403(protected: RunningService, origin: str, accepted: bool) -> None:
    origin = origin.format(port=protected.port)
    response = protected.http.get("/healthz", headers={"Origin": origin})
    assert response.status_code == (200 if accepted else 403)
    allowed = response.headers.get("Access-Control-Allow-Origin")
    assert allowed == (origin if "pages" in origin and accepted else None)
    if accepted:
        with connect(protected.ws, origin=origin) as socket:  # type: ignore[arg-type]
            socket.send(f'{{"token": "{TOKEN}"}}')
            assert '"ready":true' in socket.recv(timeout=LONGEST)
    else:
        with pytest.raises(InvalidStatus) as refused, connect(protected.ws, origin=origin):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 403


def test_stream_with_unknown_host_gets_421(served: RunningService) -> None:
    handshake = (
        "GET /v1/stream HTTP/1.1\r\nHost: evil.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    status, body = served.raw(handshake.encode())
    assert (status, body["error"]["code"]) == (421, "unknown_host")


def test_cors_preflight_only_for_allowed_origins(served: RunningService, protected: RunningService) -> None:
    preflight: dict[str, Any] = {
        "headers": {"Origin": "https://pages.example.org", "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "authorization"}
    }  # fmt: skip
    response = protected.http.options("/v1/analyze", **preflight)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "https://pages.example.org"
    assert "authorization" in response.headers["Access-Control-Allow-Headers"].lower()
    assert served.http.options("/v1/analyze", **preflight).status_code == 403


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
        response = served.http.get(path)
        policy = dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "server" not in response.headers
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
