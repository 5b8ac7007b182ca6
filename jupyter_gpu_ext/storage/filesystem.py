"""Every connection as an fsspec file system, over our own readers and writers: for pandas, xarray, dask and the rest.

Nothing is cached between calls, and what is pickled is the connection's name.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK

from jupyter_gpu_ext.errors import BadRequestError, ExistsError, GpuExtError, NotFoundError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend, writable
from jupyter_gpu_ext.storage.download import download
from jupyter_gpu_ext.storage.files import READ_AHEAD_BYTES, ReadFile, TextFile, WriteFile
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import Reader, open_reader
from jupyter_gpu_ext.storage.writer import open_writer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.models import Entry

T = TypeVar("T")

_PAGE = 1000
_UPLOAD_BYTES = 8 << 20


class ConnectionFileSystem(AsyncFileSystem):  # type: ignore[misc]
    """The objects of one connection; `fs(name)` makes it.

    Raises
    ------
    NotFoundError
        When there is no connection of that name.
    """

    protocol: ClassVar[str] = ""
    root_marker = ""
    async_impl = True
    # It touches no local disk beside what it is told to.
    local_file = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "use_listings_cache": False})
        connections.load().find(self.protocol)
        self._process = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return fs, (self.protocol,)

    @property
    def fsid(self) -> str:
        """The connection's name."""
        return self.protocol

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open an object; text modes too.

        An exception inside `with` gives a written file up: what was there before stays.
        """
        if "b" in mode:
            return super().open(path, mode, **options)
        words = {key: options.pop(key) for key in ("encoding", "errors", "newline") if key in options}
        return TextFile(super().open(path, mode.replace("t", "") + "b", **options), **words)

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, autocommit: bool = True,
        cache_options: Any = None, *, resume_id: str | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        if mode == "rb":
            reader = self._run(open_reader(self._url(path)))
            size = block_size or READ_AHEAD_BYTES
            return ReadFile(self, path, reader, block_size=size, cache_options=cache_options, **options)
        if mode not in ("wb", "xb"):
            raise BadRequestError(f"Mode {mode!r} is not one of rb, wb, xb.", hint="An object is written as a whole.")
        writer = self._run(open_writer(self._url(path), overwrite=mode == "wb", resume_id=resume_id))
        return WriteFile(self, path, mode, writer, autocommit=autocommit)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        self._check_process(work)
        return LOOP.run(work)

    async def _call(self, work: Coroutine[Any, Any, T]) -> T:
        # fsspec runs on a loop of its own, zarr on another; the clients live on ours.
        self._check_process(work)
        return await LOOP.call(work)

    def _check_process(self, work: Coroutine[Any, Any, Any]) -> None:
        if os.getpid() != self._process:
            work.close()
            raise BadRequestError(
                f"{self.protocol}:// was opened before this process was forked.",
                hint="Start workers with spawn or forkserver: multiprocessing_context='spawn' in a DataLoader.",
            )

    def _url(self, path: str) -> str:
        return f"{self.protocol}://{self._strip_protocol(path)}"

    @property
    def _connection(self) -> Connection:
        return connections.load().find(self.protocol)

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        key = self._strip_protocol(path)
        if not key:
            return _row(key, None)
        try:
            return _row(key, await self._call(backend(self._connection).head(key)))
        except (NotFoundError, BadRequestError):
            # No object of that name; a folder, perhaps.
            page = await self._call(backend(self._connection).list_page(f"{key}/", marker=None, limit=1))
            if not page.entries and not await self._is_folder(key):
                raise
            return _row(key, None)

    async def _is_folder(self, key: str) -> bool:
        # A file system has empty folders: they are rows of the folder above.
        if self._connection.kind != "local":
            return False
        above, _, name = key.rpartition("/")
        page = await self._call(
            backend(self._connection).list_page(f"{above}/" if above else "", marker=None, limit=_PAGE, search=name)
        )
        return any(entry.kind == "folder" and entry.name == name for entry in page.entries)

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        key = self._strip_protocol(path)
        try:
            rows = [_row(entry.key.removesuffix("/"), entry) for entry in await self._entries(f"{key}/" if key else "")]
        except (NotFoundError, BadRequestError):
            rows = []
        if not rows and key:
            row = await self._info(key)
            rows = [row] if row["type"] == "file" else []
        return rows if detail else sorted(row["name"] for row in rows)

    async def _entries(self, prefix: str) -> list[Entry]:
        found: list[Entry] = []
        marker: str | None = None
        while True:
            page = await self._call(backend(self._connection).list_page(prefix, marker=marker, limit=_PAGE))
            found += page.entries
            if page.marker is None or page.marker == marker:
                return found
            marker = page.marker

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return await self._call(_read(self._url(path), [(start, end)], only=True))

    async def _cat_ranges(
        self, paths: Sequence[str], starts: Any, ends: Any, max_gap: int | None = None, on_error: str = "return",
        **_: Any,
    ) -> list[Any]:  # fmt: skip
        """Return the bytes of many ranges; each object is opened once and read in one version."""
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        places: dict[str, list[int]] = {}
        for index, path in enumerate(paths):
            places.setdefault(path, []).append(index)
        found: list[Any] = [b""] * len(paths)

        async def read(path: str, indices: list[int]) -> None:
            try:
                parts: Any = await self._call(_read(self._url(path), [(starts[i], ends[i]) for i in indices]))
            except GpuExtError as error:
                if on_error == "raise":
                    raise
                parts = [error] * len(indices)
            for index, part in zip(indices, parts, strict=True):
                found[index] = part

        await asyncio.gather(*(read(path, indices) for path, indices in places.items()))
        return found

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        await self._call(_write(self._url(path), value, overwrite=mode != "create"))

    async def _put_file(
        self, lpath: str, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite",
        resume_id: str | None = None, **_: Any,
    ) -> None:  # fmt: skip
        size = await asyncio.to_thread(_file_size, lpath)
        if size is None:
            await self._makedirs(rpath, exist_ok=True)
            return
        callback.set_size(size)
        work = _upload(lpath, self._url(rpath), callback, overwrite=mode != "create", resume_id=resume_id)
        await self._call(work)

    async def _get_file(self, rpath: str, lpath: str, callback: Any = DEFAULT_CALLBACK, **_: Any) -> None:
        if (await self._info(rpath))["type"] == "directory":
            await asyncio.to_thread(os.makedirs, lpath, exist_ok=True)
            return
        await self._call(download(self._url(rpath), Path(lpath), callback))

    async def _rm_file(self, path: str, **_: Any) -> None:
        await self._call(writable(self._connection).delete(self._strip_protocol(path)))

    async def _rm(self, path: Any, recursive: bool = False, batch_size: Any = None, **options: Any) -> None:
        found = await self._expand_path(path, recursive=recursive, maxdepth=options.get("maxdepth"))
        folders = [one for one in found if (await self._info(one))["type"] == "directory"]
        if folders and not recursive:
            raise BadRequestError(f"{folders[0]!r} is a folder.", hint="Say recursive=True to remove what is in it.")
        files = set(found) - set(folders)
        await asyncio.gather(*(self._rm_file(one) for one in files))
        for folder in sorted(folders, key=len, reverse=True):
            await self._rmdir(folder)

    async def _rmdir(self, path: str) -> None:
        target = writable(self._connection)
        try:
            await self._call(target.delete(f"{self._strip_protocol(path)}/"))
        except NotFoundError:
            # A folder of an object store is gone with the last object in it.
            if self._connection.kind == "local":
                raise

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        source, to = self._strip_protocol(path1), self._strip_protocol(path2)
        if (await self._info(source))["type"] == "directory":
            await self._makedirs(to, exist_ok=True)
            return
        await self._call(writable(self._connection).copy(source, to, overwrite=True))

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        await self._makedirs(path, exist_ok=False)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        # An object store has no folders: libraries make them by the thousand, and markers would stay behind.
        key = self._strip_protocol(path)
        if not key or self._connection.kind != "local":
            return
        if not exist_ok and await self._exists(key):
            raise ExistsError(f"{key!r} exists.", hint="Choose another name.")
        await self._call(writable(self._connection).make_folder(f"{key}/"))

    async def _modified(self, path: str) -> Any:
        return (await self._info(path))["modified"]

    def modified(self, path: str) -> Any:
        """Return when the object was written."""
        return self.info(path)["modified"]

    def ukey(self, path: str) -> str:
        """Return the object's version: its ETag."""
        return str(self.info(path)["ETag"])


