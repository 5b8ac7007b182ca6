"""A checkpoint in several files and the JSON index that says which tensor lies where, as transformers writes it.

Format: https://huggingface.co/docs/transformers/big_models, `model.safetensors.index.json`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError, NotFoundError, TensorFormatError
from jupyter_gpu_ext.storage.reader import HEAD_BYTES, open_reader
from jupyter_gpu_ext.tensors.formats.strict_json import parse_object
from jupyter_gpu_ext.tensors.gather import gather
from jupyter_gpu_ext.tensors.header import read_header
from jupyter_gpu_ext.tensors.models import MOST_TENSORS, Stored, Tensor, TensorFile
from jupyter_gpu_ext.tensors.plan import choose_of
from jupyter_gpu_ext.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_gpu_ext.storage.reader import Reader

_MOST_SHARDS = 4096
_AT_ONCE = 8
_DAMAGED = "Write or copy the checkpoint again, index and shards together."
# A tensor's entry in a safetensors header beside its name: dtype, shape, two offsets, punctuation.
_ENTRY_BYTES = 120


@dataclass(frozen=True, slots=True)
class Index:
    """Which shard has which tensors.

    Attributes
    ----------
    shards : mapping of str to tuple of str
        The names of the tensors by the name of their file.
    """

    shards: Mapping[str, tuple[str, ...]]
    metadata: Mapping[str, str]


def is_index(key: str) -> bool:
    """Tell whether a key is the name of an index."""
    return key.endswith((".safetensors.index.json", ".bin.index.json"))


def parse_index(raw: bytes, shown: str) -> Index:
    """Parse an index and check that it names only files beside or below itself.

    Raises
    ------
    TensorFormatError
    """
    header = parse_object(raw, f"{shown} is an index that")
    places = header.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise TensorFormatError(f"{shown} has no weight_map from names to files.", hint=_DAMAGED)
    if len(places) > MOST_TENSORS:
        raise TensorFormatError(f"{shown} names {len(places):,} tensors.", hint=f"{MOST_TENSORS:,} are read at most.")
    shards: dict[str, list[str]] = {}
    for name, place in places.items():
        shards.setdefault(place, []).append(name)
    for place in shards:
        _check_place(place, shown)
    if len(shards) > _MOST_SHARDS:
        raise TensorFormatError(f"{shown} names {len(shards):,} files.", hint=f"{_MOST_SHARDS:,} are read at most.")
    return Index({place: tuple(names) for place, names in shards.items()}, _metadata(header.get("metadata")))


def _check_place(place: str, shown: str) -> None:
    parts = place.split("/")
    outside = any(part in ("", ".", "..") for part in parts) or any(char in place for char in "\\\0:")
    if outside or not place.endswith((".safetensors", ".bin", ".pt", ".pth")):
        raise TensorFormatError(
            f"{shown} points to {printable(place[:200])!r}, which is no weights file beside it.", hint=_DAMAGED
        )


def _metadata(found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {str(key): str(value)[:1000] for key, value in found.items() if isinstance(value, (str, int, float))}


async def read_sharded(
    index: Reader, *, keys: Sequence[str], most_bytes: int, cache: bool | None
) -> tuple[tuple[Reader, ...], TensorFile]:
    """Read the headers of the shards that have tensors of `keys`; all of them without `keys`.

    Parameters
    ----------
    index : Reader
        The index, open.
    most_bytes : int
        The longest that all headers may be together.

    Raises
    ------
    TensorFormatError
        When index and shards do not fit together; names the first file or tensor.
    """
    if index.version.size_bytes > most_bytes:
        raise TensorFormatError(f"{index.shown} is longer than {most_bytes:,} bytes.", hint="This is no index.")
    raw = await index.read(0, index.version.size_bytes)
    found = await asyncio.to_thread(parse_index, raw, index.shown)
    names = [name for group in found.shards.values() for name in group]
    chosen = set(choose_of(dict.fromkeys(names), keys, printable(str(index.url))))
    shards = {place: group for place, group in found.shards.items() if not keys or not chosen.isdisjoint(group)}
    folder = str(index.url).removesuffix(index.url.key.rpartition("/")[2])
    budget = most_bytes

    async def one(place: str, group: tuple[str, ...]) -> tuple[Reader, TensorFile]:
        nonlocal budget
        reader = await _open(folder + place, place, group, index.shown, cache)
        if budget <= 0:
            raise TensorFormatError(f"{index.shown}: the headers of its files are too long.", hint=_DAMAGED)
        file = await read_header(reader, most_bytes=budget)
        budget -= reader.bytes_read
        return reader, file

    opened = await gather(one, shards.items(), at_once=_AT_ONCE)
    file = await asyncio.to_thread(_join, index, found, dict(zip(shards, opened, strict=True)))
    return (*(reader for reader, _ in opened), index), file


async def _open(url: str, place: str, group: tuple[str, ...], shown: str, cache: bool | None) -> Reader:
    # The index tells about how long the shard's header is, so that no 64 KiB a shard are asked for.
    length = HEAD_BYTES
    if place.endswith(".safetensors"):
        length = min(HEAD_BYTES, 1024 + sum(len(name.encode()) + _ENTRY_BYTES for name in group))
    try:
        return await open_reader(url, cache=cache, head_bytes=length)
    except NotFoundError:
        raise TensorFormatError(f"{shown} names {printable(place)}, which is not there.", hint=_DAMAGED) from None


def _join(index: Reader, found: Index, opened: Mapping[str, tuple[Reader, TensorFile]]) -> TensorFile:
    tensors, storages = dict[str, Tensor](), dict[str, Stored]()
    homes = {name: place for place, group in found.shards.items() for name in group}
    skipped = 0
    for source, (place, (_, file)) in enumerate(opened.items()):
        if missing := next((name for name in found.shards[place] if name not in file.tensors), None):
            raise _wrong(index, f"tensor {missing[:200]!r} is not in {place}, where it should be")
        for name, tensor in file.tensors.items():
            home = homes.get(name)
            if home not in (place, None):
                raise _wrong(index, f"tensor {name[:200]!r} is in {place} and in {home}")
            skipped += home is None
            if home == place:
                tensors[name] = dataclasses.replace(tensor, storage=f"{source}/{tensor.storage}")
        for key, span in file.storages.items():
            storages[f"{source}/{key}"] = dataclasses.replace(span, source=source)
    kinds = Counter(file.kind for _, file in opened.values())
    readers = [reader for reader, _ in opened.values()]
    notes = [f"{printable(index.url.key.rpartition('/')[2])}: {_shard_count(len(opened), len(found.shards))}"]
    if skipped:
        notes.append(f"left out, since the index does not name them: {format_count(skipped, 'tensor')}")
    return TensorFile(
        url=str(index.url),
        kind=kinds.most_common(1)[0][0] if kinds else "safetensors",
        size_bytes=sum(reader.version.size_bytes for reader in readers),
        etag=hashlib.sha256("\n".join(reader.version.etag for reader in readers).encode()).hexdigest()[:32],
        tensors=tensors,
        storages=storages,
        tree=dict(tensors),
        metadata=found.metadata,
        notes=tuple(notes),
        requests=sum(reader.requests for reader in (*readers, index)),
        bytes_read=sum(reader.bytes_read for reader in (*readers, index)),
    )


def _shard_count(opened: int, all_of_them: int) -> str:
    return format_count(opened, "shard") if opened == all_of_them else f"{opened} of {all_of_them} shards"


def _wrong(index: Reader, what: str) -> GpuExtError:
    return TensorFormatError(f"{index.shown}: {printable(what)}.", hint=_DAMAGED)
