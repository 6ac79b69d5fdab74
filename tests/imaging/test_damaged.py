"""Truncated and damaged images: what is read, the note, and a quiet stderr."""

from __future__ import annotations

import ctypes
import io
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import images
from mien.errors import ImageError
from mien.imaging.decoder_log import captures_warnings, run_decoder
from mien.imaging.load import read_image, read_image_and_notes
from mien.recognition import sample

with Image.open(sample()) as portrait:
    PORTRAIT = portrait.convert("RGB").resize((320, 240))


def jpeg(**options: object) -> bytes:
    return images.encode(PORTRAIT, "JPEG", quality=90, **options)


def rows_read(note: str) -> int:
    match = re.search(r"(\d+) % of the rows could be read", note)
    assert match, note
    return int(match[1])


@pytest.mark.parametrize("share", [0.98, 0.7, 0.4, 0.2])
@pytest.mark.parametrize("kind", ["color", "grey", "444", "restart"])
def test_truncated_jpeg_reads_rows_and_says_how_many(
    kind: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"color": {}, "444": {"subsampling": 0}, "restart": {"restart_marker_rows": 1}}
    image = PORTRAIT.convert("L") if kind == "grey" else PORTRAIT
    whole = images.encode(image, "JPEG", quality=90, **options.get(kind, {}))
    image_HW3, notes, complete = read_image_and_notes(whole[: int(len(whole) * share)])
    assert len(notes) == 1
    assert notes[0].startswith("truncated: ")
    assert not complete
    count = 240 * rows_read(notes[0]) // 100
    assert abs(count / 240 - share) < 0.15
    whole_HW3 = read_image(whole)
    same_H = (image_HW3 == whole_HW3).all(axis=(1, 2))
    assert same_H[: count - 2].all()  # the last row of pixels is blended with the filled one below
    assert not same_H[count + 18 :].any()
    assert capfd.readouterr() == ("", "")


def framed(color: int, lower: int = 160) -> Image.Image:
    """Return the portrait with margins of one color on all sides."""
    image = Image.new("RGB", (240, 64 + lower), (color,) * 3)
    image.paste(PORTRAIT.resize((160, 128)), (32, 32))
    return image


