"""`~` and URLs in place of paths, wherever a user may write a path."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import mien
from mien.data import load
from mien.errors import DataError, ImageError, MienError
from mien.imaging.load import read_image
from mien.model_files import find_model_files
from mien.paths import expand_user, is_url, not_found
from mien.recognition import find_sources, sample

URLS = ["https://example.org/a.jpg", "http://example.org/a.jpg?size=1", "s3://bucket/a.jpg", "file:///tmp/a.jpg",
        "data:image/jpeg;base64,AAAA", "www.example.org/a.jpg"]  # fmt: skip
PATHS = ["a.jpg", "C:/a.jpg", "C:\\a.jpg", "a:b/c.jpg", "/tmp/https/a.jpg", "www.jpg"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(sample(), tmp_path / "a.jpg")
    return tmp_path


def test_is_url_distinguishes_urls_from_paths() -> None:
    assert [is_url(url) for url in URLS] == [True] * len(URLS)
    assert [is_url(Path(url)) for url in URLS[:3]] == [True] * 3  # with one slash
    assert [is_url(path) for path in PATHS] == [False] * len(PATHS)
    assert not_found("a.jpg") == "there is no such file"


@pytest.mark.parametrize("url", URLS)
def test_url_as_image_says_to_download(url: str) -> None:
    for source in (url, Path(url)):
        with pytest.raises(ImageError, match="URLs are not fetched; download the file first"):
            read_image(source)
    (found,) = find_sources([url])
    assert "*" not in url
    assert found.error == "" or "URLs are not fetched; download the file first" in found.error


def test_existing_file_named_like_a_url_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "www.example.org").mkdir()
    shutil.copy(sample(), tmp_path / "www.example.org" / "a.jpg")
    assert read_image("www.example.org/a.jpg").shape == (512, 512, 3)


def test_url_as_video_or_data_says_to_download() -> None:
    with pytest.raises(MienError, match="URLs are not fetched"):
        list(mien.load("nano").analyze_video("https://example.org/a.mp4"))
    with pytest.raises(DataError, match="URLs are not fetched"):
        load("https://example.org/fer2013.csv")


def test_expand_user_replaces_a_leading_tilde(home: Path) -> None:
    assert expand_user("~/a.jpg") == f"{home}/a.jpg"
    assert expand_user(Path("~/a.jpg")) == home / "a.jpg"
    for path in ("a~.jpg", "photos/~/a.jpg", "./~", "~nobody-has-this-name/a.jpg"):
        assert expand_user(path) == path


def test_python_api_expands_the_home_folder(home: Path) -> None:
    assert read_image("~/a.jpg").shape == (512, 512, 3)
    assert [source.name for source in find_sources(["~/a.jpg", "~/*.jpg", "~"])] == [str(home / "a.jpg")]
    shutil.copytree(find_model_files("nano")[0].parent, home / "model")
    assert mien.load("~/model").model.card.name == "nano"
    with pytest.raises(DataError, match=str(home / "none.csv")):
        load("~/none.csv")


def test_command_expands_the_home_folder(home: Path, mien: Callable[..., tuple[int, str, str]]) -> None:
    code, _, stderr = mien("analyze", "~/a.jpg", "--out=~/faces.csv", "--model", "nano")
    assert (code, stderr) == (0, "")
    assert (home / "faces.csv").read_text().splitlines()[1].startswith(f"{home}/a.jpg,1,1,happy")
