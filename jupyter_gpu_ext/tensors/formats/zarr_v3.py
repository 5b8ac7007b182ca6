"""Zarr version 3: a `zarr.json` a node; a group's may hold those of all nodes below it.

Format: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.codecs import Codec, parse_codec, sizes
from jupyter_gpu_ext.tensors.formats import zarr
from jupyter_gpu_ext.tensors.formats.zarr import ShardIndex, ZarrArray, ZarrGroup, bad
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NUMBERS = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    "complex64", "complex128",
}  # fmt: skip
_TIMES = {"numpy.datetime64": "datetime64", "numpy.timedelta64": "timedelta64"}
_UNIT = re.compile(r"Y|M|W|D|h|m|s|ms|us|μs|ns|ps|fs|as|generic")
_ON_ELEMENTS = {"delta", "fixedscaleoffset", "quantize", "astype", "packbits", "bitround"}
_KNOWN = {
    "zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs",
    "attributes", "dimension_names", "storage_transformers", "consolidated_metadata",
}  # fmt: skip
_MOST_INNER = 1 << 20


class _NotRead(Exception):  # noqa: N818  # never leaves this module
    """The array is valid, and its values are not read here."""


def parse_node(found: Mapping[str, Any], path: str, shown: str) -> ZarrArray | ZarrGroup:
    """Return the array or the group that a `zarr.json` describes; a group without what is below it.

    Raises
    ------
    TensorFormatError
        When it is not valid.
    """
    if found.get("zarr_format") != 3 or found.get("node_type") not in ("array", "group"):
        raise bad(shown, "is no Zarr node of version 3")
    for key, value in found.items():
        # Writers put extensions beside the known keys and say when these may be passed over.
        if key not in _KNOWN and not (isinstance(value, dict) and value.get("must_understand") is False):
            raise bad(shown, f"has the key {printable(key[:40])!r}, which must be understood")
    attributes = zarr.attributes(found.get("attributes"), shown)
    if found["node_type"] == "group":
        return ZarrGroup(arrays={}, attributes=attributes)
    return _array(found, attributes, path, shown)


def parse_consolidated(found: Mapping[str, Any], shown: str) -> ZarrArray | ZarrGroup | None:
    """Return the tree that the root's `zarr.json` holds, None when it holds itself alone."""
    top = parse_node(found, "", shown)
    inside = found.get("consolidated_metadata")
    if isinstance(top, ZarrArray) or inside is None:
        return top if isinstance(top, ZarrArray) else None
    if not isinstance(inside, dict) or inside.get("kind") != "inline" or not isinstance(inside.get("metadata"), dict):
        raise bad(shown, "has consolidated metadata of another kind")
    nodes = {zarr.check_path(path, shown): document for path, document in inside["metadata"].items()}
    if len(nodes) > zarr.MOST_NODES:
        raise zarr.too_many(shown)
    return tree({"": found, **nodes}, shown)


def tree(nodes: Mapping[str, Mapping[str, Any]], shown: str) -> ZarrArray | ZarrGroup:
    """Return what the documents of all nodes describe, by path."""
    arrays: dict[str, ZarrArray] = {}
    groups: dict[str, Mapping[str, Any]] = {}
    for path, document in nodes.items():
        where = f"{shown}: {printable(path[:200])}" if path else shown
        node = parse_node(zarr.attributes(document, where), path, where)
        if isinstance(node, ZarrArray):
            arrays[path] = node
        else:
            groups[path] = node.attributes
    return zarr.build(arrays, groups, shown)


def _array(found: Mapping[str, Any], attributes: Mapping[str, Any], path: str, shown: str) -> ZarrArray:
    shape = zarr.lengths(found.get("shape"), 0, shown, "shape")
    rank = len(shape)
    common: dict[str, Any] = {
        "path": path, "version": 3, "shape": shape, "attributes": attributes, "document": found,
        "dimensions": zarr.names(found.get("dimension_names"), rank, shown),
    }  # fmt: skip
    dtype = _type_name(found.get("data_type"), shown)
    try:
        if found.get("storage_transformers"):
            raise _NotRead("it has storage transformers")
        chunks = _grid(found.get("chunk_grid"), rank, shown)
        dtype, stored = _type(found.get("data_type"), shown)
        layout = _layout(_listed(found.get("codecs"), shown), chunks, stored, shown)
        prefix, separator = _keys(found.get("chunk_key_encoding"), shown)
    except _NotRead as why:
        return ZarrArray(
            **common, dtype=dtype, stored=np.dtype("u1"), chunks=shape, fill=np.uint8(0), unreadable=str(why)
        )
    fill = zarr.fill_value(found.get("fill_value"), dtype, stored, shown)
    return ZarrArray(**common, dtype=dtype, fill=fill, prefix=prefix, separator=separator, **layout)


def _type_name(found: object, shown: str) -> str:
    name = found.get("name") if isinstance(found, dict) else found
    if not isinstance(name, str):
        raise bad(shown, "has no type")
    return printable(name[:60])


def _type(found: object, shown: str) -> tuple[str, np.dtype[Any]]:
    name = _type_name(found, shown)
    if name in _NUMBERS:
        return name, np.dtype(name)
    if name == "bfloat16":
        return name, np.dtype("u2")
    if name in _TIMES and isinstance(found, dict):
        options = zarr.attributes(found.get("configuration"), shown)
        unit, scale = options.get("unit"), options.get("scale_factor", 1)
        if not isinstance(unit, str) or not _UNIT.fullmatch(unit) or type(scale) is not int or not 0 < scale < 2**31:
            raise bad(shown, "has a unit of time that cannot be")
        return f"{_TIMES[name]}[{scale if scale > 1 else ''}{unit}]", np.dtype("i8")
    raise _NotRead(f"its elements are of the type {name!r}")


