"""Malicious and malformed requests, generated from a seed, with the expected status codes."""

from __future__ import annotations

import http.client
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from mien.recognition import sample

TOKEN = "correct-horse-battery"
FORM = "multipart/form-data; boundary=X"
_IMAGE_STARTS = (
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    b"II*\0",
    b"P6 ",
)
_OTHER_STARTS = (
    b"BM", b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypheic", b"PK\x03\x04", b"\x1f\x8b",
    b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'>", b"<!DOCTYPE html>", b"\x1a\x45\xdf\xa3", b"",
)  # fmt: skip
_NAMES = (
    "../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/shadow", "a\0b.jpg", "%2e%2e%2fx", "\u202egpj.exe", "",
    "x" * 5000, "C:\\CON", "; rm -rf /", "$(id)", "{{7*7}}", "file:///etc/passwd", "http://169.254.169.254/",
)  # fmt: skip
_PATHS = (
    "/v1/../etc/passwd", "/v1/analyze/../../x", "//v1/analyze", "/page/..%2f..%2fapp.py", "/page/%00", "/.env",
    "/v1/analyze%00", "/wp-login.php", "/page/....//app.py", "/v1", "/v1/", "/V1/ANALYZE",
)  # fmt: skip
_OPTIONS = (
    "min_confidence=nan", "min_confidence=1e999", "tta=%00", "threshold=-1", "max_faces=999999999999999999999",
    "max_faces=%F0%9F%98%80", "threshold=1;drop", "min_confidence=", "tta=none&tta=evil",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request; `statuses` are the acceptable status codes."""

    kind: str
    method: str = "POST"
    path: str = "/v1/analyze"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    statuses: tuple[int, ...] = (422,)


def send(connection: http.client.HTTPConnection, request: Request) -> tuple[int, bytes]:
    """Send a request to a service with `TOKEN`; return status and body of the response."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/jpeg", **request.headers}
    connection.putrequest(request.method, request.path, skip_host="Host" in headers)
    for name, value in {**headers, "Content-Length": str(len(request.body))}.items():
        connection.putheader(name, value)
    connection.endheaders(request.body)
    response = connection.getresponse()
    return response.status, response.read()


def requests(n: int, seed: int = 0) -> Iterator[Request]:
    """Yield `n` requests of all kinds in turn."""
    rng = random.Random(seed)
    kinds = (junk, truncated, huge, disguised, names, forms, paths, options, foreign_origins, wrong_tokens)
    for i in range(n):
        yield kinds[i % len(kinds)](rng)


def junk(rng: random.Random) -> Request:
    """Return the first bytes of some format followed by noise."""
    return Request("junk", body=rng.choice(_IMAGE_STARTS + _OTHER_STARTS) + rng.randbytes(rng.randrange(1, 4000)))


def truncated(rng: random.Random) -> Request:
    """Return a photo that ends before its pixels."""
    data = sample().read_bytes()
    return Request("truncated", body=data[: rng.randrange(1, data.index(b"\xff\xc0") + 8)])


def huge(rng: random.Random) -> Request:
    """Return a few bytes whose header says gigapixels, or 50 megapixels of 16 bits and four channels."""
    side = rng.randrange(20_000, 65_535)
    if rng.random() < 0.2:
        side = 7040  # just below the limit
    chunk = b"IHDR" + struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    zeros = zlib.compress(bytes(100_000))
    idat = struct.pack(">I", len(zeros)) + b"IDAT" + zeros + struct.pack(">I", zlib.crc32(b"IDAT" + zeros))
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + idat
    side_le = struct.pack("<HH", side, side)
    bodies = (
        png + b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND")),
        b"GIF89a" + side_le + b"\x80\0\0" + bytes(6) + b"," + bytes(4) + side_le + b"\0\x02\x02D\x01\0;",
        b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0\xff\x3f\0",
        b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", side, side) + b"\x03\x01\x22\0\x02\x11\1\x03\x11\1\xff\xd9",
        f"P6 {side} {side} 255\n".encode() + bytes(100),
        b"BM" + bytes(12) + struct.pack("<IiiHH", 40, side, side, 1, 24) + bytes(24),
    )
    return Request("huge", body=rng.choice(bodies))


def disguised(rng: random.Random) -> Request:
    """Return another file type with the name and content type of an image."""
    body = rng.choice(_OTHER_STARTS) + rng.randbytes(rng.randrange(100))
    head = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return Request(
        "disguised", headers={"Content-Type": FORM}, body=head + body + b"\r\n--X--\r\n", statuses=(400, 422)
    )


def names(rng: random.Random) -> Request:
    """Return a file name that looks like a path, a command or a URL."""
    name = rng.choice(_NAMES).encode("utf-8", "replace")
    head = b'--X\r\nContent-Disposition: form-data; name="files"; filename="' + name + b'"\r\n\r\n'
    return Request("names", headers={"Content-Type": FORM}, body=head + b"no image\r\n--X--\r\n", statuses=(400, 422))


def forms(rng: random.Random) -> Request:
    """Return forms with a thousand tiny parts, without end, or broken."""
    part = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nx\r\n'
    bodies = (
        part * rng.choice((66, 1000, 10_000)) + b"--X--\r\n",
        part,
        b"--X\r\n" + b"A: b\r\n" * 500 + b"\r\nx\r\n--X--\r\n",
        b"--X\r\nContent-Disposition: form-data; name=" + b"f" * 20_000 + b"\r\n\r\n\r\n--X--",
        b"--X\r\n\r\n--X\r\n\r\n--X--",
        b"--X" * 2000,
        b'--X\r\nContent-Disposition: form-data; name="files"; filename*=x; filename*0=y\r\n\r\nx\r\n--X--\r\n',
        b"--X\r\nContent-Disposition: form-data; name*=x; name*0=y\r\n\r\nx\r\n--X--\r\n",
        rng.randbytes(3000),
    )
    return Request("forms", headers={"Content-Type": FORM}, body=rng.choice(bodies), statuses=(400, 413, 422))


def paths(rng: random.Random) -> Request:
    """Return paths that do not exist."""
    method = rng.choice(("GET", "POST", "PUT", "DELETE", "TRACE", "PROPFIND"))
    return Request(
        "paths", method, rng.choice(_PATHS), body=b"x" if method == "POST" else b"", statuses=(404, 405, 401)
    )


def options(rng: random.Random) -> Request:
    """Return invalid query parameters."""
    return Request("options", path=f"/v1/analyze?{rng.choice(_OPTIONS)}", body=rng.randbytes(50))


def foreign_origins(rng: random.Random) -> Request:
    """Return foreign Host and Origin headers."""
    name = rng.choice(
        ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[::ffff:1.2.3.4]", "a" * 300)
    )
    if rng.random() < 0.5:
        return Request("foreign_origins", headers={"Host": name}, body=b"x", statuses=(421,))
    return Request("foreign_origins", headers={"Origin": f"https://{name}"}, body=b"x", statuses=(403,))


def wrong_tokens(rng: random.Random) -> Request:
    """Return wrong tokens."""
    wrong = rng.choice(("", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xff" * 9, "a" * 5000))
    return Request("wrong_tokens", headers={"Authorization": f"Bearer {wrong}"}, body=b"x", statuses=(401,))
