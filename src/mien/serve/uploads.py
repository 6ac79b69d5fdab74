"""Request bodies: raw images and multipart forms, in memory, within limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from typing import Any

from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from mien.serve.errors import Problem

MAX_PARTS = 64  # of a form
_MAX_NAME = 200  # characters of a file name that are kept
_FORM, _BYTES = "multipart/form-data", "application/octet-stream"


@dataclass(frozen=True)
class Upload:
    """One file of a request.

    Attributes:
        name: The client's file name without folders; empty where it sent none.
        data: Content of the file.
    """

    name: str
    data: bytes


async def read_uploads(
    request: Request, field: str, types: tuple[str, ...], max_files: int = MAX_PARTS
) -> list[Upload]:
    """Return the files in a request's body, at least one.

    Args:
        request: Request whose body is a form with files, or one file.
        field: Name of the form field that holds the files.
        types: Prefixes of the media types accepted for raw bodies, such as `image/`; a body without a type is accepted.
        max_files: Largest number of files in a form.

    Raises:
        Problem: The body has another type, the form is damaged, has other or too many fields, or there is no file.
    """
    header = Message()
    header["content-type"] = re.sub(r"[^\x20-\x7e]", "?", request.headers.get("content-type", _BYTES))
    media_type = header.get_content_type()
    if media_type == _FORM:
        uploads = await _read_form(request, field, max_files)
    elif media_type == _BYTES or media_type.startswith(types):
        uploads = [Upload("", await request.body())]
    else:
        raise Problem(
            415, "unsupported_media_type", f"The media type {media_type[:80]} is not supported.",
            f"Send {_FORM} with files in the field '{field}', or one file as the body with its own type or {_BYTES}.",
        )  # fmt: skip
    if not uploads or (len(uploads) == 1 and not uploads[0].data):
        raise Problem(400, "no_file", "The request contains no file.", f"Put files into the form field '{field}'.")
    return uploads


def request_body_schema(field: str, many: bool, *types: str) -> dict[str, Any]:
    """Return the OpenAPI description of what `read_uploads` accepts."""
    file = {"type": "string", "format": "binary"}
    files = {"type": "array", "items": file, "minItems": 1, "maxItems": MAX_PARTS} if many else file
    form = {"type": "object", "properties": {field: files}, "required": [field], "additionalProperties": False}
    content = {_FORM: {"schema": form}, **{media_type: {"schema": file} for media_type in types}}
    return {"requestBody": {"required": True, "content": content}}


def base_name(name: str) -> str:
    """Return a client's file name without folders, drive and unprintable characters."""
    last = re.split(r"[/\\:]", name.strip())[-1]
    return "".join(character for character in last if character.isprintable())[-_MAX_NAME:]


async def _read_form(request: Request, field: str, max_files: int) -> list[Upload]:
    parser = _FormParser(request, field, max_files)
    try:
        form = await parser.parse()
    # FormParserError: starlette passed it on in older versions; UnicodeError: from odd values of `charset`;
    # TypeError: from the standard library's `email.utils.decode_params`, for `boundary*=x; boundary*0=y`.
    except (MultiPartException, FormParserError, UnicodeError, TypeError) as error:
        raise Problem(
            400, "damaged_form", f"The form cannot be parsed: {error}", "Use an HTTP library to encode it."
        ) from None
    try:
        if not parser.is_complete:
            raise Problem(400, "damaged_form", "The form ends before its closing boundary.", "Send the request again.")
        files = [file for _, file in form.multi_items() if not isinstance(file, str)]
        return [Upload(base_name(file.filename or ""), await file.read()) for file in files]
    finally:
        await form.close()


class _FormParser(MultiPartParser):
    """Starlette's parser with files in memory, one field of files and a limit on the number of parts.

    A part that is not accepted is rejected before its data is received.
    """

    spool_max_size = 0  # no limit, so that no file is moved to disk: `middleware.limits` bounds the body

    def __init__(self, request: Request, field: str, max_parts: int) -> None:
        super().__init__(request.headers, request.stream())
        self._field, self._max_parts, self._parts = field, max_parts, 0
        self.is_complete = False

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
            raise Problem(
                413, "too_many_files", f"The form has more than {self._max_parts} files.", "Send several requests."
            )
        super().on_part_begin()

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.field_name != self._field or part.file is None:
            raise Problem(
                422, "unknown_field", f"The form field {part.field_name[:80]!r} is unknown or has no file name.",
                f"Put files into the field '{self._field}' and options into the query string.",
            )  # fmt: skip

    def on_end(self) -> None:
        self.is_complete = True
