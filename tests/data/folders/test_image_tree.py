"""Files of an image folder."""

from __future__ import annotations

from pathlib import Path

from mien.data.folders.image_tree import has_images, scan


def test_scan_skips_hidden_and_system_files(put, tmp_path: Path) -> None:
    put("happy/a.png")
    for name in (".DS_Store", "happy/Thumbs.db", "happy/desktop.ini", "happy/._a.png", "__MACOSX/happy/a.png",
                 ".ipynb_checkpoints/a.png"):  # fmt: skip
        file = tmp_path / "faces" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    (tmp_path / "faces/notes.txt").write_text("x")
    tree = scan(tmp_path / "faces")
    assert [image.name for image in tree.all_images()] == ["a.png"]
    assert [file.name for folder in tree.walk() for file in folder.other_files] == ["notes.txt"]


def test_scan_ends_at_link_to_parent(put, tmp_path: Path) -> None:
    put("happy/a.png")
    (tmp_path / "faces/happy/loop").symlink_to(tmp_path / "faces")
    assert len(scan(tmp_path / "faces").all_images()) == 1


def test_has_images_looks_into_subfolders(put, tmp_path: Path) -> None:
    put("a/b/c/d.webp.png")
    assert has_images(tmp_path / "faces")
    assert not has_images(tmp_path / "faces", depth=2)
    assert not has_images(tmp_path / "nothing")
