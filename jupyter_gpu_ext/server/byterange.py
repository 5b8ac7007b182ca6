"""The Range header of a download, one range at most: RFC 9110, section 14."""

from __future__ import annotations

import re

from jupyter_gpu_ext.errors import RangeError
from jupyter_gpu_ext.storage.ranges import ByteRange

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def requested(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the range that a header asks for; None means the whole object.

    A header that is not understood, or asks for several ranges, is ignored, as the RFC allows.

    Raises
    ------
    RangeError
        When the range lies outside the object.
    """
    match = _ONE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match.group(1, 2) == ("", ""):
        return None
    first, last = match.group(1, 2)
    if not first:
        found = ByteRange(max(0, size_bytes - int(last)), size_bytes)
    elif last and int(last) < int(first):
        return None
    else:
        found = ByteRange(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)
    if found.size_bytes <= 0:
        raise RangeError("The range lies outside the object.", hint=f"It has {size_bytes} bytes.")
    return found