def fs(name: str) -> Any:
    """Return the file system of a connection, and register its name with fsspec.

    Raises
    ------
    NotFoundError
        When there is no connection of that name.
    """
    connections.load().find(name)
    return _class_of(name)()


def register_all() -> None:
    """Make every connection's name a URL scheme of fsspec: `pd.read_parquet("weights://x.parquet")`."""
    for name in connections.load().connections:
        _class_of(name)


@cache
def _class_of(name: str) -> type[ConnectionFileSystem]:
    made = type("ConnectionFileSystem", (ConnectionFileSystem,), {"protocol": name, "__doc__": f"{name}://"})
    fsspec.register_implementation(name, made, clobber=True)
    return made


def _row(key: str, entry: Entry | None) -> dict[str, Any]:
    folder = entry is None or entry.kind == "folder"
    return {
        "name": key,
        "type": "directory" if folder else "file",
        "size": 0 if entry is None or entry.size_bytes is None else entry.size_bytes,
        "ETag": entry.etag if entry else None,
        "modified": entry.modified if entry else None,
    }


async def _read(url: str, spans: list[tuple[int | None, int | None]], *, only: bool = False) -> Any:
    reader = await open_reader(url)
    if only and spans == [(None, None)]:
        return await reader.read_all()
    parts = await asyncio.gather(*(_span(reader, start, end) for start, end in spans))
    return parts[0] if only else parts


async def _span(reader: Reader, start: int | None, end: int | None) -> bytes:
    first, last, _ = slice(start, end).indices(reader.version.size_bytes)
    return await reader.read(first, max(first, last))


async def _write(url: str, data: bytes, *, overwrite: bool) -> None:
    writer = await open_writer(url, overwrite=overwrite, size_bytes=memoryview(data).nbytes)
    await writer.write(data)
    await writer.commit()


def _file_size(path: str) -> int | None:
    found = Path(path)
    return None if found.is_dir() else found.stat().st_size


async def _upload(path: str, url: str, callback: Any, *, overwrite: bool, resume_id: str | None) -> None:
    writer = await open_writer(url, overwrite=overwrite, resume_id=resume_id)
    try:
        with await asyncio.to_thread(open, path, "rb") as file:
            while data := await asyncio.to_thread(file.read, _UPLOAD_BYTES):
                await writer.write(data)
                callback.relative_update(len(data))
        await writer.commit()
    except BaseException:
        await asyncio.shield(writer.abort())
        raise
