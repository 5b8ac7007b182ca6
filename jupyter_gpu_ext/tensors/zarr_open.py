"""Open a Zarr array or group: its metadata, from one consolidated document or node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.errors import DeniedError, NotFoundError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.backends import resolve
from jupyter_gpu_ext.storage.models import Deep
from jupyter_gpu_ext.storage.names import unaddressable
from jupyter_gpu_ext.tensors.formats import zarr, zarr_v2, zarr_v3
from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray, ZarrGroup
from jupyter_gpu_ext.tensors.objects import Objects, together
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from jupyter_gpu_ext.storage.models import Version
    from jupyter_gpu_ext.tensors.labels import Coordinate

_PAGE = 1000
# The most that a provider answers at once; some answer less.
_FLAT_PAGE = 5000
_DOCUMENTS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_MOST_TREE_BYTES = 32 << 20


@dataclass(slots=True, eq=False)
class ZarrNode:
    """An array or a group in storage, with what its metadata says.

    Attributes
    ----------
    url : str
    shown : str
        The URL for messages.
    root : ZarrArray or ZarrGroup
    consolidated : bool
        One document described the whole tree; it is a snapshot of the time when it was written.
    objects : Objects
        Where chunks are read from; counts requests and bytes.
    documents : mapping of str to Version
        The metadata that was read, by key below the root.
    unread : frozenset of str
        The groups that were not looked into.
    coordinates : dict of str to Coordinate
        Those that selections asked for, by path.
    """

    url: str
    shown: str
    root: ZarrArray | ZarrGroup
    version: Literal[2, 3]
    consolidated: bool
    objects: Objects
    documents: Mapping[str, Version]
    unread: frozenset[str] = frozenset()
    coordinates: dict[str, Coordinate] = field(default_factory=dict)

    @property
    def kind(self) -> Literal["array", "group"]:
        """Which of the two it is."""
        return "array" if isinstance(self.root, ZarrArray) else "group"

    @property
    def arrays(self) -> dict[str, ZarrArray]:
        """The arrays by name: their paths, or the last part of the URL for one array."""
        if isinstance(self.root, ZarrArray):
            return {self.url.rstrip("/").rpartition("/")[2] or "value": self.root}
        return dict(self.root.arrays)

    @property
    def groups(self) -> Mapping[str, Mapping[str, Any]]:
        """The groups below and their attributes, by path, in order."""
        return {} if isinstance(self.root, ZarrArray) else dict(sorted(self.root.groups.items()))

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Those of the node itself."""
        return self.root.attributes

    @property
    def requests(self) -> int:
        """Requests so far, those that were repeated included."""
        return self.objects.requests + self.objects.tally.retries


async def open_zarr(url: str) -> ZarrNode:
    """Read the metadata of a Zarr array or group.

    Where `zarr.json` and metadata of version 2 stand side by side, version 3 counts.

    Parameters
    ----------
    url : str
        'connection://key' of the folder that is the store, or of a group or an array inside of it.

    Raises
    ------
    NotFoundError
        When there is no Zarr metadata.
    TensorFormatError, TooLargeError
        When there is some that cannot be.
    """
    node = await find_zarr(url)
    if node is None:
        shown = printable(redact(str(url)))
        raise NotFoundError(
            f"{shown} is no Zarr array and no Zarr group.",
            hint="Give the folder that has zarr.json, .zgroup or .zarray.",
        )
    return node


async def find_zarr(url: str, *, deep: bool = True) -> ZarrNode | None:
    """Do what `open_zarr` does; None where there is no Zarr metadata.

    One request where version 3 is an array or consolidated, two where version 2 is consolidated. Version 3 that is
    not takes 2 + nodes; version 2 takes 5 + documents, and one more for each group, of those in the first where one
    page of names holds all objects. Where that does not, or on a disk, groups in groups take a listing each.

    Parameters
    ----------
    deep : bool
        False looks into no group below the first, unless one document describes all.
    """
    return await _Opening(url, deep=deep).node()


