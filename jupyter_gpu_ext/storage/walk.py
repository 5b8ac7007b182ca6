"""Every object below a prefix, page by page; never more than one page of a folder in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.loop import ahead

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from jupyter_gpu_ext.storage.models import Backend, Entry

_PAGE = 1000
_FOLDERS_AT_A_TIME = 16


async def walk(backend: Backend, prefix: str, enter: Callable[[Entry], bool] = lambda _: True) -> AsyncIterator[Entry]:
    """Yield the objects below `prefix`, a folder's before those of its folders.

    Parameters
    ----------
    prefix : str
        '' or ending with a slash, so that `run/` never reaches `run2/`.
    enter : callable
        Told each folder; where it returns False, what is below is left out.
    """
    folders = list[str]()
    async for entries in _pages(backend, prefix):
        for entry in entries:
            if entry.kind == "folder":
                folders += [entry.key] if enter(entry) else []
            else:
                yield entry
    for folder in folders:
        async for entry in walk(backend, folder, enter):
            yield entry


async def collect(backend: Backend, prefix: str, enter: Callable[[Entry], bool] = lambda _: True) -> list[Entry]:
    """Return the objects below `prefix` in no order: for who needs all of them, folders side by side.

    Parameters
    ----------
    prefix, enter
        As of `walk`.
    """
    found, folders = list["Entry"](), [prefix]
    while folders:
        below = list[str]()
        async for entries in ahead((_folder(backend, one) for one in folders), _FOLDERS_AT_A_TIME):
            found += [one for one in entries if one.kind != "folder"]
            below += [one.key for one in entries if one.kind == "folder" and enter(one)]
        folders = below
    return found


async def _folder(backend: Backend, prefix: str) -> list[Entry]:
    return [entry async for entries in _pages(backend, prefix) for entry in entries]


async def _pages(backend: Backend, prefix: str) -> AsyncIterator[Sequence[Entry]]:
    marker = None
    while True:
        page = await backend.list_page(prefix, marker=marker, limit=_PAGE)
        yield page.entries
        # A provider that repeats its marker would page for ever.
        if page.marker is None or page.marker == marker:
            return
        marker = page.marker
