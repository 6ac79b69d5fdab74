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
_MOST, _LONGEST = 20, 500  # warnings of an image, and characters of each
_HAS_LOGGING = hasattr(cv2, "utils") and hasattr(cv2.utils, "logging")  # OpenCV 4.13 and newer


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
            before, mine, alone = self._length(), self._started + 1, not self._active
            self._begin()
        try:
            result = decode()
        finally:
            with self._condition:
                alone = alone and self._started == mine
                text = self._end()
        if len(text) <= before:
            return result, ()
        if alone:
            return result, _split(text)[0]
        del result  # a second image beside it would take twice the memory
        return self._run_alone(decode)

    def restore(self) -> None:
        """Undo the changes of stderr and of OpenCV's log, also if decoders run."""
        try:
            if self._level is not None:
                _set_opencv_level(self._level)
                self._level = None
        finally:
            if self._stream is not None:
                self._stream.remove()

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
        return result, _split(text)[0]

    def _begin(self) -> None:
        """Count a decoding; before the first of several, replace `stderr` and turn off OpenCV's log."""
        if self._active == 0:
            try:
                self._level = _opencv_level()
                _set_opencv_level(None)
                if self._stream is not None:
                    self._stream.install()
            except BaseException:
                self.restore()
                raise
        self._active += 1
        self._started += 1

    def _end(self) -> bytes:
        """Undo `_begin`; return all text since; after the last decoding, pass the text of others to the real stderr."""
        try:
            return b"" if self._stream is None else self._stream.text()
        finally:
            self._active -= 1
            if self._active == 0:
                try:
                    self.restore()
                    if self._stream is not None:
                        self._stream.print_others()
                finally:
                    self._condition.notify_all()

    def _length(self) -> int:
        return 0 if self._stream is None else len(self._stream.text())


def _split(text: bytes) -> tuple[tuple[str, ...], bytes]:
    """Return the warnings of decoders without repetitions, and the other lines."""
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    others = [line for line in lines if not _WARNING.match(line)]
    warnings = tuple(dict.fromkeys(line.strip()[:_LONGEST] for line in lines if _WARNING.match(line)))
    return warnings[:_MOST], "".join(f"{line}\n" for line in others).encode()


class _MemoryStream:
    """A C stream whose text is in memory; it has no file descriptor that other code could close."""

    def __init__(self) -> None:
        """Create the stream; raises `OSError`, `AttributeError` or `ValueError` if the C library cannot."""
        os.confstr("CS_GNU_LIBC_VERSION")  # an error with other C libraries, where stderr may be a constant
        self._libc = libc = ctypes.CDLL(None)
        self._stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        self._text, self._size = ctypes.c_void_p(), ctypes.c_size_t()  # glibc sets them when it flushes
        libc.open_memstream.restype, libc.open_memstream.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p)
        for function in (libc.flockfile, libc.funlockfile, libc.fflush, libc.rewind):
            function.argtypes = (ctypes.c_void_p,)
        libc.fwrite.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
        self._pointer = libc.open_memstream(ctypes.byref(self._text), ctypes.byref(self._size))
        if not self._pointer:
            raise OSError("no stream")
        self._original: int | None = None

    @classmethod
    def open(cls) -> _MemoryStream | None:
        """Return a stream, or None where the C library has none."""
        try:
            return cls()
        except (OSError, AttributeError, ValueError):
            return None

    def text(self, *, clear: bool = False) -> bytes:
        """Return what was printed since the text was cleared."""
        self._libc.flockfile(self._pointer)  # other threads may print
        try:
            self._libc.fflush(self._pointer)
            text = ctypes.string_at(self._text.value, self._size.value) if self._text.value else b""
            if clear:
                self._libc.rewind(self._pointer)
            return text
        finally:
            self._libc.funlockfile(self._pointer)

    def install(self) -> None:
        """Make this stream C's `stderr`."""
        self._original = self._stderr.value
        self._stderr.value = self._pointer

    def remove(self) -> None:
        """Restore `stderr`, if this stream is installed."""
        if self._original is not None and self._stderr.value == self._pointer:
            self._stderr.value = self._original

    def print_others(self) -> None:
        """Clear the text; print what is not from decoders to the original `stderr`."""
        _, others = _split(self.text(clear=True))
        if others:
            self._libc.fwrite(others, 1, len(others), self._original)
            self._libc.fflush(self._original)


def _opencv_level() -> Any:
    """Return OpenCV's log level."""
    module: Any = cv2.utils.logging if _HAS_LOGGING else cv2
    return module.getLogLevel()


def _set_opencv_level(level: Any) -> None:
    """Set OpenCV's log level, None for silence."""
    if _HAS_LOGGING:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT if level is None else level)
    else:
        older: Any = cv2
        older.setLogLevel(0 if level is None else level)


_log = DecoderLog()
if hasattr(os, "register_at_fork"):

    def _renew() -> None:
        """Start with a new log in a forked process, in which the threads that decoded do not exist."""
        global _log
        _log.restore()
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