class _Opening:
    def __init__(self, url: str, *, deep: bool) -> None:
        parsed = urls.parse(url)
        backend, key = resolve(parsed)
        self._url = str(parsed)
        self._shown = printable(redact(self._url))
        self._objects = Objects(backend, key)
        self._key = key.rstrip("/")
        self._versions: dict[str, Version] = {}
        self._bytes = 0
        self._deep = deep
        self._unread: frozenset[str] = frozenset()
        self._listed: _Listed | None = None
        self._denied: DeniedError | None = None

    async def node(self) -> ZarrNode | None:
        found = await self._documents("", "zarr.json")
        if found:
            root = zarr_v3.parse_consolidated(found["zarr.json"], self._shown)
            return self._node(root or await self._walk_v3(found["zarr.json"]), 3, consolidated=root is not None)
        if found := await self._documents("", ".zmetadata"):
            return self._node(zarr_v2.parse_consolidated(found[".zmetadata"], self._shown), 2, consolidated=True)
        found = await self._documents("", ".zgroup", ".zarray", ".zattrs")
        if ".zgroup" in found or ".zarray" in found:
            return self._node(await self._walk_v2(found), 2, consolidated=False)
        if self._denied is not None:
            raise self._denied
        return None

    def _node(self, root: ZarrArray | ZarrGroup, version: Literal[2, 3], *, consolidated: bool) -> ZarrNode:
        whole = isinstance(root, ZarrArray)
        return ZarrNode(
            self._url, self._shown, root, version, consolidated and not whole, self._objects, self._versions,
            unread=self._unread,
        )  # fmt: skip

    async def _documents(self, path: str, *names: str) -> dict[str, dict[str, Any]]:
        """Return those documents of a node that exist."""
        found = dict[str, dict[str, Any]]()

        async def read(name: str) -> None:
            below = f"{path}/{name}".lstrip("/")
            if self._listed is not None and below not in self._listed.documents:
                return
            document = await self._document(below)
            if document is not None:
                found[name] = document

        await together(read(name) for name in names)
        return found

    async def _document(self, below: str) -> dict[str, Any] | None:
        shown = f"{self._shown.rstrip('/')}/{printable(below)}"
        try:
            found = await self._objects.first(below, zarr.MOST_DOCUMENT_BYTES + 1)
        except DeniedError as error:
            # Without the right to list, a provider does not tell a missing object from a forbidden one.
            if "/" in below:
                raise
            self._denied = error
            return None
        if found is None:
            return None
        raw, version = found
        self._bytes += len(raw)
        if version.size_bytes > zarr.MOST_DOCUMENT_BYTES or self._bytes > _MOST_TREE_BYTES:
            raise zarr.too_long(version.size_bytes, shown)
        self._versions[below] = version
        return zarr.parse_document(raw, shown)

    async def _walk_v3(self, top: dict[str, Any]) -> ZarrArray | ZarrGroup:
        nodes = {"": top}

        async def visit(path: str) -> bool:
            found = await self._documents(path, "zarr.json")
            if not found:
                return False
            nodes[path] = found["zarr.json"]
            return found["zarr.json"].get("node_type") == "group"

        await self._descend(visit, top.get("node_type") == "group")
        return zarr_v3.tree(nodes, self._shown)

    async def _walk_v2(self, top: dict[str, dict[str, Any]]) -> ZarrArray | ZarrGroup:
        nodes = {"": top}

        async def visit(path: str) -> bool:
            found = await self._documents(path, ".zarray", ".zattrs")
            if ".zarray" not in found:
                found |= await self._documents(path, ".zgroup")
            if ".zarray" in found or ".zgroup" in found:
                nodes[path] = found
            return ".zgroup" in found

        await self._descend(visit, ".zgroup" in top)
        return zarr_v2.tree(nodes, self._shown)

    async def _descend(self, visit: Callable[[str], Awaitable[bool]], is_group: bool) -> None:
        """Visit the folders of groups, a level at a time; arrays' own folders are never listed."""
        groups, count = [""] if is_group else [], 0
        for depth in range(zarr.MOST_LEVELS):
            if not groups:
                return
            if depth == 1:
                self._listed = await self._list_all()
            below: list[str] = []
            await together([self._children(path, below) for path in groups])
            count += len(below)
            if count > zarr.MOST_NODES:
                raise zarr.too_many(self._shown)
            groups = []

            async def one(path: str, found: list[str] = groups) -> None:
                if await visit(path):
                    found.append(path)

            await together([one(path) for path in below])
            groups.sort()
            if not self._deep:
                self._unread = frozenset(groups)
                return
        raise zarr.too_deep(self._shown)

    async def _list_all(self) -> _Listed | None:
        """Return the documents at any depth by one page of names; None where there is more, or listings are free."""
        if self._objects.near or not isinstance(self._objects.backend.inner, Deep):
            return None
        prefix = self._objects.key("")
        page = await self._objects.sizes(prefix, marker=None, limit=_FLAT_PAGE)
        there = (key[len(prefix) :] for key in page.sizes if not unaddressable(key))
        return None if page.marker is not None else _listed(there)

    async def _children(self, path: str, below: list[str]) -> None:
        if self._listed is not None:
            below += self._listed.children.get(path, ())
            return
        prefix = "/".join(part for part in (self._key, path) if part)
        prefix = f"{prefix}/" if prefix else ""
        marker, seen = None, set[str | None]()
        while marker not in seen:
            seen.add(marker)
            page = await self._objects.page(prefix, marker=marker, limit=_PAGE)
            below += [
                f"{path}/{row.name.rstrip('/')}".lstrip("/")
                for row in page.entries
                if row.kind == "folder" and not row.unreadable
            ]
            marker = page.marker
            if marker is None or len(below) > zarr.MOST_NODES:
                return


@dataclass(frozen=True, slots=True)
class _Listed:
    """The documents of a whole tree, and the nodes below each node, by path."""

    documents: frozenset[str]
    children: Mapping[str, list[str]]


def _listed(keys: Iterable[str]) -> _Listed:
    documents = frozenset(key for key in keys if key.rpartition("/")[2] in _DOCUMENTS)
    children: dict[str, list[str]] = {}
    for path in sorted({key.rpartition("/")[0] for key in documents} - {""}):
        children.setdefault(path.rpartition("/")[0], []).append(path)
    return _Listed(documents, children)
