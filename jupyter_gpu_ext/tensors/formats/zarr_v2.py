"""Zarr version 2: `.zarray`, `.zgroup`, `.zattrs`, and `.zmetadata` that has them all.

Format: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.codecs import Codec, parse_codec, sizes
from jupyter_gpu_ext.tensors.formats import zarr
from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray, ZarrGroup, bad
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

# The attribute in which xarray keeps the names of an array's dimensions.
DIMENSIONS = "_ARRAY_DIMENSIONS"
_NUMBER = re.compile(r"\|b1|[<>|][iu][1248]|[<>]f[248]|[<>]c(?:8|16)")
_TIME = re.compile(r"([<>])([Mm])8\[(\d{0,5}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as))\]")
_TEXT = {"O": "objects", "S": "bytes of text", "U": "text", "V": "raw bytes"}


def parse_array(found: Mapping[str, Any], attributes: Mapping[str, Any], path: str, shown: str) -> ZarrArray:
    """Return the array that a `.zarray` and its `.zattrs` describe.

    Raises
    ------
    TensorFormatError
        When it is not valid. An array of types or codecs that are not read is valid, and says so.
    """
    if found.get("zarr_format") != 2:
        raise bad(shown, "is no Zarr array of version 2")
    shape = zarr.lengths(found.get("shape"), 0, shown, "shape")
    chunks = zarr.lengths(found.get("chunks"), 1, shown, "chunk shape", len(shape))
    order = found.get("order", "C")
    separator = found.get("dimension_separator", ".")
    if order not in ("C", "F") or separator not in (".", "/"):
        raise bad(shown, "has an order or a separator that cannot be")
    dtype, stored, unreadable = _type(found.get("dtype"), shown)
    codecs, why = _codecs(found, stored, shown)
    if not (unreadable or why):
        _check(codecs, chunks, stored, shown)
    fill = found.get("fill_value")
    return ZarrArray(
        path=path,
        version=2,
        dtype=dtype,
        stored=stored,
        shape=shape,
        chunks=chunks,
        codecs=codecs,
        order=tuple(reversed(range(len(shape)))) if order == "F" and len(shape) > 1 else None,
        fill=zarr.fill_value(None if unreadable else fill, dtype, stored, shown),
        fill_given=fill is not None,
        separator=separator,
        dimensions=_dimensions(attributes, len(shape), shown),
        attributes=attributes,
        unreadable=unreadable or why,
        document=found,
    )


def _type(found: object, shown: str) -> tuple[str, np.dtype[Any], str]:
    if isinstance(found, list):
        return "struct", np.dtype("u1"), "its elements are structures"
    if not isinstance(found, str):
        raise bad(shown, "has no type")
    if _NUMBER.fullmatch(found):
        stored = np.dtype(found)
        return stored.newbyteorder("=").name, stored, ""
    if time := _TIME.fullmatch(found):
        name = "datetime64" if time[2] == "M" else "timedelta64"
        return f"{name}[{time[3]}]", np.dtype(f"{time[1]}i8"), ""
    kind = _TEXT.get(found[1:2])
    if kind is None or len(found) > 20:
        raise bad(shown, f"has a type {printable(found[:40])!r}")
    return printable(found), np.dtype("u1"), f"its elements are {kind}"


def _codecs(found: Mapping[str, Any], stored: np.dtype[Any], shown: str) -> tuple[tuple[Codec, ...], str]:
    filters, compressor = found.get("filters") or [], found.get("compressor")
    listed = [*filters, compressor] if isinstance(filters, list) and compressor is not None else filters
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed) or len(listed) > 16:
        raise bad(shown, "has filters or a compressor that are no codecs")
    try:
        return tuple(parse_codec(one.get("id"), one, stored.itemsize) for one in listed), ""
    except TensorFormatError as error:
        raise bad(shown, f"cannot be: {error.message}") from None
    except UnsupportedFormatError as error:
        return (), error.message


def _check(codecs: tuple[Codec, ...], chunks: tuple[int, ...], stored: np.dtype[Any], shown: str) -> None:
    try:
        sizes(codecs, int(np.prod(chunks, dtype=object)) * stored.itemsize)
    except TensorFormatError as error:
        raise bad(shown, f"cannot be: {error.message}") from None


def _dimensions(attributes: Mapping[str, Any], rank: int, shown: str) -> tuple[str | None, ...] | None:
    found = attributes.get(DIMENSIONS)
    return zarr.names(found, rank, shown)


def parse_consolidated(found: Mapping[str, Any], shown: str) -> ZarrArray | ZarrGroup:
    """Return the tree, or the one array, that a `.zmetadata` describes."""
    documents = found.get("metadata")
    if found.get("zarr_consolidated_format") != 1 or not isinstance(documents, dict):
        raise bad(shown, "is no consolidated metadata")
    nodes = dict[str, dict[str, Any]]()
    for key, document in documents.items():
        path, _, name = key.rpartition("/")
        nodes.setdefault(zarr.check_path(path, shown), {})[name] = document
    if len(nodes) > zarr.MOST_NODES:
        raise zarr.too_many(shown)
    return tree(nodes, shown)


def tree(nodes: Mapping[str, Mapping[str, Any]], shown: str) -> ZarrArray | ZarrGroup:
    """Return what the documents of all nodes describe, by path and name."""
    arrays: dict[str, ZarrArray] = {}
    groups: dict[str, Mapping[str, Any]] = {}
    for path, documents in nodes.items():
        where = f"{shown}: {printable(path[:200])}" if path else shown
        attributes = zarr.attributes(documents.get(".zattrs"), where)
        if ".zarray" in documents and ".zgroup" in documents:
            raise bad(where, "is an array and a group at once")
        if ".zarray" in documents:
            arrays[path] = parse_array(zarr.attributes(documents[".zarray"], where), attributes, path, where)
        elif ".zgroup" in documents:
            groups[path] = attributes
    return zarr.build(arrays, groups, shown)
