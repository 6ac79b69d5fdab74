"""Which images are meant by files, folders and patterns, and where their annotated copies go."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mien.errors import MienError
from mien.recognition import find_sources
from mien.recognition.inputs import Source, check_not_overwriting, places


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as people have them, which is the current one's `photos`; the files are empty."""
    for name in (
        "b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "2024/z.webp", "2024/a.heic", "2024/may/a.jpg", ".git/x.jpg",
        "2024/.cache/x.jpg", "video.mp4",
    ):  # fmt: skip
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def names(*words: str | Path, exclude: Path | None = None) -> list[str]:
    return [source.name for source in find_sources(words, exclude=exclude)]


def test_a_folder_is_read_to_its_depths_in_order_without_what_is_hidden(photos: Path) -> None:
    found = find_sources([photos])
    relative = ["a.PNG", "b.jpg", "2024/a.heic", "2024/z.webp", "2024/may/a.jpg"]
    assert [str(s.relative) for s in found] == relative
    assert [s.name for s in found] == [str(photos / name) for name in relative]


def test_names_are_as_they_were_said(photos: Path) -> None:
    assert names("photos/b.jpg", "./photos/2024") == [
        "photos/b.jpg", "./photos/2024/a.heic", "./photos/2024/z.webp", "./photos/2024/may/a.jpg",
    ]  # fmt: skip


def test_what_is_said_twice_is_read_once(photos: Path) -> None:
    assert names("photos/b.jpg", "photos", str(photos / "b.jpg")).count("photos/b.jpg") == 1
    assert len(names("photos", "photos/2024", photos)) == 5


def test_a_file_is_taken_whatever_its_name(photos: Path) -> None:
    assert names("photos/notes.txt", "photos/.hidden.jpg") == ["photos/notes.txt", "photos/.hidden.jpg"]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("photos/*.jpg", ["b.jpg"]),
        ("photos/**/*.jpg", ["2024/may/a.jpg", "b.jpg"]),
        ("photos/20*", ["2024/a.heic", "2024/z.webp", "2024/may/a.jpg"]),
        ("phot[o]s/2024/*.webp", ["photos/2024/z.webp"]),
    ],
)
def test_patterns_keep_the_layout_below_what_is_fixed(photos: Path, pattern: str, wanted: list[str]) -> None:
    assert [str(s.relative) for s in find_sources([pattern])] == wanted


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("photos/**/*.jpg", ["photos/2024/may/a.jpg", "photos/b.jpg"]),
        ("photos/**", ["2024/a.heic", "2024/may/a.jpg", "2024/z.webp", "a.PNG", "b.jpg", "notes.txt", "video.mp4"]),
        ("**/may/*.jpg", ["photos/2024/may/a.jpg"]),
        ("photos/**/*/*.jpg", ["photos/2024/may/a.jpg"]),
        ("phot*/**/2024/**/a.jpg", ["photos/2024/may/a.jpg"]),
        ("photos/up/b.j*g", ["photos/up/b.jpg"]),
    ],
)
def test_two_stars_follow_no_link_to_a_folder(photos: Path, pattern: str, wanted: list[str]) -> None:
    """Two links that lead upwards: `glob` would go round them without end."""
    for name in ("up", "2024/up"):
        (photos / name).symlink_to(photos, target_is_directory=True)
    wanted = [name if name.startswith("photos/") else f"photos/{name}" for name in wanted]
    assert names(pattern) == wanted


def test_two_stars_below_a_link_that_is_named(photos: Path) -> None:
    Path("linked").symlink_to(photos / "2024", target_is_directory=True)
    assert names("linked/**/*.jpg") == ["linked/may/a.jpg"]
    assert names(str(photos.parent / "link*" / "**" / "*.jpg")) == [str(photos.parent / "linked" / "may" / "a.jpg")]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(photos: Path) -> None:
    (photos / "a[1].jpg").touch()
    (photos / "a1.jpg").touch()
    assert names("photos/a[1].jpg") == ["photos/a[1].jpg"]


def test_what_is_not_there_is_a_source_that_says_so_when_read(photos: Path) -> None:
    assert names("photos/gone.jpg") == ["photos/gone.jpg"]
    assert find_sources(["photos/*.tiff"])[0].error == "photos/*.tiff: no file matches"


def test_nothing_named_and_nothing_found_are_mistakes(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="name images, folders or patterns"):
        find_sources([])
    with pytest.raises(MienError, match=f"no images in {tmp_path}: none ends with .jpg"):
        find_sources([tmp_path])


@pytest.mark.usefixtures("no_privilege")
def test_a_folder_that_may_not_be_entered_is_a_source_with_an_error(photos: Path) -> None:
    (photos / "2024" / "may").chmod(0)
    try:
        assert "cannot be entered" in find_sources([photos])[-1].error
    finally:
        (photos / "2024" / "may").chmod(0o755)


def test_links_in_a_circle_do_not_turn_it_in_one(photos: Path) -> None:
    (photos / "2024" / "again").symlink_to(photos)
    assert len(names(photos)) == 5


def test_the_folder_of_annotated_images_is_not_read_again(photos: Path) -> None:
    (photos / "seen").mkdir()
    (photos / "seen" / "b.jpg").touch()
    assert len(names(photos)) == 6
    assert len(names(photos, exclude=photos / "seen")) == 5


def test_standard_input_is_one_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"bytes")
    with (tmp_path / "x").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert find_sources(["-"]) == [Source("-", Path("stdin"), data=b"bytes")]
    with (tmp_path / "x").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert find_sources(["-"], max_bytes=3)[0].data == b"byte"  # one too many


# ---- where annotated copies go


def test_copies_are_laid_out_as_the_folder_is(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "seen"
    found = places(find_sources([photos]), out)
    assert sorted(str(p.relative_to(out)) for p in found.values()) == [
        "2024/a.heic.png", "2024/may/a.jpg", "2024/z.webp.png", "a.PNG", "b.jpg",
    ]  # fmt: skip


def test_no_two_copies_share_a_name(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("b.jpg", "B.JPG", "b-2.jpg", "z.webp", "z.webp.png"):
        (other / name).touch()
    sources = find_sources([photos / "b.jpg", other, photos / "2024"])
    found = places(sources, tmp_path / "seen")
    assert set(found) == {s.name for s in sources}
    assert len({str(p).lower() for p in found.values()}) == len(sources)


@pytest.mark.parametrize("folder", ["photos", "photos/2024/..", "link"])
def test_what_is_read_is_never_overwritten(photos: Path, folder: str) -> None:
    Path("link").symlink_to(photos)
    with pytest.raises(MienError, match=r"would be overwritten with its annotated copy; name another folder"):
        places(find_sources([photos]), Path(folder))


def test_results_do_not_take_the_place_of_a_image(photos: Path) -> None:
    sources = find_sources([photos])
    with pytest.raises(MienError, match="is one of the images to be read"):
        check_not_overwriting(sources, Path("photos/2024/../b.jpg"))
    check_not_overwriting(sources, Path("photos/faces.csv"))
    with pytest.raises(MienError, match=r"marked/b.jpg is where an annotated image goes"):
        check_not_overwriting(sources, Path("marked/b.jpg"), [Path("marked/2024/../b.jpg")])


@pytest.mark.parametrize("pattern", ["photos/**/*.jpg", "photos/*", "photos/*/*.jpg"])
def test_annotated_copies_are_no_sources_of_a_pattern_either(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos/in/a.jpg", "photos/seen/in/a.jpg", "photos/seen/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [source.name for source in find_sources([pattern], exclude=Path("photos/seen"))] == ["photos/in/a.jpg"]
