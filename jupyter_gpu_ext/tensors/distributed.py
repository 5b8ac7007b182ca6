"""A folder that torch.distributed.checkpoint wrote: its tensors as wholes, each chunk fetched to its place."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import struct
from typing import TYPE_CHECKING, Any, cast

from jupyter_gpu_ext.errors import GpuExtError, NotFoundError, TensorFormatError
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.tensors.formats import torch_zip
from jupyter_gpu_ext.tensors.formats.safetensors import contiguous
from jupyter_gpu_ext.tensors.formats.torch_distributed import Chunk, Item, Saved, nested, parse
from jupyter_gpu_ext.tensors.formats.torch_pickle import describe
from jupyter_gpu_ext.tensors.formats.zip_directory import LOCAL_BYTES
from jupyter_gpu_ext.tensors.gather import gather
from jupyter_gpu_ext.tensors.inside import Inside
from jupyter_gpu_ext.tensors.models import Block, Stored, Tensor, TensorFile, Whole, check
from jupyter_gpu_ext.tensors.peek import peek
from jupyter_gpu_ext.tensors.plan import choose_of
from jupyter_gpu_ext.tensors.tree import flatten, replace
from jupyter_gpu_ext.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.formats.torch_distributed import Checkpoint

NAME = ".metadata"
# An item's description and its first local headers; the elements follow.
_NEAR_BYTES = 2048
_MOST_OBJECT_BYTES = 1 << 20
_AT_ONCE = 8
_DAMAGED = "Write or copy the checkpoint again, .metadata and its files together."


async def read_distributed(
    metadata: Reader, *, keys: Sequence[str], most_bytes: int, cache: bool | None, data: bool
) -> tuple[tuple[Reader, ...], TensorFile]:
    """Read the metadata, and for a load where the chosen tensors' elements lie.

    Parameters
    ----------
    metadata : Reader
        The `.metadata` of the folder, open.
    data : bool
        Without it nothing but `.metadata` is read: a storage's place is then its whole item, a kilobyte more.

    Raises
    ------
    TensorFormatError
        When metadata and files do not fit together, or code would be needed.
    """
    size = metadata.version.size_bytes
    if size > most_bytes:
        raise TensorFormatError(f"{metadata.shown} is longer than {most_bytes:,} bytes.", hint="This is no metadata.")
    raw = await metadata.read(0, size)
    found = await asyncio.to_thread(parse, raw, metadata.shown)
    tensors = [name for name, one in found.entries.items() if isinstance(one, Saved)]
    chosen = set(choose_of(dict.fromkeys(tensors), keys, printable(str(metadata.url))))
    wanted = {name: one for name, one in found.entries.items() if name in chosen or not (keys or name in tensors)}
    reading = _Reading(metadata, found, wanted)
    if data:
        await reading.open_files(cache)
        await reading.find_elements()
        await reading.read_objects()
    file = await asyncio.to_thread(reading.file, bool(keys))
    return (*reading.readers.values(), metadata), file


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """Where a chunk's elements lie, and how."""

    place: ByteRange
    stride: tuple[int, ...] | None = None


