"""Request bodies: raw images and multipart forms, in memory, within limits.

Nothing is written to a disk, as most parsers of forms do with large parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import TYPE_CHECKING, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import Request

from mien.serve.errors import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PARTS = 64  # of a form, at most
_NAME = 200  # letters of a file's name that are kept
_FORM, _BYTES = "multipart/form-data", "application/octet-stream"


@dataclass(frozen=True)
class Upload:
    """One file as it came.

    Attributes:
        name: the client's name for it without folders; empty where it has none.
        data: its bytes.
    """

    name: str
    data: bytes


async def read_uploads(request: Request, field: str, kinds: tuple[str, ...], most: int = PARTS) -> list[Upload]:
    """The files in a request's body, one at least.

    Args:
        request: whose body is a form with files in its `field`, or one file as it is.
        field: of the form.
        kinds: how the types of raw bodies begin that are taken, such as `image/`; bytes of no type are taken anyway.
        most: files in a form.

    Raises:
        Problem: a body of another type, a form that is damaged, has other or too many fields, or nothing in it.
    """
    told = _options(request.headers.get("content-type", _BYTES))
    kind = told.get_content_type()
    if kind == _FORM:
        uploads = await _form(request, _parameter(told, "boundary", "content-type"), field, most)
    elif kind == _BYTES or kind.startswith(kinds):
        uploads = [Upload("", await request.body())]
    else:
        raise Problem(
            415, "unsupported_media_type", f"A body of the type {kind[:80]} is not taken here.",
            f"Send a form (multipart/form-data) with files in its field '{field}', or one file as it is, with its own "
            f"type or {_BYTES}.",
        )  # fmt: skip
    if not uploads or (len(uploads) == 1 and not uploads[0].data):
        raise Problem(
            400, "no_file", "The request carries no file.", f"Put one or more into the form's field '{field}'."
        )
    return uploads


def takes(field: str, many: bool, *kinds: str) -> dict[str, Any]:
    """OpenAPI's words for what `read_uploads` reads."""
    file = {"type": "string", "format": "binary"}
    files = {"type": "array", "items": file, "minItems": 1, "maxItems": PARTS} if many else file
    form = {"type": "object", "properties": {field: files}, "required": [field], "additionalProperties": False}
    content = {"multipart/form-data": {"schema": form}, **{kind: {"schema": file} for kind in kinds}}
    return {"requestBody": {"required": True, "content": content}}


def base_name(name: str) -> str:
    """A client's name for a file without folders, drive and what cannot be printed."""
    last = re.split(r"[/\\:]", name.strip())[-1]
    return "".join(letter for letter in last if letter.isprintable())[-_NAME:]


def _options(header: str) -> Message:
    """A header such as `multipart/form-data; boundary=x`, taken apart."""
    message = Message()
    message["content-type"] = re.sub(r"[^\x20-\x7e]", "?", header)
    return message


def _parameter(headers: Message, name: str, header: str) -> str:
    """What a header says behind `name=`; nothing where it does not."""
    try:
        return collapse_rfc2231_value(headers.get_param(name, "", header))
    except (TypeError, ValueError):  # of RFC 2231's forms `email` knows some that it cannot read
        raise Problem(
            400,
            "damaged_form",
            f"The header {header} says its {name} in a form that is none.",
            "Let a library make it.",
        ) from None


async def _form(request: Request, boundary: str, field: str, most: int) -> list[Upload]:
    if not boundary:
        raise Problem(400, "damaged_form", "The form does not say what its parts are parted by.", "Name its boundary.")
    parts = _Parts(field, most)
    try:
        parser = MultipartParser(boundary, parts.callbacks(), max_header_count=8)
        async for chunk in request.stream():
            parser.write(chunk)
    except FormParserError as error:
        raise Problem(400, "damaged_form", f"The form cannot be read: {error}", "Let a library make it.") from None
    if not parts.ended:
        raise Problem(400, "damaged_form", "The form breaks off before its end.", "Send it again.")
    return parts.uploads


@dataclass
class _Parts:
    """The parts of a form, as its parser comes upon them."""

    wanted: str
    most: int
    uploads: list[Upload] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self._header, self._headers = (bytearray(), bytearray()), Message()
        self._data, self._name, self._count = bytearray(), "", 0

    def callbacks(self) -> MultipartCallbacks:
        """What `MultipartParser` calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": lambda: self.uploads.append(Upload(self._name, bytes(self._data))),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > self.most:
            raise Problem(
                413, "too_many_files", f"The form has more than the {self.most} files that are taken at a time.",
                "Send them in several requests.",
            )  # fmt: skip
        self._headers, self._data = Message(), bytearray()

    def _end_header(self) -> None:
        name, value = (bytes(part).decode("utf-8", "replace") for part in self._header)
        self._header[0].clear()
        self._header[1].clear()
        if name.lower() == "content-disposition":
            self._headers["content-disposition"] = value

    def _end_headers(self) -> None:
        told = _parameter(self._headers, "name", "content-disposition")
        if told != self.wanted:
            raise Problem(
                422, "unknown_field", f"The form has the field {str(told)[:80]!r}, which is not taken here.",
                f"Put files into the field '{self.wanted}'; options stand in the address, after a question mark.",
            )  # fmt: skip
        self._name = base_name(_parameter(self._headers, "filename", "content-disposition"))

    def _end(self) -> None:
        self.ended = True
