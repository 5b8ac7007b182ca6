"""Object URLs: a connection's name or a protocol, `://`, and a key that is taken literally."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import redact

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_LONGEST_KEY = 4096


@dataclass(frozen=True, slots=True)
class ObjectURL:
    """`scheme://key`; the scheme is a connection's name or a protocol.

    The key is everything after `://`: spaces, `%`, `#` and `?` are part of it. `urllib.parse` is of no
    use here, it drops line breaks and cuts at `?` and `#`.
    """

    scheme: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"


def parse(text: str | os.PathLike[str]) -> ObjectURL:
    """Parse a URL, or the path of a local file.

    Raises
    ------
    BadRequestError
        When `text` is neither, or its key cannot name an object.
    """
    if isinstance(text, os.PathLike) or text.startswith(("/", "./", "../", "~")):
        return ObjectURL("file", str(Path(text).expanduser().absolute()))
    scheme, separator, key = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise BadRequestError(
            f"{redact(text[:200])!r} is not an object URL.",
            hint="Write connection://key (`%blob ls` shows the connections), or a path that starts with / or ./",
        )
    check_key(key)
    return ObjectURL(scheme, key)


def check_key(key: str) -> None:
    """Refuse a key that no provider can hold: too long, NUL, lone surrogates."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise BadRequestError("The key is not valid Unicode.", hint="Copy it from the listing.") from None
    if size > _LONGEST_KEY or "\0" in key:
        raise BadRequestError("The key is longer than 4096 bytes or holds a NUL.", hint="Copy it from the listing.")
