"""Every object below a prefix, page by page; never more than one page of a folder in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jupyter_gpu_ext.storage.models import Backend, Entry

_PAGE = 1000


async def walk(backend: Backend, prefix: str) -> AsyncIterator[Entry]:
    """Yield the objects below `prefix`, a folder's before those of its folders.

    Parameters
    ----------
    prefix : str
        '' or ending with a slash, so that `run/` never reaches `run2/`.
    """
    marker, folders = None, list[str]()
    while True:
        page = await backend.list_page(prefix, marker=marker, limit=_PAGE)
        for entry in page.entries:
            if entry.kind == "folder":
                folders.append(entry.key)
            else:
                yield entry
        # A provider that repeats its marker would page for ever.
        if page.marker is None or page.marker == marker:
            break
        marker = page.marker
    for folder in folders:
        async for entry in walk(backend, folder):
            yield entry