def _grid(found: object, rank: int, shown: str) -> tuple[int, ...]:
    name, options = _named(found, shown)
    if name != "regular":
        raise _NotRead(f"its chunk grid is {printable(name[:40])!r}")
    return zarr.lengths(options.get("chunk_shape"), 1, shown, "chunk shape", rank)


def _keys(found: object, shown: str) -> tuple[str, str]:
    name, options = _named(found, shown)
    if name not in ("default", "v2"):
        raise _NotRead(f"its chunk keys are {printable(name[:40])!r}")
    separator = options.get("separator", "/" if name == "default" else ".")
    if separator not in (".", "/"):
        raise bad(shown, "has a separator that cannot be")
    return "c" if name == "default" else "", separator


def _named(found: object, shown: str) -> tuple[str, Mapping[str, Any]]:
    # A name alone stands for itself without options.
    if isinstance(found, str):
        return found, {}
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise bad(shown, "has an extension without a name")
    return found["name"], zarr.attributes(found.get("configuration"), shown)


def _listed(found: object, shown: str) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(found, list) or not 0 < len(found) <= 16:
        raise bad(shown, "has no list of codecs")
    return [_named(one, shown) for one in found]


def _layout(
    listed: Sequence[tuple[str, Mapping[str, Any]]], chunks: tuple[int, ...], stored: np.dtype[Any], shown: str
) -> dict[str, Any]:
    if "sharding_indexed" not in [name for name, _ in listed]:
        return {"chunks": chunks, **_chain(listed, chunks, stored, shown)}
    if len(listed) > 1:
        raise _NotRead("its shards lie within another codec")
    options = listed[0][1]
    inner = zarr.lengths(options.get("chunk_shape"), 1, shown, "inner chunk shape", len(chunks))
    if any(outer % one for outer, one in zip(chunks, inner, strict=True)):
        raise bad(shown, "has shards that are no whole number of chunks")
    within = _listed(options.get("codecs"), shown)
    if "sharding_indexed" in [name for name, _ in within]:
        raise _NotRead("its shards hold shards")
    count = math.prod(outer // one for outer, one in zip(chunks, inner, strict=True))
    index = _index(options, count, shown)
    return {"chunks": inner, "shards": chunks, "index": index, **_chain(within, inner, stored, shown)}


def _index(options: Mapping[str, Any], count: int, shown: str) -> ShardIndex:
    place = options.get("index_location", "end")
    if place not in ("start", "end"):
        raise bad(shown, "has a shard index at no place")
    if count > _MOST_INNER:
        raise _NotRead(f"its shards have {count:,} chunks each")
    listed = _listed(options.get("index_codecs"), shown)
    if [name for name, _ in listed] not in (["bytes"], ["bytes", "crc32c"]):
        raise _NotRead("its shard index is encoded in another way")
    big = listed[0][1].get("endian", "little") == "big"
    return ShardIndex(count, at_start=place == "start", checked=len(listed) == 2, big_endian=big)


def _chain(
    listed: Sequence[tuple[str, Mapping[str, Any]]], chunks: tuple[int, ...], stored: np.dtype[Any], shown: str
) -> dict[str, Any]:
    """Return the order, the type in storage and the codecs on bytes of a chunk."""
    at = next((at for at, (name, _) in enumerate(listed) if name == "bytes"), None)
    if at is None:
        raise _NotRead(f"its codec {printable(listed[0][0][:40])!r} is not read")
    before, after = listed[:at], listed[at + 1 :]
    endian = listed[at][1].get("endian", "little")
    if endian not in ("little", "big"):
        raise bad(shown, "has a byte order that cannot be")
    order = _order([options for name, options in before if name == "transpose"], len(chunks), shown)
    filters = [one for one in before if one[0] != "transpose"]
    if filters and (order or endian == "big"):
        raise _NotRead("its filters work on transposed or swapped elements")
    codecs = _codecs(filters, stored, shown, on_elements=True) + _codecs(after, stored, shown, on_elements=False)
    _check(codecs, math.prod(chunks) * stored.itemsize, shown)
    return {"order": order, "stored": stored.newbyteorder(">" if endian == "big" else "<"), "codecs": codecs}


def _order(found: Sequence[Mapping[str, Any]], rank: int, shown: str) -> tuple[int, ...] | None:
    axes = list(range(rank))
    for options in found:
        order = options.get("order")
        if not isinstance(order, list) or [*map(type, order)] != [int] * rank or sorted(order) != list(range(rank)):
            raise bad(shown, "has axes in an order that cannot be")
        axes = [axes[one] for one in order]
    return tuple(axes) if axes != list(range(rank)) else None


def _codecs(
    listed: Sequence[tuple[str, Mapping[str, Any]]], stored: np.dtype[Any], shown: str, *, on_elements: bool
) -> tuple[Codec, ...]:
    found = []
    for name, options in listed:
        plain = name.removeprefix("numcodecs.")
        if plain in ("bytes", "transpose") or (plain in _ON_ELEMENTS) != on_elements:
            raise _NotRead(f"its codec {printable(name[:40])!r} stands where it cannot")
        try:
            found.append(parse_codec(plain, options, stored.itemsize))
        except TensorFormatError as error:
            raise bad(shown, f"cannot be: {error.message}") from None
        except UnsupportedFormatError as error:
            raise _NotRead(error.message) from None
    return tuple(found)


def _check(codecs: tuple[Codec, ...], size_bytes: int, shown: str) -> None:
    try:
        sizes(codecs, size_bytes)
    except TensorFormatError as error:
        raise bad(shown, f"cannot be: {error.message}") from None
