r"""Blob names that a URL cannot carry: on its way, `in/../x` becomes `x`, and `a\b` becomes `a/b`.

A shared access signature covers the container, not the name that was meant, so that nobody would notice.

https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
"""

from __future__ import annotations

import re

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import names
from jupyter_gpu_ext.text import printable

_REWRITTEN = re.compile(r"(^|/)\.{1,2}(/|$)|\\")


def check(key: str) -> None:
    """Refuse a key that would be another blob's.

    Raises
    ------
    BadRequestError
    """
    if _REWRITTEN.search(key):
        raise BadRequestError(
            f"{printable(key)!r} cannot be asked of Azure: a part is '.' or '..', or there is a backslash in it.",
            hint="Write the key without it.",
        )


def unaddressable(key: str) -> str | None:
    """Return why a key cannot be asked for, None when it can."""
    try:
        check(key)
    except BadRequestError as error:
        return error.message
    return names.unaddressable(key)
