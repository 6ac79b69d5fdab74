"""What decoders write to stderr: OpenCV's log is turned off, and the warnings of libjpeg and libpng are returned.

libjpeg reports damaged data only as text on C's `stderr`. In the GNU C Library this is a variable that programs may set
(section "Standard Streams" of its manual), so while images are decoded it is a stream in memory. File descriptor 2,
`sys.stderr` and C++ streams are not changed. With other C libraries warnings stay on stderr.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import cv2

T = TypeVar("T")
_WARNING = re.compile("Corrupt |Premature |Inconsistent |Invalid |Unknown |Warning: |libpng ")
_UNBUFFERED = 2  # _IONBF of stdio.h
_MOST = 65_536  # bytes of text that are read after a decoding


class DecoderLog:
    """Runs decoders, and collects what they print; it is thread-safe.

    The stream in memory is one for all threads. Of images that were decoded at the same time, those that may have
    caused a warning are decoded again, one at a time.

    Attributes:
        captures: Whether the C library allows to collect warnings.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._active = self._waiting = self._started = 0
        self._level: Any = None
        self._stream = _MemoryStream.open()

    @property
    def captures(self) -> bool:
        """Whether the C library allows to collect warnings."""
        return self._stream is not None

    def run(self, decode: Callable[[], T]) -> tuple[T, tuple[str, ...]]:
        """Return the result of `decode` and the warnings that it caused, without repetitions.

        Args:
            decode: Function that calls a decoder and has the same result each time.
        """
        with self._condition:
            self._condition.wait_for(lambda: not self._waiting)
            mine, before = self._begin(), self._length()
            alone = self._active == 1
        try:
            result = decode()
        finally:
            with self._condition:
                printed, alone = self._length() > before, alone and self._started == mine
                text = self._end()
        if not printed:
            return result, ()
        if alone:
            return result, self._warnings(text)
        del result  # a second image beside it would take twice the memory
        return self._run_alone(decode)

    def _run_alone(self, decode: Callable[[], T]) -> tuple[T, tuple[str, ...]]:
        """Run `decode` while no other decoder runs."""
        with self._condition:
            self._waiting += 1
            try:
                self._condition.wait_for(lambda: not self._active)
                self._begin()
                try:
                    result = decode()
                finally:
                    text = self._end()
            finally:
                self._waiting -= 1
                self._condition.notify_all()
        return result, self._warnings(text)

    def _begin(self) -> int:
        """Count a decoding; before the first of several, replace `stderr` and turn off OpenCV's log."""
        if self._active == 0:
            self._level = _set_opencv_level(None)
            if self._stream is not None:
                self._stream.install()
        self._active += 1
        self._started += 1
        return self._started

    def _end(self) -> str:
        """Undo `_begin`; return all text that was printed since, and forget it after the last decoding."""
        text = "" if self._stream is None else self._stream.text()
        self._active -= 1
        if self._active == 0:
            _set_opencv_level(self._level)
            if self._stream is not None:
                self._stream.remove()
            self._condition.notify_all()
        return text

    def _length(self) -> int:
        return 0 if self._stream is None else self._stream.length

    def _warnings(self, text: str) -> tuple[str, ...]:
        """Return the lines of decoders; lines of other threads go to the real stderr."""
        lines = [line for line in text.splitlines() if line.strip()]
        others = [line for line in lines if not _WARNING.match(line)]
        if others:
            os.write(2, ("\n".join(others) + "\n").encode())
        return tuple(dict.fromkeys(line.strip() for line in lines if _WARNING.match(line)))


class _MemoryStream:
    """A C stream whose text is in memory."""

    def __init__(self) -> None:
        """Create the stream; raises `OSError`, `AttributeError` or `ValueError` if the C library cannot."""
        os.confstr("CS_GNU_LIBC_VERSION")  # an error with other C libraries, where stderr may be a constant
        libc = ctypes.CDLL(None)
        self._stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        libc.fdopen.restype, libc.fdopen.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_char_p)
        libc.setvbuf.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t)
        self._file = os.memfd_create("mien-stderr")
        self._pointer = libc.fdopen(self._file, b"a")
        if not self._pointer:
            raise OSError("no stream")
        libc.setvbuf(self._pointer, None, _UNBUFFERED, 0)
        self._original: int | None = None

    @classmethod
    def open(cls) -> _MemoryStream | None:
        """Return a stream, or None where the C library has none."""
        try:
            return cls()
        except (OSError, AttributeError, ValueError):
            return None

    @property
    def length(self) -> int:
        """Number of bytes printed since `install`."""
        return os.fstat(self._file).st_size

    def text(self) -> str:
        """Return what was printed since `install`, at most `_MOST` bytes."""
        return os.pread(self._file, _MOST, 0).decode(errors="replace") if self.length else ""

    def install(self) -> None:
        """Make this stream C's `stderr`."""
        self._original, self._stderr.value = self._stderr.value, self._pointer

    def remove(self) -> None:
        """Restore `stderr`, and forget the text."""
        self._stderr.value = self._original
        if self.length:
            os.ftruncate(self._file, 0)


def _set_opencv_level(level: Any) -> Any:
    """Set OpenCV's log level, None for silence; return the level before."""
    if hasattr(cv2, "utils") and hasattr(cv2.utils, "logging"):  # OpenCV 4.13 and newer
        log = cv2.utils.logging
        return log.setLogLevel(log.LOG_LEVEL_SILENT if level is None else level)
    older: Any = cv2
    before = older.getLogLevel()
    older.setLogLevel(0 if level is None else level)
    return before


_log = DecoderLog()
if hasattr(os, "register_at_fork"):

    def _renew() -> None:
        """Start with a new log in a forked process, in which the threads that decoded do not exist."""
        global _log
        _log = DecoderLog()

    os.register_at_fork(after_in_child=_renew)


def run_decoder(decode: Callable[[], T]) -> tuple[T, tuple[str, ...]]:
    """Return the result of `decode` and the warnings that libraries printed; see `DecoderLog.run`.

    Example:
        >>> run_decoder(lambda: 3)
        (3, ())
    """
    return _log.run(decode)


def captures_warnings() -> bool:
    """Return whether `run_decoder` returns warnings; otherwise they stay on stderr."""
    return _log.captures
