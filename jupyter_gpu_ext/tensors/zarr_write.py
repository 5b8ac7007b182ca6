"""A Zarr array like another one, with a part of its values: its metadata of another shape, and chunks by zarr-python.

The chunks are written as the plain numbers that they are, so that types which zarr-python does not know (bfloat16,
dates in older releases) keep their bits; the array's own metadata comes last.
"""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError, NotInstalledError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.formats.zarr import check_path
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray

Documents = dict[str, dict[str, Any]]

_NUMBERS: dict[str, Any] = {"b": False, "c": [0.0, 0.0]}


def cells(array: ZarrArray, shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the chunks of an array like `array` of another shape, and its shards or the chunks once more.

    A chunk is as long as the part where the part is shorter: what is written is no padding.
    """
    chunks = tuple(min(one, max(size, 1)) for one, size in zip(array.chunks, shape, strict=True))
    outer = array.shards or array.chunks
    whole = tuple(
        -(-min(shard, max(size, 1)) // one) * one for shard, size, one in zip(outer, shape, chunks, strict=True)
    )
    return chunks, whole


def documents(array: ZarrArray, shape: Sequence[int]) -> Documents:
    """Return the metadata of an array like `array` of another shape, by the documents' names."""
    chunks, whole = cells(array, shape)
    if array.version == 2:
        found: Documents = {".zarray": {**array.document, "shape": list(shape), "chunks": list(chunks)}}
        return found | ({".zattrs": dict(array.attributes)} if array.attributes else {})
    grid = {"name": "regular", "configuration": {"chunk_shape": list(whole)}}
    codecs = [_shorter(one, chunks) for one in array.document["codecs"]]
    return {"zarr.json": {**array.document, "shape": list(shape), "chunk_grid": grid, "codecs": codecs}}


def _shorter(codec: Any, chunks: Sequence[int]) -> Any:
    if not isinstance(codec, dict) or codec.get("name") != "sharding_indexed":
        return codec
    return {**codec, "configuration": {**codec["configuration"], "chunk_shape": list(chunks)}}


def _plain(array: ZarrArray, found: Documents) -> Documents:
    """Return metadata under which the same chunks are plain numbers."""
    if array.version == 2:
        return {".zarray": {**found[".zarray"], "dtype": array.stored.str, "fill_value": None}}
    fill = _NUMBERS.get(array.native.kind, 0)
    return {"zarr.json": {**found["zarr.json"], "data_type": array.native.name, "fill_value": fill, "attributes": {}}}


def open_plain(folder: Path, name: str, array: ZarrArray, shape: Sequence[int]) -> Any:
    """Make an array in a folder, and return what zarr-python writes its values by.

    Raises
    ------
    UnsupportedFormatError
        When zarr-python does not know one of its codecs.
    """
    with written(name):
        import zarr

        write(folder, _plain(array, documents(array, shape)))
        # What equals the fill value is written too: -0.0 does, and is another number. Of codecs that no specification
        # has, zarr-python warns: they are the original's.
        with zarr.config.set({"array.write_empty_chunks": True}), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return zarr.open_array(str(folder), mode="r+", zarr_format=2 if array.version == 2 else 3)


@contextmanager
def written(name: str) -> Iterator[None]:
    """Translate what zarr-python raises while it opens or writes an array; what the disk says stays as it is."""
    try:
        yield
    except (GpuExtError, OSError):
        raise
    except ModuleNotFoundError:
        raise NotInstalledError("A sample is written by zarr-python.", hint="pip install 'zarr>=3'") from None
    except Exception as error:  # noqa: BLE001 -- each codec has errors of its own
        raise UnsupportedFormatError(
            f"zarr-python cannot write {printable(name[:200])} as it is stored ({printable(str(error)[:200])}).",
            hint=f"--keys '!{printable(name[:200])}' leaves it out; a newer zarr-python may know it.",
        ) from None


def write(folder: Path, found: Documents) -> None:
    """Write documents into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in found.items():
        (folder / name).write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")


def write_tree(
    root: Path, arrays: Mapping[str, Documents], groups: Mapping[str, Mapping[str, Any]], version: int, *,
    consolidated: bool,
) -> None:  # fmt: skip
    """Write the metadata of a whole store.

    Parameters
    ----------
    arrays : mapping of str to Documents
        By path; '' alone for an array that is the store.
    groups : mapping of str to mapping
        Attributes by path, the root's included; those that only paths name are made too.
    """
    nodes: dict[str, Documents] = dict(arrays)
    for path in arrays:
        parts = path.split("/")[:-1] if path else []
        named = ["/".join(parts[:end]) for end in range(len(parts) + 1)] if path else []
        nodes |= {one: _group(groups.get(one, {}), version) for one in named if one not in nodes}
    nodes |= {path: _group(found, version) for path, found in groups.items() if path not in nodes}
    if consolidated and "" in nodes:
        _consolidate(nodes, version)
    for path, found in nodes.items():
        write(place(root, path), found)


def place(root: Path, path: str) -> Path:
    """Return the folder of a node, when it lies in the store.

    Raises
    ------
    TensorFormatError
        When the path leads elsewhere.
    """
    return root.joinpath(*check_path(path, "The store").split("/")) if path else root


def _group(attributes: Mapping[str, Any], version: int) -> Documents:
    if version == 2:
        return {".zgroup": {"zarr_format": 2}} | ({".zattrs": dict(attributes)} if attributes else {})
    return {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}}


def _consolidate(nodes: dict[str, Documents], version: int) -> None:
    if version == 2:
        flat = {f"{path}/{name}".lstrip("/"): one for path, found in nodes.items() for name, one in found.items()}
        nodes[""] = {**nodes[""], ".zmetadata": {"zarr_consolidated_format": 1, "metadata": flat}}
        return
    inside = {path: found["zarr.json"] for path, found in sorted(nodes.items()) if path}
    held = {"kind": "inline", "must_understand": False, "metadata": inside}
    nodes[""] = {"zarr.json": {**nodes[""]["zarr.json"], "consolidated_metadata": held}}
