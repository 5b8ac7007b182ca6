"""Types and filters of HDF5, in words."""

from __future__ import annotations

from typing import Any

_MOST_CHARS = 200

# https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md
FILTERS = {
    1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf", 32001: "blosc",
    32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32026: "blosc2",
}  # fmt: skip
# Those that the library has in itself.
READABLE = frozenset({1, 2, 3, 5, 6, 32000})


def type_words(dataset: Any) -> tuple[str, int, str]:
    """Return a dataset's type by numpy's name, the bytes an element, and why its values are not read, or ''."""
    import h5py

    stored = dataset.get_type()
    size = int(stored.get_size())
    try:
        dtype = dataset.dtype
    except TypeError:
        return "unknown", size, "its type has no twin in numpy"
    if h5py.check_string_dtype(dtype) is not None:
        return "str", size, "it holds text"
    if (part := h5py.check_vlen_dtype(dtype)) is not None:
        return f"vlen {part}"[:_MOST_CHARS], size, "it holds lists"
    if h5py.check_ref_dtype(dtype) is not None:
        return "reference", size, "it holds references"
    if dtype.names is not None:
        return f"struct {list(dtype.fields)}"[:_MOST_CHARS], size, "it holds structures"
    if dtype.kind not in "biufc" or dtype.subdtype is not None or dtype.itemsize > 16:
        return str(dtype)[:_MOST_CHARS], size, "its type is not read"
    return dtype.name, size, ""
