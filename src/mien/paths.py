"""Paths as users write them: `~` for the home folder, and addresses on the web instead of paths."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

_Path = TypeVar("_Path", bound=str | Path)
# A scheme of two letters or more, because C:/ is a drive. `Path` makes one slash of two.
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/{1,3}[^/]|data:[a-z]+/|www\.[^/]+\.[^/]+/", re.IGNORECASE)


def expand_user(path: _Path) -> _Path:
    """Return a path with `~` or `~name` at its beginning replaced by the home folder, as shells do.

    A home folder that is unknown is not replaced.

    Example:
        >>> expand_user("photos/~a.jpg")
        'photos/~a.jpg'
        >>> expand_user("~") == os.path.expanduser("~")
        True
    """
    return type(path)(os.path.expanduser(str(path))) if str(path).startswith("~") else path


def not_found(path: str | Path) -> str:
    """Return why there is nothing at a path: it is a URL, or no file has this name.

    Example:
        >>> not_found("https://example.org/a.jpg")
        'URLs are not fetched; download the file first'
        >>> not_found("C:/photos/a.jpg")
        'there is no such file'
    """
    return "URLs are not fetched; download the file first" if is_url(path) else "there is no such file"


def is_url(path: str | Path) -> bool:
    """Return whether a path looks like a URL.

    Example:
        >>> is_url("https://example.org/a.jpg"), is_url("photos/a.jpg")
        (True, False)
    """
    return _URL.match(str(path)) is not None
