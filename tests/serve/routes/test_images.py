"""Routes for images and videos, health checks, metrics and the files of the page."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import mien
import videos
from mien.imaging.load import MAX_PIXELS
from mien.prior import apply_prior
from mien.recognition import sample
from mien.serve import schema
from mien.serve.query import with_options
from mien.serve.routes.page import FOLDER
from served import RunningService, running

PORTRAIT = sample().read_bytes()
FORM = ("files", ("portrait.jpg", PORTRAIT))


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """Result of the library for the sample image."""
    return mien.load("nano", threads=1).analyze(PORTRAIT).to_dict()


def error(response: httpx.Response) -> dict[str, str]:
    assert set(response.json()) == {"error"}
    assert set(response.json()["error"]) == {"code", "message", "hint"}
    return response.json()["error"]


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", None])
def test_raw_image_returns_its_result(served: RunningService, expected: dict[str, Any], kind: str | None) -> None:
    response = served.http.post("/v1/analyze", content=PORTRAIT, headers={"Content-Type": kind} if kind else {})
    assert response.status_code == 200
    assert response.json() == {"results": [expected]}


def test_files_return_results_in_order(served: RunningService, expected: dict[str, Any]) -> None:
    files = [FORM, ("files", ("../etc/\\notes.txt", b"no image")), ("files", ("C:\\me\\b.jpg", PORTRAIT))]
    results = served.http.post("/v1/analyze", files=files).json()["results"]
    assert [result["source"] for result in results] == ["portrait.jpg", "notes.txt", "b.jpg"]
    assert [len(result["faces"]) for result in results] == [1, 0, 1]
    assert results[0] == {**expected, "source": "portrait.jpg"}
    assert results[1]["error"].startswith("notes.txt: not an image file")


def test_single_unreadable_file_gets_422(served: RunningService) -> None:
    response = served.http.post("/v1/analyze", files={"files": ("notes.txt", b"no image")})
    assert response.status_code == 422
    body = error(response)
    assert body["code"] == "unreadable_image"
    assert body["message"].startswith("notes.txt: not an image file")


def test_options_equal_those_of_load(served: RunningService) -> None:
    load = {name: one.default for name, one in inspect.signature(mien.load).parameters.items()}
    api = served.http.get("/openapi.json").json()["paths"]
    for path in ("/v1/analyze", "/v1/video"):
        body = {one["name"]: one["schema"].get("default") for one in api[path]["post"]["parameters"]}
        shared = {"min_confidence", "tta", "threshold", "max_faces"}
        assert {name: body[name] for name in shared} == {name: load[name] for name in shared}

    def read(**options: object) -> dict[str, Any]:
        return served.http.post("/v1/analyze", params=options, content=PORTRAIT).json()["results"][0]

    assert read(threshold=1)["faces"] == []
    assert read(min_confidence=1)["faces"][0]["label"] in ("uncertain", "happy")
    plain, flipped = read()["faces"][0]["probabilities"], read(tta="flip")["faces"][0]["probabilities"]
    assert flipped == mien.load("nano", threads=1, tta="flip").analyze(PORTRAIT).faces[0].to_dict()["probabilities"]
    assert plain.keys() == flipped.keys()


@pytest.mark.parametrize("tta", ["none", "flip"])
def test_service_with_a_prior_adjusts_each_face(served: RunningService, tta: str) -> None:
    with running(prior="balanced") as balanced:
        body = [
            one.http.post("/v1/analyze", params={"tta": tta}, content=PORTRAIT).json() for one in (served, balanced)
        ]
        assert balanced.service.videos.pipeline.model_name == "nano+prior(balanced)"
        assert [one["prior"] for one in balanced.http.get("/v1/models").json()["models"]] == ["balanced"]
    (without,), (with_prior,) = (one["results"][0]["faces"] for one in body)
    wanted = mien.load("nano", threads=1, tta=tta, prior="balanced").analyze(PORTRAIT).to_dict()
    assert with_prior == wanted["faces"][0]
    assert body[1]["results"][0]["model"] == "nano+prior(balanced)" + ("+flip" if tta == "flip" else "")
    p_NK = np.array([list(without["probabilities"].values())], np.float32)
    frequencies = mien.model.read_card("nano").class_frequencies
    assert frequencies is not None
    wanted_NK = apply_prior(p_NK, frequencies.assumed, [1 / 7] * 7)
    np.testing.assert_allclose([list(with_prior["probabilities"].values())], wanted_NK, atol=1e-3)
    assert np.abs(wanted_NK - p_NK).max() > 0.01


def test_image_returns_at_most_64_faces(served: RunningService) -> None:
    for requested, expected_faces in ((None, 64), (64, 64), (3, 3)):
        assert with_options(served.service.photos, 0.0, "none", 0.5, requested).pipeline.max_faces == expected_faces
    (body,) = served.http.post("/v1/analyze", content=videos.crowd()).json()["results"]
    assert len(body["faces"]) == 64


@pytest.mark.parametrize(
    ("option", "value"),
    [("min_confidence", "2"), ("min_confidence", "nan"), ("tta", "twice"), ("threshold", "0"), ("max_faces", "65")],
)
def test_option_out_of_range_gets_422(served: RunningService, option: str, value: str) -> None:
    response = served.http.post("/v1/analyze", params={option: value}, content=PORTRAIT)
    assert response.status_code == 422
    assert error(response)["code"] == "invalid_option"
    assert error(response)["message"].startswith(f"{option}: ")


@pytest.mark.parametrize("path", ["/v1/analyze?max_fases=3", "/v1/video?tta=none&Every=2"])
def test_unknown_option_gets_422(served: RunningService, path: str) -> None:
    response = served.http.post(path, content=PORTRAIT)
    assert (response.status_code, error(response)["code"]) == (422, "invalid_option")
    assert "max_faces" in error(response)["hint"]


def test_head_returns_no_body(served: RunningService) -> None:
    for path in ("/", "/healthz"):
        response = served.http.head(path)
        assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"content": b""}, 400, "no_file"),
        ({"files": {"files": ("a.jpg", b"")}}, 400, "no_file"),
        ({"files": {"photo": ("a.jpg", PORTRAIT)}}, 422, "unknown_field"),
        ({"json": {"url": "http://127.0.0.1/a.jpg"}}, 415, "unsupported_media_type"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "damaged_form"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 400, "damaged_form"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary*=x; boundary*0=y"}}, 400,
         "damaged_form"),
        ({"files": {"files": ("a", b"x")}, "data": {"model": "photo"}}, 422, "unknown_field"),
        ({"content": f"P6 {MAX_PIXELS} 2 255 ".encode()}, 422, "unreadable_image"),
    ],
)  # fmt: skip
def test_invalid_body_gets_error(served: RunningService, sent: dict[str, Any], status: int, code: str) -> None:
    response = served.http.post("/v1/analyze", **sent)
    assert (response.status_code, error(response)["code"]) == (status, code)


def test_too_many_files_get_413(served: RunningService) -> None:
    response = served.http.post("/v1/analyze", files=[("files", ("a", b"x"))] * 65)
    assert (response.status_code, error(response)["code"]) == (413, "too_many_files")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/v1/analyze/", 404, "not_found"),
        ("GET", "/v1/analyze", 405, "method_not_allowed"),
    ],
)
def test_unknown_path_or_method_gets_error(
    served: RunningService, method: str, path: str, status: int, code: str
) -> None:
    response = served.http.request(method, path)
    assert (response.status_code, error(response)["code"]) == (status, code)


def test_internal_error_reveals_nothing() -> None:
    with running() as broken:
        broken.service.photos = None  # type: ignore[assignment]
        response = broken.http.post("/v1/analyze", content=PORTRAIT)
        assert (response.status_code, error(response)["code"]) == (500, "internal")
        assert "None" not in response.text


def test_models_returns_cards(served: RunningService) -> None:
    body = served.http.get("/v1/models").json()["models"]
    assert [(one["name"], one["routes"]) for one in body] == [("nano", ["/v1/analyze", "/v1/stream", "/v1/video"])]
    assert body[0]["card"]["not_for"]
    assert body[0]["labels"] == list(mien.FER7.names)
    assert body[0]["prior"] is None


def test_video_returns_frames_with_persons(served: RunningService, tmp_path: Path) -> None:
    video_file = videos.write(
        tmp_path / "a.mp4", lambda i: videos.frame(160, 120, (0.5, 0.5, 0.6, 1.0)), videos.times(6)
    )
    body = served.http.post("/v1/video", files={"file": ("a.mp4", video_file.read_bytes())}, params={"every": 2}).json()
    frames = [frame.to_dict() for frame in mien.load("nano", threads=1).analyze_video(video_file, every=2)]
    assert body["frames"] == [{**frame, "source": "a.mp4"} for frame in frames]
    assert (body["source"], body["model"], body["notes"]) == ("a.mp4", "nano", [])
    assert {face["person"] for frame in frames for face in frame["faces"]} == {1}


def test_truncated_video_has_note_with_time(served: RunningService, tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mkv", lambda i: videos.frame(160, 120, (0.5, 0.5, 0.6, 1.0)), videos.times(20))
    data = path.read_bytes()[: path.stat().st_size * 2 // 3]
    body = served.http.post("/v1/video", files={"file": ("a.mkv", data)}, params={"every": 4}).json()
    assert 1 <= len(body["frames"]) < 5
    (note,) = body["notes"]
    assert note.startswith("a.mkv: truncated video, it ends after 0.")
    assert "of 0.8 seconds" in note


def test_invalid_or_long_video_gets_error(served: RunningService, tmp_path: Path) -> None:
    secret = videos.write(tmp_path / "secret.mp4", lambda i: videos.frame(64, 48), videos.times(3))
    lists = [
        f"ffconcat version 1.0\nfile {secret}\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:{secret}\n#EXT-X-ENDLIST\n",
    ]
    for body in ("nonsense", *lists):
        response = served.http.post("/v1/video", content=body.encode())
        assert (response.status_code, error(response)["code"]) == (422, "unreadable_video")
        assert str(secret) not in response.text
    long = videos.write(tmp_path / "long.mp4", lambda i: videos.frame(64, 48), [0, 61], audio=None)
    response = served.http.post("/v1/video", content=long.read_bytes())
    assert (response.status_code, error(response)["code"]) == (413, "too_long")


def test_video_without_extra_gets_501(served: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    response = served.http.post("/v1/video", content=b"video")
    assert (response.status_code, error(response)["code"]) == (501, "not_installed")


def test_video_with_large_frames_gets_422(
    served: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.serve.routes.video.MAX_PIXELS", 10_000)
    large = videos.write(tmp_path / "large.mkv", lambda i: videos.frame(160, 120), videos.times(1), audio=None)
    response = served.http.post("/v1/video", content=large.read_bytes())
    assert (response.status_code, error(response)["code"]) == (422, "unreadable_video")
    assert "160 x 120" in error(response)["message"]


def test_openapi_schemas_match_responses(served: RunningService, expected: dict[str, Any]) -> None:
    schema.ResultsSchema.model_validate({"results": [expected]}, extra="forbid")
    body = served.http.get("/openapi.json").json()
    assert set(body["paths"]) == {"/v1/analyze", "/v1/video", "/v1/models", "/healthz", "/readyz", "/metrics"}


def test_health_readiness_and_metrics(served: RunningService) -> None:
    assert served.http.get("/healthz").json() == {"status": "alive"}
    assert served.http.get("/readyz").json() == {"status": "ready"}
    served.http.post("/v1/analyze", content=PORTRAIT)
    text = served.http.get("/metrics").text
    for line in ('mien_images_total{outcome="read"}', "mien_batch_faces_bucket", "process_resident_memory_bytes"):
        assert line in text
    assert 'mien_requests_total{method="POST",route="/v1/analyze",status="200"}' in text


def test_unknown_paths_and_methods_share_metrics(served: RunningService) -> None:
    for name in ("/a", "/b"):
        served.http.request("BREW", name)
    text = served.http.get("/metrics").text
    assert 'mien_requests_total{method="other",route="other",status="404"}' in text
    assert "BREW" not in text


def test_page_serves_only_its_files(served: RunningService) -> None:
    assert served.http.get("/").content == (FOLDER / "index.html").read_bytes()
    assert served.http.get("/page/index.html").headers["content-type"].startswith("text/html")
    assert served.http.get("/sample.jpg").content == PORTRAIT
    for path in ("/page/../page.py", "/page/%2e%2e%2fpage.py", "/page/page.py", "/page/"):
        assert served.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())[0] == 404


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/style.css", "/sample.jpg", "/docs.css"])
def test_cached_file_gets_304(served: RunningService, path: str) -> None:
    first = served.http.get(path)
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = served.http.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-cache"
        assert again.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    for other in ('"other"', tag.strip('"'), ""):
        response = served.http.get(path, headers={"If-None-Match": other})
        assert (response.status_code, response.content) == (200, first.content)


def test_changed_file_is_sent_again(served: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ETag depends on the content, not on the time."""
    monkeypatch.setattr("mien.serve.routes.page.FOLDER", tmp_path)
    file, tags = tmp_path / "a.js", []
    for text in ("one", "two", "one"):
        file.write_text(text)
        os.utime(file, (len(tags), len(tags) % 2))
        response = served.http.get("/page/a.js", headers={"If-None-Match": tags[-1]} if tags else {})
        assert (response.status_code, response.text) == (200, text)
        tags.append(response.headers["ETag"])
    assert tags[0] == tags[2] != tags[1]


def test_docs_page_lists_paths_without_external_urls(served: RunningService) -> None:
    response = served.http.get("/docs")
    assert response.status_code == 200
    assert "http://" not in response.text
    assert "https://" not in response.text
    for path in served.http.get("/openapi.json").json()["paths"]:
        assert f"</span> {path}</h2>" in response.text
    assert "<code>results</code>" in response.text
    assert served.http.get("/docs.css").headers["content-type"].startswith("text/css")
