"""Which objects of a Zarr array are there, and how long they are: one bounded listing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.storage.models import Deep

if TYPE_CHECKING:
    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.objects import Objects

# Where each folder is a request of its own.
_MOST_FOLDERS = 50


@dataclass(slots=True)
class Stored:
    """What a listing found.

    Attributes
    ----------
    sizes : dict of str to int
        Bytes by key, as `Objects.key` has it; other objects than chunks may be among them.
    complete : bool
        There are no more.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    complete: bool = False


async def stored_sizes(objects: Objects, array: ZarrArray, most: int) -> Stored:
    """List the objects of an array, `most` of them; no more than fifty requests where folders are listed one by one.

    Raises
    ------
    DeniedError
        When this identity may not list.
    BadRequestError
        When this storage has no listings.
    """
    prefix = objects.key(folder_of(array))
    try:
        if isinstance(objects.backend.inner, Deep):
            return await _pages(objects, prefix, most)
        return await _folders(objects, prefix, most)
    except NotFoundError:
        # A folder of which nothing was ever written.
        return Stored(complete=True)


def folder_of(array: ZarrArray) -> str:
    """Return the folder of an array's chunks, below the store's root: '' or ending with a slash."""
    path = f"{array.path}/" if array.path else ""
    return f"{path}{array.prefix}/" if array.shape and array.prefix and array.separator == "/" else path


async def _pages(objects: Objects, prefix: str, most: int) -> Stored:
    found, marker = Stored(), None
    while True:
        page = await objects.sizes(prefix, marker=marker, limit=most - len(found.sizes))
        found.sizes |= page.sizes
        found.complete = page.marker is None
        # A provider that repeats its marker would page for ever.
        if page.marker in (None, marker) or len(found.sizes) >= most:
            return found
        marker = page.marker


async def _folders(objects: Objects, prefix: str, most: int) -> Stored:
    found = Stored()
    folders: list[tuple[str, str | None]] = [(prefix, None)]
    for _ in range(_MOST_FOLDERS):
        folder, marker = folders.pop()
        page = await objects.page(folder, marker=marker, limit=1000)
        folders += [(folder, page.marker)] if page.marker not in (None, marker) else []
        for one in page.entries:
            if one.kind == "folder":
                folders.append((one.key, None))
            elif not one.unreadable:
                found.sizes[one.key] = one.size_bytes or 0
        if not folders:
            found.complete = len(found.sizes) <= most
            return found
        if len(found.sizes) >= most:
            return found
    return found
