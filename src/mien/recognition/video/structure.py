"""Structure of a video file: the byte at which it breaks off or is damaged.

Containers state the sizes of their parts. A file that was cut ends before a part does, and one whose bytes were changed
or lost has something else where a part should begin; FFmpeg reports neither. Nothing is decoded here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

_AVI_CHUNKS = frozenset(b"RIFF LIST JUNK idx1 avih strh strf strd strn indx vprp ISMP PAD_".split())
_FLV_TAGS = frozenset((8, 9, 18))  # audio, video, metadata
_SEGMENT, _CLUSTER, _EBML = 0x18538067, 0x1F43B675, 0x1A45DFA3
_UNKNOWN = -1  # size of an element that ends where the next one of its level begins
_EVERYWHERE = frozenset((0xEC, 0xBF))  # Void, CRC-32
_PARENTS = frozenset((_SEGMENT, _CLUSTER))  # whose parts are checked too
_LEVEL_1 = (
    _PARENTS | _EVERYWHERE | {_EBML, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
)
_IN_CLUSTER = _EVERYWHERE | {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF}
_TS_PACKET, _TS_CHUNK = 188, 188 * 50_000
_BYTES_PER_PART, _FEWEST_PARTS = 256, 100_000  # of videos; a file with more parts would only take time
_ASF_HEADER, _ASF_PROPERTIES = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), bytes.fromhex("a1dcab8c47a9cf11")


@dataclass(frozen=True)
class Break:
    """A place where the structure of a file is broken.

    Attributes:
        start: Offset of the last part before the break; the damage begins within it or at its end.
        found: Offset at which the next part should begin; the size of the file, if it ends before.
        in_media: Whether audio or video is cut or damaged, and not an index, metadata or bytes after the end.
    """

    start: int
    found: int
    in_media: bool = True


class _Unchecked(Exception):
    """The check of a file ended before the end of the file."""


class _Parts:
    """A file of which one part after another is read; `read` raises `_Unchecked` if there are too many."""

    def __init__(self, file: BinaryIO, stop: Callable[[], bool] | None = None) -> None:
        """Begin; `stop` is called before each part and returns whether to end."""
        self._file, self._stop, self.seek = file, stop, file.seek
        self.size = file.seek(0, 2)
        self._left = _FEWEST_PARTS + self.size // _BYTES_PER_PART

    def read(self, length: int) -> bytes:
        """Read a part, or its beginning."""
        self._left -= 1
        if self._left < 0 or (self._stop is not None and self._stop()):
            raise _Unchecked
        return self._file.read(length)


def find_break(
    file: BinaryIO, container: str, *, pid: int | None = None, stop: Callable[[], bool] | None = None
) -> Break | None:
    r"""Return the first place where parts are missing or damaged; None if the file is complete.

    Only the sizes and types of parts are checked, so that changes within a frame are not found.

    Args:
        file: Open file, which can be searched.
        container: FFmpeg's name of the format; None is returned for formats that do not state sizes.
        pid: Packets of a transport stream that must be complete; None for all.
        stop: Function that returns whether to end; None is returned then, and for far too many parts.

    Example:
        >>> import io
        >>> movie = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00" + b"\x00\x00\x00\x0cmdat\x01\x02\x03\x04"
        >>> find_break(io.BytesIO(movie), "mov,mp4"), find_break(io.BytesIO(movie[:-1]), "mov,mp4")
        (None, Break(start=16, found=27, in_media=True))
    """
    find = next((f for name, f in _FINDERS.items() if name in container.split(",")), None)
    with suppress(_Unchecked):
        parts = _Parts(file, stop)
        if find is _find_in_packets:
            return _find_in_packets(parts, parts.size, pid)
        return None if find is None else find(parts, parts.size)
    return None


def lacks_index(file: BinaryIO) -> bool:
    """Return whether a QuickTime or MP4 file has media, but was cut before the end of its index."""
    with suppress(_Unchecked):
        parts = _Parts(file)
        ends = {kind: at + length for at, length, kind in _boxes(parts, parts.size)}
        return b"mdat" in ends and not 0 < ends.get(b"moov", 0) <= parts.size
    return False


def _boxes(file: _Parts, size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield offset, length and type of each top-level box of a QuickTime or MP4 file."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:  # until the end of the file
            length = size - at
        yield at, length, kind
        if length < 8:
            return
        at += length


def _find_in_boxes(file: _Parts, size: int) -> Break | None:
    """Check a QuickTime or MP4 file."""
    before = 0
    for at, length, kind in _boxes(file, size):
        if len(kind) < 4 or length < 8 or not (kind.isascii() and kind.decode("ascii").isprintable()):
            return Break(before, at, in_media=False)
        if at + length > size:
            return Break(at, size, kind == b"mdat")
        before = at
    return None


def _find_in_chunks(file: _Parts, size: int) -> Break | None:
    """Check an AVI file."""
    at = before = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(12)
        kind, length = head[:4], int.from_bytes(head[4:8], "little")
        # Chunks of frames have names such as "00dc": the number of the stream, and two letters for the kind of data.
        is_media = kind[:2].isdigit()
        if kind not in _AVI_CHUNKS and not is_media and kind[:2] != b"ix":
            return Break(before, at, in_media=False)
        is_list = kind == b"RIFF" or (kind == b"LIST" and head[8:12] in (b"movi", b"rec "))
        if at + 8 + length > size and not is_list:
            return Break(at, size, is_media)
        before, at = at, at + (12 if is_list else 8 + length + length % 2)
    return None


def _find_in_elements(file: _Parts, size: int) -> Break | None:
    """Check a Matroska or WebM file, down to the blocks of its clusters."""
    at = before = 0
    segment_end = cluster_end = 0  # `_UNKNOWN` within an element of unknown size
    while at < size:
        file.seek(at)
        head = file.read(12)
        kind, length, head_length = _read_element(head) or (0, 0, 0)
        in_cluster = cluster_end == _UNKNOWN or at < cluster_end
        if in_cluster and cluster_end == _UNKNOWN and kind in _LEVEL_1:
            in_cluster = False
        if not head_length and len(head) < 12:
            return Break(at, size, in_cluster)
        if kind not in (_IN_CLUSTER if in_cluster else _LEVEL_1) or (length == _UNKNOWN and kind not in _PARENTS):
            return Break(before, at, in_cluster)
        end = _UNKNOWN if length == _UNKNOWN else at + head_length + length
        if not in_cluster:
            cluster_end = end if kind == _CLUSTER else 0
            segment_end = end if kind == _SEGMENT else segment_end
        if end > size and kind not in _PARENTS:
            return Break(at, size, in_cluster)
        before, at = at, at + head_length if kind in _PARENTS else end
    return Break(before, size, cluster_end > size) if max(segment_end, cluster_end) > size else None


def _read_element(head: bytes) -> tuple[int, int, int] | None:
    """Return identifier, length and length of the header of an EBML element; None if they are invalid or incomplete."""
    if not head or not head[0] >> 4:
        return None
    id_length = 9 - head[0].bit_length()
    if len(head) <= id_length or not head[id_length]:
        return None
    length_length = 9 - head[id_length].bit_length()
    end = id_length + length_length
    if len(head) < end:
        return None
    mask = (1 << 7 * length_length) - 1
    length = int.from_bytes(head[id_length:end], "big") & mask
    return int.from_bytes(head[:id_length], "big"), _UNKNOWN if length == mask else length, end


def _find_in_packets(file: _Parts, size: int, pid: int | None = None) -> Break | None:
    """Check an MPEG transport stream: its packets, and the counters of one or all PIDs, which show lost ones."""
    counters: dict[int, int] = {}
    file.seek(0)
    if file.read(1) != b"G":  # packets with time codes or parity bytes are not checked
        return None
    for at in range(0, size, _TS_CHUNK):
        file.seek(at)
        data = np.frombuffer(file.read(_TS_CHUNK), np.uint8)
        packets_NB = data[: len(data) // _TS_PACKET * _TS_PACKET].reshape(-1, _TS_PACKET)
        bad = _first_bad_packet(packets_NB, counters, pid)
        if bad is not None:
            return Break(at + bad * _TS_PACKET, at + bad * _TS_PACKET)
    return Break(size, size) if size % _TS_PACKET else None


def _first_bad_packet(packets_NB: np.ndarray, counters: dict[int, int], only: int | None) -> int | None:
    """Return the index of the first packet that is damaged or follows a lost one; `counters` are updated."""
    pids_N = (packets_NB[:, 1].astype(np.int32) & 0x1F) << 8 | packets_NB[:, 2]
    has_error_N = (packets_NB[:, 1] >= 0x80) & ((pids_N == only) | (only is None))
    bad = np.nonzero((packets_NB[:, 0] != 0x47) | has_error_N)[0]
    first = int(bad[0]) if len(bad) else len(packets_NB)
    heads = packets_NB[:first].astype(np.int32)[:, :6]
    pids, has_payload, counter = pids_N[:first], heads[:, 3] & 0x10 > 0, heads[:, 3] & 0x0F
    restarts = (heads[:, 3] & 0x20 > 0) & (heads[:, 4] > 0) & (heads[:, 5] & 0x80 > 0)
    # Streams that were joined count differently, but a unit of data is complete when the next one begins.
    restarts |= heads[:, 1] & 0x40 > 0
    for pid in np.unique(pids):
        if pid == 0x1FFF or only not in (None, pid):  # stuffing, or another stream
            continue
        of_pid = np.nonzero((pids == pid) & has_payload)[0]
        if not len(of_pid):
            continue
        values = counter[of_pid]
        before = np.concatenate(([counters.get(int(pid), values[0])], values[:-1]))
        step = (values - before) % 16  # 0 for the first packet, and for one that is sent twice
        wrong = of_pid[(step > 1) & ~restarts[of_pid]]
        first = min(first, int(wrong[0])) if len(wrong) else first
        counters[int(pid)] = int(values[-1])
    return first if first < len(packets_NB) else None


def _find_in_tags(file: _Parts, size: int) -> Break | None:
    """Check an FLV file."""
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") + 4
    before = at
    while at < size:
        file.seek(at)
        head = file.read(11)
        end = at + 11 + int.from_bytes(head[1:4], "big") + 4
        if head[0] not in _FLV_TAGS or any(head[8:]):  # the number of the stream is always 0
            return Break(before, at, in_media=False)
        if len(head) < 11 or end > size:
            return Break(at, size)
        before, at = at, end
    return None


def _find_in_asf(file: _Parts, size: int) -> Break | None:
    """Check a WMV or ASF file, whose header states the size of the file."""
    file.seek(0)
    head = file.read(4096)
    at = head.find(_ASF_PROPERTIES)
    if not head.startswith(_ASF_HEADER) or at < 0 or len(head) < at + 92:
        return None
    (stated,), (flags,) = struct.unpack_from("<Q", head, at + 40), struct.unpack_from("<I", head, at + 88)
    return Break(0, size, False) if stated > size and not flags & 1 else None  # 1: broadcast, whose size is not known


_FINDERS: dict[str, Callable[[_Parts, int], Break | None]] = {
    "mp4": _find_in_boxes,
    "matroska": _find_in_elements,
    "avi": _find_in_chunks,
    "mpegts": _find_in_packets,
    "flv": _find_in_tags,
    "asf": _find_in_asf,
}