class _Reading:
    def __init__(self, metadata: Reader, found: Checkpoint, wanted: Mapping[str, Saved | Item]) -> None:
        self.readers: dict[str, Reader] = {}
        self._metadata = metadata
        self._found = found
        self._wanted = wanted
        self._sources = {
            path: source
            for source, path in enumerate(sorted({item.path for one in wanted.values() for item in _items(one)}))
        }
        self._places: dict[Item, _Found] = {}
        self._objects: dict[str, Any] = {}
        self._storages: dict[str, Stored] = {}
        self._left_out: list[str] = []

    async def open_files(self, cache: bool | None) -> None:
        """Open the files that have something of what is wanted."""
        url = self._metadata.url
        folder = str(url).removesuffix(url.key.rpartition("/")[2])
        paths = list(self._sources)

        async def one(path: str) -> Reader:
            try:
                return await open_reader(folder + path, cache=cache, head_bytes=_NEAR_BYTES)
            except NotFoundError:
                shown = self._metadata.shown
                raise TensorFormatError(
                    f"{shown} names {printable(path)}, which is not there.", hint=_DAMAGED
                ) from None

        readers = await gather(one, [(path,) for path in paths], at_once=_AT_ONCE)
        self.readers = dict(zip(paths, readers, strict=True))
        for item in (item for one in self._wanted.values() for item in _items(one)):
            if item.offset + item.size_bytes > self.readers[item.path].version.size_bytes:
                raise TensorFormatError(f"{self.readers[item.path].shown} is cut off or damaged.", hint=_DAMAGED)

    async def find_elements(self) -> None:
        """Find where in its item each chunk's elements lie."""
        chunks = [(one, chunk) for one in self._wanted.values() if isinstance(one, Saved) for chunk in one.chunks]

        async def in_file(path: str) -> None:
            reader = self.readers[path]
            mine = {chunk.item: (one, chunk) for one, chunk in chunks if chunk.item.path == path}
            windows = {item: ByteRange(item.offset, item.offset + min(item.size_bytes, _NEAR_BYTES)) for item in mine}
            found = await peek(reader, windows, lambda item, raw: _look(*mine[item], raw, reader.shown))
            for item, place in found.items():
                self._places[item] = place or await _search(*mine[item], reader)

        await gather(in_file, [(path,) for path in self.readers], at_once=_AT_ONCE)

    async def read_objects(self) -> None:
        """Read what is no tensor, as far as it is plain data."""
        objects = [(name, one) for name, one in self._wanted.items() if isinstance(one, Item)]

        async def in_file(path: str) -> None:
            reader = self.readers[path]
            mine = {name: item for name, item in objects if item.path == path}
            small = {name: item for name, item in mine.items() if item.size_bytes <= _MOST_OBJECT_BYTES}
            self._left_out.extend(mine.keys() - small.keys())
            windows = {name: ByteRange(item.offset, item.offset + item.size_bytes) for name, item in small.items()}
            for name, raw in (await peek(reader, windows, lambda _, raw: raw)).items():
                await self._object(name, small[name], Inside(reader, small[name].offset, len(raw), raw))

        await gather(in_file, [(path,) for path in self.readers], at_once=_AT_ONCE)

    async def _object(self, name: str, item: Item, inside: Inside) -> None:
        try:
            found = await torch_zip.read_header(cast("Reader", inside), most_bytes=_MOST_OBJECT_BYTES)
        except TensorFormatError as error:
            if "asks for more" not in error.message:
                raise
            self._left_out.append(name)
            return
        source = self._sources[item.path]
        for key, span in found.storages.items():
            self._storages[f"{name}/{key}"] = Stored(
                item.offset + span.start, item.offset + span.stop, source=source, crc32=span.crc32
            )

        def renamed(one: Any) -> Any:
            return dataclasses.replace(one, storage=f"{name}/{one.storage}") if isinstance(one, Tensor) else one

        self._objects[name] = replace(found.tree, renamed)

    def file(self, flat: bool) -> TensorFile:
        """Put together what was read."""
        tensors, wholes = dict[str, Tensor](), dict[str, Whole]()
        values: dict[str, Any] = {}
        for name, one in self._wanted.items():
            if isinstance(one, Saved):
                tensors[name] = Tensor(dtype=one.dtype, shape=one.shape, stride=contiguous(one.shape), storage=name)
                wholes[name] = self._whole(name, one)
                values[name] = tensors[name]
            elif name in self._objects:
                values[name] = self._objects[name]
        tensors |= {
            f"{name}.{key}": one for name, value in self._objects.items() for key, one in flatten(value).items()
        }
        try:
            tree = values if flat else nested(values, self._found.paths)
        except (ValueError, TypeError, LookupError):
            shown = self._metadata.shown
            raise TensorFormatError(f"{shown} nests its names in a way that cannot be.", hint=_DAMAGED) from None
        made = {name: Stored(0, whole.size_bytes) for name, whole in wholes.items()}
        size = max(self._size_bytes, *(one.stop for one in made.values()), 0) if made else self._size_bytes
        check(tensors, self._storages | made, size, self._metadata.shown)
        readers = (*self.readers.values(), self._metadata)
        return TensorFile(
            url=str(self._metadata.url),
            kind="torch-distributed",
            size_bytes=self._size_bytes,
            etag=hashlib.sha256("\n".join(one.version.etag for one in readers).encode()).hexdigest()[:32],
            tensors=tensors,
            storages=self._storages,
            tree=tree,
            notes=self._notes(),
            wholes=wholes,
            requests=sum(one.requests for one in readers),
            bytes_read=sum(one.bytes_read for one in readers),
        )

    @property
    def _size_bytes(self) -> int:
        return sum(item.size_bytes for item in self._found.items)

    def _whole(self, name: str, one: Saved) -> Whole:
        blocks = []
        for number, chunk in enumerate(one.chunks):
            item = chunk.item
            found = self._places.get(item) or _Found(ByteRange(item.offset, item.offset + item.size_bytes))
            key = f"{name}#{number}"
            self._storages[key] = Stored(found.place.start, found.place.stop, source=self._sources[item.path])
            blocks.append(Block(storage=key, start=chunk.start, shape=chunk.shape, stride=found.stride))
        return Whole(dtype=one.dtype, shape=one.shape, blocks=tuple(blocks))

    def _notes(self) -> tuple[str, ...]:
        files = len({item.path for item in self._found.items})
        notes = [f"a distributed checkpoint in {format_count(files, 'file')}"]
        if self._left_out:
            names = ", ".join(printable(name[:80]) for name in sorted(self._left_out)[:8])
            more = " …" if len(self._left_out) > 8 else ""
            notes.append(f"left out, since they need code or are no small objects: {names}{more}")
        return tuple(notes)


