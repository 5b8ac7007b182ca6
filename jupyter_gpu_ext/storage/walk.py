"""Every object below a prefix, page by page; never more than one page of a folder in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jupyter_gpu_ext.storage.models import Backend, Entry

_PAGE = 1000


async def walk(backend: Backend, prefix: str, enter: Callable[[Entry], bool] = lambda _: True) -> AsyncIterator[Entry]:
    """Yield the objects below `prefix`, a folder's before those of its folders.

    Parameters
    ----------
    prefix : str
        '' or ending with a slash, so that `run/` never reaches `run2/`.
    enter : callable
        Told each folder; where it returns False, what is below is left out.
    """
    marker, folders = None, list[str]()
    while True:
        page = await backend.list_page(prefix, marker=marker, limit=_PAGE)
        for entry in page.entries:
            if entry.kind == "folder":
                folders += [entry.key] if enter(entry) else []
            else:
                yield entry
        # A provider that repeats its marker would page for ever.
        if page.marker is None or page.marker == marker:
            break
        marker = page.marker
    for folder in folders:
        async for entry in walk(backend, folder, enter):
            yield entry
