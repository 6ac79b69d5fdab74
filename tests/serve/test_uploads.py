"""Uploaded files stay in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from starlette.formparsers import MultiPartParser

from served import RunningService

FILES = [("files", ("a.bmp", b"BM" + bytes(5_000_000))), ("files", ("b.bmp", b"BM" + bytes(3_000_000)))]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the functions that were called to write a temporary file."""
    calls: list[str] = []

    def record(name: str) -> None:
        original = getattr(tempfile, name)
        monkeypatch.setattr(tempfile, name, lambda *args, **kwargs: calls.append(name) or original(*args, **kwargs))

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        record(name)
    rollover = tempfile.SpooledTemporaryFile.rollover
    monkeypatch.setattr(
        tempfile.SpooledTemporaryFile, "rollover", lambda file: calls.append("rollover") or rollover(file)
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return calls


def test_form_with_large_files_is_not_written_to_disk(
    served: RunningService, written: list[str], tmp_path: Path
) -> None:
    response = served.http.post("/v1/analyze", files=FILES)
    assert response.status_code == 200
    assert [result["source"] for result in response.json()["results"]] == ["a.bmp", "b.bmp"]
    assert written == []
    assert list(tmp_path.iterdir()) == []


def test_form_of_starlette_itself_would_be_written_to_disk(
    served: RunningService, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    monkeypatch.setattr("mien.serve.uploads._FormParser.spool_max_size", MultiPartParser.spool_max_size)
    served.http.post("/v1/analyze", files=FILES)
    assert "rollover" in written


@pytest.mark.parametrize("charset", ["undefined", "idna", "utf-16", "unicode_escape", "base64", "nonsense"])
def test_form_with_odd_charset_is_parsed_or_rejected(served: RunningService, charset: str) -> None:
    body = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a."\r\n\r\nno image\r\n--X--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=X; charset={charset}"}
    response = served.http.post("/v1/analyze", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["code"] in ("damaged_form", "unknown_field", "unreadable_image")


@pytest.mark.parametrize("disposition", [b"form-data", b"", b'form-data; filename="a"', b'form-data; name="files"'])
def test_part_without_field_or_file_name_is_rejected(served: RunningService, disposition: bytes) -> None:
    body = b"--X\r\nContent-Disposition: " + disposition + b"\r\n\r\nno image\r\n--X--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=X"}
    response = served.http.post("/v1/analyze", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["code"] in ("damaged_form", "unknown_field")


@pytest.mark.parametrize("field", [b'name="files"', b'name="photo"; filename="a.jpg"'])
def test_unknown_part_is_rejected_before_its_data(served: RunningService, field: bytes) -> None:
    """Also with more data than a text field may have, and before the form ends."""
    body = b"--X\r\nContent-Disposition: form-data; " + field + b"\r\n\r\n" + bytes(2_000_000)
    headers = {"Content-Type": "multipart/form-data; boundary=X"}
    response = served.http.post("/v1/analyze", content=body, headers=headers)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "unknown_field"
