"""The `.metadata` of torch.distributed.checkpoint: which tensors there are, their chunks, and where each lies.

Source: torch/distributed/checkpoint/metadata.py and filesystem.py; read as data, no class of torch is made.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.formats.pickle_machine import Machine, Record
from jupyter_gpu_ext.tensors.formats.torch_pickle import CONSTANTS, FUNCTIONS
from jupyter_gpu_ext.tensors.models import ITEM_BYTES, MOST_TENSORS
from jupyter_gpu_ext.tensors.tree import Value
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_DAMAGED = "Write or copy the checkpoint again, .metadata and its files together."
# Whether chunks overlap is asked of every pair.
_MOST_CHUNKS = 2048
_MOST_FILES = 4096


@dataclass(frozen=True, slots=True)
class Item:
    """An archive of torch.save within a file of the checkpoint."""

    path: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A rectangle of a tensor, and the item that it is."""

    start: tuple[int, ...]
    shape: tuple[int, ...]
    item: Item


@dataclass(frozen=True, slots=True)
class Saved:
    """A tensor of the checkpoint."""

    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a `.metadata` says.

    Attributes
    ----------
    entries : dict
        By flat name, in order: a tensor, or the item of a small object.
    paths : dict
        The keys that lead to an entry in the nested value, where it was nested.
    """

    entries: dict[str, Saved | Item]
    paths: dict[str, tuple[str | int, ...]]

    @property
    def items(self) -> Iterator[Item]:
        """Every item, tensors' chunks and objects."""
        for one in self.entries.values():
            yield from (one,) if isinstance(one, Item) else (chunk.item for chunk in one.chunks)


def parse(raw: bytes, shown: str) -> Checkpoint:
    """Read a `.metadata`.

    Raises
    ------
    TensorFormatError
        When it is damaged, asks for code, or its chunks do not make up its tensors.
    UnsupportedFormatError
        For checkpoints whose items are packed, or tensors that are not dense.
    """
    machine = Machine(_FUNCTIONS, CONSTANTS, _no_storages)
    try:
        tree = machine.run(raw)
    except GpuExtError as error:
        if not machine.unknown:
            raise TensorFormatError(f"{shown}: {error.message}", hint=_DAMAGED) from None
    if machine.unknown:
        names = ", ".join(printable(name[:100]) for name in list(machine.unknown)[:8])
        raise TensorFormatError(
            f"{shown} asks for more than a checkpoint's metadata ({names}); nothing of it was run or loaded.",
            hint="Where you trust its source, load it with torch and save it again.",
        )
    try:
        found = _checkpoint(tree)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise TensorFormatError(f"{shown} does not describe a checkpoint.", hint=_DAMAGED) from None
    except GpuExtError as error:
        raise type(error)(f"{shown}: {error.message}", hint=error.hint) from None
    return found


def _no_storages(_: Any) -> None:
    raise ValueError


def _record(kind: str) -> Callable[..., Record]:
    return lambda *arguments: Record(kind, arguments)


_METADATA = "torch.distributed.checkpoint.metadata"
_CLASSES = ("Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata", "BytesStorageMetadata",
            "MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING")  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: FUNCTIONS[name] for name in ("torch.Size", "collections.OrderedDict")},
    **{f"{_METADATA}.{name}": _record(name) for name in _CLASSES},
    "torch.distributed.checkpoint.filesystem._StorageInfo": _record("_StorageInfo"),
    "torch.serialization._get_layout": _record("layout"),
    # Where it was written to; of no use here.
    **{
        f"{module}.{kind}": _record("path")
        for module in ("pathlib", "pathlib._local")
        for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
}


def _fields(one: Any, kind: str) -> dict[str, Any]:
    if not isinstance(one, Record) or one.kind != kind or not isinstance(one.state, dict):
        raise TypeError
    return one.state


def _sizes(one: Any) -> tuple[int, ...]:
    if not isinstance(one, Value) or one.kind != "size":
        raise TypeError
    sizes: tuple[int, ...] = one.payload
    if len(sizes) > 64:
        raise ValueError
    return sizes


def _checkpoint(tree: Any) -> Checkpoint:
    said = _fields(tree, "Metadata")
    described = said["state_dict_metadata"]
    if not isinstance(described, dict) or len(described) > MOST_TENSORS or not all(map(_is_text, described)):
        raise ValueError
    items = _items(said["storage_data"])
    entries: dict[str, Saved | Item] = {}
    for name, one in described.items():
        if isinstance(one, Record) and one.kind == "BytesStorageMetadata":
            entries[name] = items[name, None]
        else:
            entries[name] = _saved(name, _fields(one, "TensorStorageMetadata"), items)
    found = Checkpoint(entries, _paths(said.get("planner_data")))
    _check_apart(found.items)
    return found


def _is_text(name: Any) -> bool:
    return isinstance(name, str)


def _items(found: Any) -> dict[tuple[str, tuple[int, ...] | None], Item]:
    if not isinstance(found, dict):
        raise TypeError
    items = {}
    for key, one in found.items():
        index, place = _fields(key, "MetadataIndex"), _fields(one, "_StorageInfo")
        if place.get("transform_descriptors"):
            raise UnsupportedFormatError(
                "its items are packed by an extension, which is not read.", hint="Save it without extensions."
            )
        path, offset, size = place["relative_path"], place["offset"], place["length"]
        if type(offset) is not int or type(size) is not int or offset < 0 or size < 0:
            raise ValueError
        _check_path(path)
        start = index.get("offset")
        items[index["fqn"], None if start is None else _sizes(start)] = Item(path, offset, size)
    if len({one.path for one in items.values()}) > _MOST_FILES:
        raise ValueError
    return items


