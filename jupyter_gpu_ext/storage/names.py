"""Keys and the names that people see, the same for every provider."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import url
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jupyter_gpu_ext.storage.models import Entry

# What obstore would rewrite or refuse: empty and dot segments, slashes at the ends, control characters.
# Such a key goes through the provider's own client, which takes it as it is.
REWRITTEN = re.compile(r"(^|/)\.{0,2}(/|$)|[\x00-\x1f\x7f]")


def last(key: str) -> str:
    """Return the last part of a key, '/' where it is empty."""
    return key.removesuffix("/").rpartition("/")[2] or "/"


def place(root: str, key: str) -> tuple[str, str]:
    """Return the container and the name in it of a key below 'container/prefix', or below '' (all containers)."""
    container, _, prefix = root.partition("/")
    if container:
        return container, f"{prefix}/{key}" if prefix else key
    name, _, below = key.partition("/")
    return name, below


def object_place(root: str, key: str) -> tuple[str, str]:
    """Return `place` of a key that names an object.

    Raises
    ------
    BadRequestError
        When it names a container, or nothing.
    """
    container, path = place(root, key)
    if not container or not path:
        raise BadRequestError(f"{printable(key)!r} names no object.", hint="Write connection://container/key.")
    return container, path


def quoted(etag: str | None) -> str:
    """Return an ETag in quotes: the same one comes quoted in a header and bare in a listing."""
    return f'"{(etag or "").strip(chr(34))}"'


def unaddressable(key: str) -> str | None:
    """Return why a key cannot be asked for, None when it can."""
    try:
        url.check_key(key)
    except BadRequestError as error:
        return error.message
    return None


def folded(entries: Iterable[Entry], prefix: str) -> Iterator[Entry]:
    """Leave out the empty marker of the folder itself: it is a row of the folder above."""
    return (entry for entry in entries if entry.key != prefix or entry.size_bytes)
