"""Opening of video files and uploads by PyAV, without access to other files or the network."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtra, VideoError
from mien.paths import not_found
from mien.recognition.video.structure import lacks_index

if TYPE_CHECKING:
    from av.container import InputContainer

_TEXT_FORMATS = ("tty", "concat", "hls")  # how ffmpeg reads text files: as images of letters, or as lists of files
_UPLOAD_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "ogg", "flv", "gif")


def pyav() -> Any:
    """Return the module `av`.

    Raises:
        MissingExtra: PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtra("video", "reading and writing videos") from None
    return av


def open_file(path: Path) -> InputContainer:
    """Open a file with PyAV, which may use no other protocol than files.

    Raises:
        MissingExtra: PyAV is not installed.
        VideoError: The file does not exist, or PyAV cannot read it.
    """
    pyav()  # a missing PyAV is reported before problems of the file
    try:
        if path.is_dir():
            raise VideoError(f"{path}: is a folder, expected a video file")
        if not path.is_file():
            raise VideoError(f"{path}: {not_found(path)}")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror or error}") from None
    if empty:
        raise VideoError(f"{path}: the file is empty")
    # With the prefix "http:x" is a file name; with the whitelist a playlist cannot open other protocols.
    container = _open(f"file:{path.absolute()}", {"protocol_whitelist": "file"}, path)
    if container.format.name in _TEXT_FORMATS:
        container.close()
        raise VideoError(f"{path}: is a text file, not a video")
    return container


def open_bytes(data: bytes, path: Path) -> InputContainer:
    """Open the content of a file with PyAV, if its format contains only its own images and audio.

    Args:
        data: Content of the file.
        path: Name of the file in errors.

    Raises:
        MissingExtra: PyAV is not installed.
        VideoError: PyAV cannot read the content.
    """
    options = {"protocol_whitelist": "none", "format_whitelist": ",".join(_UPLOAD_FORMATS)}
    return _open(io.BytesIO(data), options, path)


def check_not_input(source: Path, path: Path) -> None:
    """Raise `VideoError` if the file to write is the video that is read."""
    if path.exists() and path.samefile(source):
        raise VideoError(f"cannot write {path}: it is the input video; choose another file")


def _open(source: str | io.BytesIO, options: dict[str, str], path: Path) -> InputContainer:
    """Open a file or stream; metadata in other encodings than UTF-8 are not an error."""
    av = pyav()
    # PyAV 19 replaces bytes that are not UTF-8 by itself and has no such argument.
    metadata = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    try:
        container: InputContainer = av.open(source, options=options, **metadata)
    except (av.error.FFmpegError, ValueError):
        with suppress(OSError), path.open("rb") if isinstance(source, str) else source as file:
            if lacks_index(file):
                raise VideoError(
                    f"{path}: truncated video; its index (moov), which is written last, is missing, so that no frame "
                    "can be decoded; copy the whole file, or repair it with a tool such as untrunc"
                ) from None
        raise VideoError(f"{path}: not a readable video") from None
    return container