@pytest.mark.parametrize("color", [255, 0, 128])
@pytest.mark.parametrize("missing", [3, 4, 5, 12])
def test_cut_jpeg_with_margins_is_read(color: int, missing: int) -> None:
    whole = images.encode(framed(color), "JPEG", quality=90)
    image_HW3, notes, complete = read_image_and_notes(whole[:-missing])
    count = rows_read(notes[0])
    assert notes[0].startswith("truncated: ")
    assert not complete
    same_H = (image_HW3 == read_image(whole)).all(axis=(1, 2))
    assert same_H[: len(same_H) * count // 100 - 16].all()
    assert count > (90 if color != 128 else 65)  # missing blocks look like a margin of this color


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_cut_in_halves_says_half_of_the_rows(mode: str) -> None:
    whole = images.encode(PORTRAIT.convert(mode), "JPEG", quality=90)
    assert 25 < rows_read(read_image_and_notes(whole[: len(whole) // 2]).notes[0]) < 75


def test_jpeg_of_filled_blocks_only_raises() -> None:
    whole = jpeg()
    with pytest.raises(ImageError, match="truncated JPEG image"):
        read_image(whole[: whole.index(b"\xff\xda") + 14])


def test_lost_bytes_between_restart_markers_give_no_share() -> None:
    whole = images.encode(framed(255), "JPEG", quality=90, restart_marker_rows=1)
    at = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", whole)][4]
    image_HW3, notes, complete = read_image_and_notes(whole[: at - 50] + whole[at:])
    assert notes == ("damaged: Corrupt JPEG data: premature end of data segment",)
    assert not complete
    assert (image_HW3 == read_image(whole)).all(axis=(1, 2)).mean() > 0.85


@pytest.mark.parametrize("lower", [160, 300])
def test_jpeg_with_grey_margins_is_read_without_warnings(lower: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some C libraries do not allow to read warnings; then only pixels show where a truncated file ends."""
    monkeypatch.setattr("mien.imaging.decode.captures_warnings", lambda: False)
    whole = images.encode(framed(128, lower), "JPEG", quality=90)
    assert read_image_and_notes(whole).notes == ()
    assert read_image_and_notes(whole[:-2]).image_HW3.shape == (64 + lower, 240, 3)
    portrait = jpeg()
    assert read_image_and_notes(portrait[:-2]).notes == ()
    assert abs(rows_read(read_image_and_notes(portrait[: len(portrait) // 2]).notes[0]) - 50) < 15


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
def test_jpeg_without_end_marker_is_complete(progressive: bool, missing: int) -> None:
    whole = jpeg(progressive=progressive)
    image_HW3, notes, complete = read_image_and_notes(whole[:-missing])
    np.testing.assert_array_equal(image_HW3, read_image(whole))
    assert (notes, complete) == ((), True)


@pytest.mark.parametrize("share", [0.98, 0.7, 0.4])
def test_truncated_progressive_jpeg_has_a_note(share: float, capfd: pytest.CaptureFixture[str]) -> None:
    whole = jpeg(progressive=True)
    _, notes, complete = read_image_and_notes(whole[: int(len(whole) * share)])
    assert notes[0].startswith("truncated: ")
    assert not complete
    assert capfd.readouterr() == ("", "")


def test_progressive_jpeg_cut_between_scans_has_a_note() -> None:
    whole = jpeg(progressive=True)
    cut = whole[: whole.rindex(b"\xff\xda")]
    cut = cut[: cut.rindex(b"\xff\xc4")]  # the tables of the last scan
    for data in (cut, cut + b"\xff\xd9"):
        assert not read_image_and_notes(data).complete
    assert read_image_and_notes(cut).notes[0].startswith("truncated")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("damage", ["zeros", "noise", "missing", "twice"])
def test_damaged_jpeg_has_the_decoders_warning(
    damage: str, progressive: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    if not captures_warnings():
        pytest.fail("the warnings of libjpeg cannot be read on this system")
    whole = jpeg(progressive=progressive)
    at, n = len(whole) // 3, 900
    part, rng = whole[at : at + n], np.random.default_rng(3)
    changed = {"zeros": bytes(n), "noise": rng.bytes(n), "missing": b"", "twice": part * 2}[damage]
    _, notes, complete = read_image_and_notes(whole[:at] + changed + whole[at + n :])
    assert notes[0].startswith("damaged: ")
    assert "Corrupt JPEG data" in notes[0] or damage == "noise"  # noise has markers, at which reading ends
    assert not complete
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1"])
def test_truncated_png_reads_rows_and_says_how_many(mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    whole = images.encode(PORTRAIT.convert(mode), "PNG")
    for share in (0.95, 0.5):
        image_HW3, notes, complete = read_image_and_notes(whole[: int(len(whole) * share)])
        assert notes[0].startswith("truncated: ")
        assert not complete
        count = 240 * rows_read(notes[0]) // 100
        assert abs(count / 240 - share) < 0.25
        np.testing.assert_array_equal(image_HW3[:count], read_image(whole)[:count])
    assert capfd.readouterr() == ("", "")


def test_png_without_end_marker_is_complete() -> None:
    whole = images.encode(PORTRAIT, "PNG")
    for missing in (1, 4, 12):
        image_HW3, notes, complete = read_image_and_notes(whole[:-missing])
        np.testing.assert_array_equal(image_HW3, read_image(whole))
        assert (notes, complete) == ((), True)


@pytest.mark.parametrize("at", [0.3, 0.6])
def test_png_with_wrong_checksum_has_a_note(at: float, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(images.encode(PORTRAIT, "PNG"))
    data[int(len(data) * at)] ^= 0x10
    _, notes, complete = read_image_and_notes(bytes(data))
    assert notes[0].startswith("damaged: ")
    assert "libpng error" in notes[0]
    assert 0 < rows_read(notes[0]) <= 100
    assert not complete
    assert capfd.readouterr() == ("", "")


def test_interlaced_truncated_png_raises() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(rows).save(content, "PNG")
    data = bytearray(content.getvalue())
    data[28] = 1  # interlaced
    with pytest.raises(ImageError, match="truncated PNG image"):
        read_image(bytes(data[: len(data) // 2]))


@pytest.mark.parametrize("kind", ["gif", "webp lossy", "bmp color", "tiff color", "jpeg 2000", "avif"])
def test_truncated_other_formats_say_truncated(kind: str) -> None:
    if kind == "avif" and not images.has_avif():
        pytest.fail("Pillow or OpenCV has no AVIF")
    data = images.images_of_all_formats()[kind]
    with pytest.raises(ImageError, match=r"truncated .* image: the file ends before its data"):
        read_image(data[: int(len(data) * 0.7)])


def test_undamaged_images_have_no_notes() -> None:
    for kind, data in images.images_of_all_formats().items():
        _, notes, complete = read_image_and_notes(data)
        assert (notes, complete) == ((), True), kind
    trailing = jpeg() + b"\0\0\0\x18ftypmp42" + bytes(2000)  # a motion photo
    assert read_image_and_notes(trailing).notes == ()


def test_warnings_belong_to_their_image_in_threads() -> None:
    whole = jpeg()
    damaged = whole[: len(whole) // 3] + bytes(500) + whole[len(whole) // 3 + 500 :]
    sources = [damaged if i % 5 == 0 else whole for i in range(60)]
    with ThreadPoolExecutor(4) as pool:
        complete = [read.complete for read in pool.map(read_image_and_notes, sources)]
    assert complete == [i % 5 != 0 for i in range(60)]


def test_harmless_warning_is_a_note_but_no_damage(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(jpeg())
    assert data[6:11] == b"JFIF\0"
    data[11] = 9  # a version that libjpeg does not know
    _, notes, complete = read_image_and_notes(bytes(data))
    assert complete
    assert notes == ("the decoder warns: Warning: unknown JFIF revision number 9.01",)
    assert capfd.readouterr() == ("", "")


def test_other_text_on_stderr_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    libc = ctypes.CDLL(None)

    def print_both() -> int:
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        for line in (b"from another library\n", b"Corrupt JPEG data: something\n"):
            libc.fputs(line, stderr)
        return 7

    assert run_decoder(print_both) == (7, ("Corrupt JPEG data: something",))
    assert capfd.readouterr().err == "from another library\n"
    get_level = cv2.utils.logging.getLogLevel if hasattr(cv2.utils, "logging") else cv2.getLogLevel
    before = get_level()
    assert run_decoder(get_level) == (0, ())  # silent
    assert get_level() == before


CLOSED_DESCRIPTORS = """
import os, sys, tempfile
from mien.imaging.load import read_image_and_notes
data = open(sys.argv[1], "rb").read()
os.closerange(3, 256)  # as programs that become daemons do
files = [tempfile.TemporaryFile(buffering=0) for _ in range(60)]
for file in files:
    file.write(b"rows of the user")
notes = read_image_and_notes(data).notes
assert "Corrupt JPEG data" in notes[0], notes
sizes = {os.fstat(file.fileno()).st_size for file in files}
assert sizes == {16}, sizes
"""


def test_files_with_reused_descriptors_are_unchanged(tmp_path: Path) -> None:
    whole = jpeg()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 3] + bytes(500) + whole[len(whole) // 3 + 500 :])
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_DESCRIPTORS, str(tmp_path / "a.jpg")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


FORK = """
import ctypes, os, threading
from mien.imaging.decoder_log import run_decoder
stderr = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
original, begun, forked = stderr.value, threading.Event(), threading.Event()
thread = threading.Thread(target=run_decoder, args=(lambda: (begun.set(), forked.wait(60)),))
thread.start()
begun.wait()
assert stderr.value != original
child = os.fork()
if child == 0:
    ok = stderr.value == original and run_decoder(lambda: stderr.value != original) == (True, ())
    os._exit(0 if ok and stderr.value == original else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
forked.set()
thread.join()
assert (code, stderr.value) == (0, original), code
"""


def test_fork_during_decoding_restores_stderr() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_stderr_is_restored_and_kept_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    libc = ctypes.CDLL(None)
    stderr = ctypes.c_void_p.in_dll(libc, "stderr")
    original = stderr.value

    def fail() -> None:
        libc.fputs(b"from another library\n", stderr)
        raise KeyError

    with pytest.raises(KeyError):
        run_decoder(fail)
    assert stderr.value == original
    assert capfd.readouterr().err == "from another library\n"


def test_text_between_two_decoders_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    """A decoder that runs beside another one is called again, but text of other threads is not printed again."""
    libc, both, calls = ctypes.CDLL(None), threading.Barrier(2), []
    stderr = ctypes.c_void_p.in_dll(libc, "stderr")

    def decode() -> None:
        calls.append(1)
        if len(calls) <= 2 and both.wait(60) == 0:
            libc.fputs(b"from another library\nCorrupt JPEG data: something\n", stderr)
        if len(calls) <= 2:
            both.wait(60)

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(run_decoder, decode) for _ in range(2)]
        assert [result.result() for result in results] == [(None, ()), (None, ())]
    assert len(calls) == 4
    assert capfd.readouterr().err == "from another library\n"
