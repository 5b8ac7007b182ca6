"""The files of one log: `train.log`, `train.log.00002`, …; by name they sort as they were written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import DeniedError, NotFoundError

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.models import Backend

_NUMBER = re.compile(r"\.(\d{5,})")
_PAGE = 1000


def part_key(key: str, number: int) -> str:
    """Return the key of a log's part; the first one has the log's own.

    Examples
    --------
    >>> part_key("logs/train.log", 1), part_key("logs/train.log", 2)
    ('logs/train.log', 'logs/train.log.00002')
    """
    return key if number == 1 else f"{key}.{number:05d}"


def part_number(key: str, found: str) -> int:
    """Return which part of the log `key` an object is, 0 when it is none."""
    if found == key:
        return 1
    match = _NUMBER.fullmatch(found.removeprefix(key)) if found.startswith(key) else None
    number = int(match[1]) if match else 0
    return number if number > 1 and part_key(key, number) == found else 0


async def last_part(backend: Backend, key: str) -> int:
    """Return the number of the last part that is there, 0 for none or where nothing may be listed."""
    folder, slash, name = key.rpartition("/")
    last, marker = 0, None
    try:
        while True:
            page = await backend.list_page(folder + slash, marker=marker, limit=_PAGE, search=name)
            last = max([last, *(part_number(key, one.key) for one in page.entries if one.kind == "object")])
            if page.marker is None or page.marker == marker:
                return last
            marker = page.marker
    except (NotFoundError, DeniedError):
        # Without leave to list, the conditions of each write find the place.
        return last