def _items(one: Saved | Item) -> list[Item]:
    return [one] if isinstance(one, Item) else [chunk.item for chunk in one.chunks]


def _look(one: Saved, chunk: Chunk, raw: bytes, shown: str) -> _Found | None:
    """Find the elements by the beginning of an item; None when that does not show them."""
    root = _member_name(raw, 0).removesuffix("data.pkl")
    try:
        said = describe(raw[_data_start(raw, 0) :], shown)
    except GpuExtError:
        return None
    if len(said.size_bytes) != 1 or not isinstance(said.tree, Tensor):
        return None
    ((key, size),) = said.size_bytes.items()
    name = f"{root}data/{key}".encode()
    header = raw.find(name) - LOCAL_BYTES
    if header < 0 or _member_name(raw, header).encode() != name or f"{root}byteorder".encode() not in raw[:header]:
        return None
    if b"little" not in raw[:header]:
        return None
    start = _data_start(raw, header)
    return _checked(one, chunk, said.tree, ByteRange(start, start + size), shown)


async def _search(one: Saved, chunk: Chunk, reader: Reader) -> _Found:
    """Find the elements by the directory at the item's end."""
    inside = Inside(reader, chunk.item.offset, chunk.item.size_bytes)
    found = await torch_zip.read_header(cast("Reader", inside), most_bytes=_MOST_OBJECT_BYTES)
    if not isinstance(found.tree, Tensor):
        raise TensorFormatError(f"{reader.shown} holds something else where a tensor should be.", hint=_DAMAGED)
    return _checked(one, chunk, found.tree, found.storages[found.tree.storage], reader.shown)


def _checked(one: Saved, chunk: Chunk, tensor: Tensor, place: ByteRange, shown: str) -> _Found:
    fits = (tensor.dtype, tensor.shape) == (one.dtype, chunk.shape)
    if not fits or tensor.extent[0] or tensor.extent[1] != tensor.size_bytes or place.stop > chunk.item.size_bytes:
        raise TensorFormatError(f"{shown} holds another tensor than .metadata says.", hint=_DAMAGED)
    start = chunk.item.offset + place.start
    stride = None if 0 in tensor.shape or _in_order(tensor) else tensor.stride
    return _Found(ByteRange(start, start + tensor.size_bytes), stride)


def _in_order(tensor: Tensor) -> bool:
    # The stride of a dimension of one element is of no meaning.
    pairs = zip(tensor.shape, tensor.stride, contiguous(tensor.shape), strict=True)
    return all(size == 1 or step == usual for size, step, usual in pairs)


def _member_name(raw: bytes, at: int) -> str:
    size = int.from_bytes(raw[at + 26 : at + 28], "little")
    marked = raw[at : at + 4] == b"PK\3\4"
    return raw[at + LOCAL_BYTES :][:size].decode(errors="replace") if marked else ""


def _data_start(raw: bytes, at: int) -> int:
    name, extra = struct.unpack_from("<2H", raw.ljust(at + LOCAL_BYTES, b"\0"), at + 26)
    return int(at + LOCAL_BYTES + name + extra)