def _check_path(path: str) -> None:
    outside = any(part in ("", ".", "..") for part in path.split("/")) or any(char in path for char in "\\\0:")
    if outside:
        raise TensorFormatError(f"it points to {printable(path[:200])!r}, which is no file beside it.", hint=_DAMAGED)


def _saved(name: str, said: dict[str, Any], items: dict[tuple[str, tuple[int, ...] | None], Item]) -> Saved:
    dtype, layout = said["properties"].state[:2]
    if layout.kind != "layout" or layout.state[0] != "torch.strided":
        raise UnsupportedFormatError(f"tensor {printable(name[:200])!r} is not dense.", hint="Save it as a dense one.")
    if dtype.kind != "dtype" or dtype.payload not in ITEM_BYTES:
        raise ValueError
    shape = _sizes(said["size"])
    chunks = []
    for one in said["chunks"]:
        fields = _fields(one, "ChunkStorageMetadata")
        start, size = _sizes(fields["offsets"]), _sizes(fields["sizes"])
        if (name, start) not in items:
            raise TensorFormatError(f"a part of tensor {printable(name[:200])!r} lies nowhere.", hint=_DAMAGED)
        chunks.append(Chunk(start, size, items[name, start]))
        if math.prod(size) * ITEM_BYTES[dtype.payload] > items[name, start].size_bytes:
            raise TensorFormatError(
                f"a part of tensor {printable(name[:200])!r} is longer than its item.", hint=_DAMAGED
            )
    found = Saved(dtype.payload, shape, tuple(chunks))
    if not _is_filled(found):
        raise TensorFormatError(
            f"the parts of tensor {printable(name[:200])!r} overlap or leave a hole.", hint=_DAMAGED
        )
    return found


def _is_filled(one: Saved) -> bool:
    """Tell whether the chunks fill the tensor, each element once: none outside, none twice, and as many."""
    if math.prod(max(size, 1) for size in one.shape) * ITEM_BYTES[one.dtype] >= 2**62:
        return False
    for chunk in one.chunks:
        if not len(chunk.start) == len(chunk.shape) == len(one.shape):
            return False
        if any(at + size > most for at, size, most in zip(chunk.start, chunk.shape, one.shape, strict=True)):
            return False
    full = [chunk for chunk in one.chunks if 0 not in chunk.shape]
    if sum(math.prod(chunk.shape) for chunk in full) != math.prod(one.shape):
        return False
    return len(full) < 2 or (len(full) <= _MOST_CHUNKS and _are_apart(full))


def _are_apart(chunks: list[Chunk]) -> bool:
    starts = np.array([chunk.start for chunk in chunks], dtype=np.int64)
    stops = starts + np.array([chunk.shape for chunk in chunks], dtype=np.int64)
    for at in range(len(chunks) - 1):
        meets = (starts[at + 1 :] < stops[at]) & (starts[at] < stops[at + 1 :])
        if meets.all(axis=1).any():
            return False
    return True


def _check_apart(items: Iterable[Item]) -> None:
    """Refuse items that share bytes: each is fetched once, to one place."""
    files: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for one in items:
        files[one.path].append((one.offset, one.offset + one.size_bytes))
    for spans in files.values():
        spans.sort()
        if any(stop > start for (_, stop), (start, _) in itertools.pairwise(spans)):
            raise TensorFormatError("its items overlap.", hint=_DAMAGED)


def _paths(found: Any) -> dict[str, tuple[str | int, ...]]:
    if not isinstance(found, dict):
        return {}
    for path in found.values():
        if not isinstance(path, tuple) or not path or not isinstance(path[0], str) or len(path) > 64:
            raise ValueError
        if not all(isinstance(key, str) or (type(key) is int and 0 <= key < MOST_TENSORS) for key in path):
            raise ValueError
    return found


def nested(values: dict[str, Any], paths: dict[str, tuple[str | int, ...]]) -> dict[str, Any]:
    """Return the value that was saved: as torch puts it together, a whole number as a key means a list.

    Raises
    ------
    TypeError, ValueError
        When the paths contradict one another, or name places far beyond what is there.
    """
    tree: dict[str, Any] = {}
    room = 4 * MOST_TENSORS
    for name, value in values.items():
        path: tuple[Any, ...] = paths.get(name, (name,))
        node: Any = tree
        for at, key in enumerate(path):
            if not _takes(node, key):
                raise TypeError(name)
            if isinstance(key, int):
                room -= max(key + 1 - len(node), 0)
                if room < 0:
                    raise ValueError(name)
                node.extend([None] * (key + 1 - len(node)))
            if at == len(path) - 1:
                node[key] = value
            elif (node[key] if isinstance(key, int) else node.get(key)) is None:
                node[key] = [] if isinstance(path[at + 1], int) else {}
            node = node[key]
    return tree


def _takes(node: Any, key: Any) -> bool:
    return isinstance(node, list if isinstance(key, int) else dict)
