"""Zarr: what an array's or a group's metadata says, whatever the version; parsing shared by both.

Formats: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html, .../v3/core/index.html
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import TensorFormatError, TooLargeError
from jupyter_gpu_ext.tensors.codecs import Codec, sizes
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_DOCUMENT_BYTES = 8 << 20
# A list of empty lists takes some forty times its text in memory.
_MOST_VALUES = 400_000
_DEEPEST = 64
MOST_NODES = 10_000
MOST_LEVELS = 64
_MOST_DIMENSIONS = 32
DAMAGED = "The metadata is damaged; write the store again."


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where a shard keeps the places of its chunks.

    Attributes
    ----------
    count : int
        Chunks a shard.
    at_start : bool
        Before the chunks, not behind them.
    checked : bool
        A CRC32C follows.
    big_endian : bool
        The numbers' byte order.
    """

    count: int
    at_start: bool = False
    checked: bool = True
    big_endian: bool = False

    @property
    def size_bytes(self) -> int:
        """Length of the index."""
        return 16 * self.count + 4 * self.checked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZarrArray:
    """One array, as its metadata describes it.

    Attributes
    ----------
    path : str
        Below the store's root; '' for an array at the root.
    dtype : str
        Type of an element by numpy's name, or 'bfloat16'.
    stored : numpy.dtype
        How an element lies in storage, byte order included; integers of the same width for types that
        numpy has not or torch has not: bfloat16, datetime64.
    chunks : tuple of int
        Shape of what is encoded at a time.
    shards : tuple of int or None
        Shape of what is one object, where that holds several chunks.
    codecs : tuple of Codec
        In the order in which they were applied.
    order : tuple of int or None
        The axes of a chunk as it is stored, where that is another order: `stored = chunk.transpose(order)`.
    fill : numpy scalar
        Value of what was never written.
    fill_given : bool
        The metadata names it.
    prefix, separator : str
        Of the chunks' keys.
    dimensions : tuple or None
        A name or None an axis.
    unreadable : str
        Why its values are not read here; '' when they are.
    document : mapping
        The metadata itself, for who writes an array like it; of version 2 without the attributes.
    """

    path: str
    version: int
    dtype: str
    stored: np.dtype[Any]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    index: ShardIndex | None = None
    codecs: tuple[Codec, ...] = ()
    order: tuple[int, ...] | None = None
    fill: Any
    fill_given: bool = True
    prefix: str = ""
    separator: str = "."
    dimensions: tuple[str | None, ...] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    unreadable: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def native(self) -> np.dtype[Any]:
        """Type of an element in memory."""
        return self.stored.newbyteorder("=")

    @property
    def size_bytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.stored.itemsize

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunks) * self.stored.itemsize

    @property
    def most_stored_bytes(self) -> int:
        """The most that an encoded chunk can have."""
        return sizes(self.codecs, self.chunk_bytes)[-1].most

    def key(self, place: Sequence[int]) -> str:
        """Return the key of the object at a place of the grid, below the store's root."""
        parts = [self.prefix] * bool(self.prefix) + [str(one) for one in place]
        return f"{self.path}/{self.separator.join(parts) or '0'}".lstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrGroup:
    """A group: the arrays below it by path, at any depth, and the attributes of it and of the groups below."""

    arrays: Mapping[str, ZarrArray]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def parse_document(raw: bytes, shown: str) -> dict[str, Any]:
    """Parse a metadata document: one JSON object, bounded in length, depth and number of values.

    Raises
    ------
    TooLargeError
        When it is longer than any library writes.
    TensorFormatError
        When it is no JSON object, or one that readers understand differently.
    """
    values = raw.count(b",") + raw.count(b"[") + raw.count(b"{")
    if len(raw) > MOST_DOCUMENT_BYTES or values > _MOST_VALUES:
        raise too_long(len(raw), shown)
    try:
        found = json.loads(raw.decode(), object_pairs_hook=_no_twins)
    except (ValueError, RecursionError) as error:
        raise TensorFormatError(f"{shown} is not valid JSON.", hint=DAMAGED) from error
    if not isinstance(found, dict):
        raise TensorFormatError(f"{shown} is no JSON object.", hint=DAMAGED)
    if _is_deep(found):
        raise TensorFormatError(f"{shown} is nested deeper than {_DEEPEST} levels.", hint=DAMAGED)
    return found


def too_long(size_bytes: int, shown: str) -> TooLargeError:
    """Return the error for a document that is not parsed."""
    return TooLargeError(
        f"{shown} has {format_bytes(size_bytes)} of metadata.",
        hint=f"Up to {format_bytes(MOST_DOCUMENT_BYTES)} and {_MOST_VALUES:,} values are read.",
    )


def too_many(shown: str) -> TooLargeError:
    """Return the error for a tree that is not read."""
    return TooLargeError(f"{shown} has more than {MOST_NODES:,} groups and arrays.", hint="Open a group inside of it.")


def too_deep(shown: str) -> TensorFormatError:
    """Return the error for a tree that goes down further than any that is meant."""
    return TensorFormatError(f"{shown} has groups in groups without end.", hint=DAMAGED)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError
    for text in (*found, *found.values()):
        if isinstance(text, str):
            # An escape can write half a character, which no terminal and no file takes.
            text.encode()
    return found


