"""Images of files, folders and patterns, and the paths of annotated copies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mien.errors import MienError
from mien.recognition import find_sources
from mien.recognition.inputs import Source, annotated_paths, check_not_overwriting


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder `photos` in the working directory; its files are empty."""
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


def test_folder_gives_all_visible_images_in_order(photos: Path) -> None:
    found = find_sources([photos])
    relative = ["a.PNG", "b.jpg", "2024/a.heic", "2024/z.webp", "2024/may/a.jpg"]
    assert [str(s.relative) for s in found] == relative
    assert [s.name for s in found] == [str(photos / name) for name in relative]


def test_names_are_the_paths_as_given(photos: Path) -> None:
    assert names("photos/b.jpg", "./photos/2024") == [
        "photos/b.jpg", "./photos/2024/a.heic", "./photos/2024/z.webp", "./photos/2024/may/a.jpg",
    ]  # fmt: skip


def test_image_given_twice_occurs_once(photos: Path) -> None:
    assert names("photos/b.jpg", "photos", str(photos / "b.jpg")).count("photos/b.jpg") == 1
    assert len(names("photos", "photos/2024", photos)) == 5


def test_file_with_any_name_is_a_source(photos: Path) -> None:
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
def test_patterns_keep_the_layout_below_the_fixed_part(photos: Path, pattern: str, wanted: list[str]) -> None:
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
def test_double_star_does_not_follow_links(photos: Path, pattern: str, wanted: list[str]) -> None:
    """With two links to a parent folder `glob` would not end."""
    for name in ("up", "2024/up"):
        (photos / name).symlink_to(photos, target_is_directory=True)
    wanted = [name if name.startswith("photos/") else f"photos/{name}" for name in wanted]
    assert names(pattern) == wanted


def test_double_star_below_a_given_link_is_expanded(photos: Path) -> None:
    Path("linked").symlink_to(photos / "2024", target_is_directory=True)
    assert names("linked/**/*.jpg") == ["linked/may/a.jpg"]
    assert names(str(photos.parent / "link*" / "**" / "*.jpg")) == [str(photos.parent / "linked" / "may" / "a.jpg")]


def test_existing_file_is_not_a_pattern(photos: Path) -> None:
    (photos / "a[1].jpg").touch()
    (photos / "a1.jpg").touch()
    assert names("photos/a[1].jpg") == ["photos/a[1].jpg"]


def test_missing_file_is_a_source_with_an_error(photos: Path) -> None:
    assert names("photos/gone.jpg") == ["photos/gone.jpg"]
    assert find_sources(["photos/*.tiff"])[0].error == "photos/*.tiff: no file matches"


def test_skipped_files_of_folders_are_reported(photos: Path) -> None:
    (photos / "2024" / "a.DNG").touch()
    (photos / "b.dng").touch()
    (photos / "seen").mkdir()
    (photos / "seen" / "c.mov").touch()
    skipped: list[str] = []
    find_sources([photos], exclude=photos / "seen", on_skip=skipped.append)
    names = [str(Path(path).relative_to(photos)) for path in skipped]
    assert names == ["b.dng", "notes.txt", "video.mp4", "2024/a.DNG"]  # hidden ones are not counted
    files: list[str] = []
    find_sources([photos / "b.jpg", "photos/*.dng", "photos/*"], on_skip=files.append)  # as in 2024, a match
    assert [Path(path).name for path in files] == ["a.DNG", "c.mov"]


@pytest.mark.parametrize("name", ["a.mpo", "A.MPO", "a.dib", "a.j2k", "a.pam", "a.apng"])
def test_folder_gives_images_of_rare_suffixes(photos: Path, name: str) -> None:
    (photos / name).touch()
    assert str(photos / name) in names(photos)


def test_no_paths_or_no_images_raises(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="no input; pass images, folders or patterns"):
        find_sources([])
    with pytest.raises(MienError, match=f"no images in {tmp_path}: no file name ends with .jpg"):
        find_sources([tmp_path])
    (tmp_path / "a.dng").touch()
    with pytest.raises(MienError, match=r"1 file is not an image by its name and was skipped: 1 \.dng \(a\.dng\)"):
        find_sources([tmp_path])


@pytest.mark.usefixtures("no_privilege")
def test_unreadable_folder_is_a_source_with_an_error(photos: Path) -> None:
    (photos / "2024" / "may").chmod(0)
    try:
        assert "cannot be opened" in find_sources([photos])[-1].error
    finally:
        (photos / "2024" / "may").chmod(0o755)


def test_circular_links_end(photos: Path) -> None:
    (photos / "2024" / "again").symlink_to(photos)
    assert len(names(photos)) == 5


def test_exclude_skips_the_folder_of_annotated_images(photos: Path) -> None:
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
        assert find_sources(["-"], max_bytes=3)[0].data == b"byte"  # one byte above the limit


# ---- paths of annotated copies


def test_annotated_paths_keep_the_layout(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "seen"
    paths = annotated_paths(find_sources([photos]), out)
    assert sorted(str(p.relative_to(out)) for p in paths.values()) == [
        "2024/a.heic.png", "2024/may/a.jpg", "2024/z.webp.png", "a.PNG", "b.jpg",
    ]  # fmt: skip


def test_annotated_paths_are_unique(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("b.jpg", "B.JPG", "b-2.jpg", "z.webp", "z.webp.png"):
        (other / name).touch()
    sources = find_sources([photos / "b.jpg", other, photos / "2024"])
    paths = annotated_paths(sources, tmp_path / "seen")
    assert set(paths) == {s.name for s in sources}
    assert len({str(p).lower() for p in paths.values()}) == len(sources)


@pytest.mark.parametrize("folder", ["photos", "photos/2024/..", "link"])
def test_annotated_paths_over_a_source_raise(photos: Path, folder: str) -> None:
    Path("link").symlink_to(photos)
    with pytest.raises(MienError, match=r"would be overwritten with its annotated copy; use another folder"):
        annotated_paths(find_sources([photos]), Path(folder))


def test_output_over_an_image_raises(photos: Path) -> None:
    sources = find_sources([photos])
    with pytest.raises(MienError, match="is one of the input images"):
        check_not_overwriting(sources, Path("photos/2024/../b.jpg"))
    check_not_overwriting(sources, Path("photos/faces.csv"))
    with pytest.raises(MienError, match=r"marked/b.jpg is also the path of an annotated image"):
        check_not_overwriting(sources, Path("marked/b.jpg"), [Path("marked/2024/../b.jpg")])


@pytest.mark.parametrize("pattern", ["photos/**/*.jpg", "photos/*", "photos/*/*.jpg"])
def test_exclude_applies_to_patterns(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos/in/a.jpg", "photos/seen/in/a.jpg", "photos/seen/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [source.name for source in find_sources([pattern], exclude=Path("photos/seen"))] == ["photos/in/a.jpg"]