def _is_deep(found: dict[str, Any]) -> bool:
    level: list[Any] = [found]
    for _ in range(_DEEPEST):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def check_path(path: str, shown: str) -> str:
    """Return a node's path from a consolidated document, when it stays below the store."""
    parts = path.split("/")
    if path and (any(part in ("", ".", "..") for part in parts) or "\0" in path or "\\" in path or len(path) > 2048):
        raise TensorFormatError(f"{shown} names a node {printable(path[:80])!r}.", hint=DAMAGED)
    if len(parts) > MOST_LEVELS:
        raise too_deep(shown)
    return path


def bad(shown: str, what: str) -> TensorFormatError:
    """Return the error for metadata that cannot be."""
    return TensorFormatError(f"{shown} {what}.", hint=DAMAGED)


def lengths(found: object, least: int, shown: str, what: str, rank: int | None = None) -> tuple[int, ...]:
    """Return a list of lengths, one an axis."""
    if not isinstance(found, list) or not all(type(one) is int and least <= one < 2**63 for one in found):
        raise bad(shown, f"has a {what} that cannot be")
    if len(found) > _MOST_DIMENSIONS or (rank is not None and len(found) != rank):
        raise bad(shown, f"has a {what} of {len(found)} dimensions")
    if math.prod(max(one, 1) for one in found) >= 2**60:
        raise bad(shown, f"has a {what} that no memory holds")
    return tuple(found)


def attributes(found: object, shown: str) -> Mapping[str, Any]:
    """Return attributes, {} for none."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad(shown, "has attributes that are no object")
    return found


def names(found: object, rank: int, shown: str) -> tuple[str | None, ...] | None:
    """Return the names of the dimensions, None where there are none."""
    if found is None:
        return None
    if not isinstance(found, list) or not all(one is None or isinstance(one, str) for one in found):
        raise bad(shown, "has dimension names that are no names")
    if len(found) != rank:
        raise bad(shown, f"names {len(found)} dimensions of {rank}")
    return tuple(found)


_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def fill_value(found: object, dtype: str, stored: np.dtype[Any], shown: str) -> Any:
    """Return a fill value as an element; 0 for none.

    Numbers, the three words of JSON-less numbers, 'NaT', the bits in hexadecimal, two numbers for a complex one.
    """
    native = stored.newbyteorder("=")
    try:
        if found is None:
            return native.type(0)
        if isinstance(found, str) and found.startswith("0x") and dtype != "bool":
            raw = int(found, 16).to_bytes(native.itemsize, "little")
            return np.frombuffer(raw, native.newbyteorder("<"))[0].astype(native)
        if dtype == "bfloat16":
            return _bfloat16(_number(found))
        if native.kind == "b":
            return np.bool_(_truth(found))
        if native.kind in "iu":
            whole = np.iinfo(np.int64).min if found == "NaT" and "time" in dtype else _integer(found)
            return native.type(whole)
        if native.kind == "c":
            return native.type(complex(*(_number(part) for part in _pair(found))))
        with np.errstate(over="ignore"):
            return native.type(_number(found))
    except (ValueError, TypeError, OverflowError):
        raise bad(shown, f"has a fill value {printable(str(found)[:40])!r} that no {dtype} can have") from None


def _number(found: object) -> float:
    if isinstance(found, str):
        return _WORDS[found] if found in _WORDS else _not_this()
    return float(found) if type(found) in (int, float) else _not_this()  # type: ignore[arg-type]


def _integer(found: object) -> int:
    # Writers of v2 put 0.0 where 0 is meant.
    if type(found) is float and found.is_integer():
        return int(found)
    if type(found) is not int:
        raise ValueError
    return found


def _truth(found: object) -> bool:
    if found not in (0, 1):
        raise ValueError
    return bool(found)


def _pair(found: object) -> list[Any]:
    if type(found) in (int, float):
        return [found]
    if not isinstance(found, list) or len(found) != 2:
        raise ValueError
    return found


def _not_this() -> float:
    raise ValueError


def _bfloat16(value: float) -> np.uint16:
    # The upper half of a float32, rounded to even.
    with np.errstate(over="ignore"):
        bits = int(np.float32(value).view(np.uint32))
    if math.isnan(value):
        return np.uint16(0x7FC0)
    return np.uint16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


def build(
    arrays: Mapping[str, ZarrArray], groups: Mapping[str, Mapping[str, Any]], shown: str
) -> ZarrArray | ZarrGroup:
    """Return the array at the root, or the group with all that is below it.

    Raises
    ------
    TensorFormatError
        When there is neither, or an array has something below it.
    """
    above = set[str]()
    for path in (*arrays, *groups):
        if path and "" in arrays:
            raise bad(shown, f"has {printable(path[:200])!r} below an array")
        parent = path.rpartition("/")[0]
        # Each folder once, however many nodes have it above them.
        while parent and parent not in above:
            if parent in arrays:
                raise bad(shown, f"has {printable(path[:200])!r} below an array")
            above.add(parent)
            parent = parent.rpartition("/")[0]
    if "" in arrays:
        return arrays[""]
    if "" not in groups:
        raise bad(shown, "says nothing of the root")
    below = {path: found for path, found in groups.items() if path}
    return ZarrGroup(arrays=dict(sorted(arrays.items())), attributes=groups[""], groups=below)
