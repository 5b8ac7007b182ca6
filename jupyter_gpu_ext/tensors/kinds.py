"""What a row of a listing is, by its name, by its first bytes, or by the names of what lies in it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from jupyter_gpu_ext.tensors import hdf5
from jupyter_gpu_ext.tensors.distributed import NAME as DISTRIBUTED
from jupyter_gpu_ext.tensors.formats import npy, npz, safetensors, torch_legacy, torch_zip
from jupyter_gpu_ext.tensors.formats.zip_directory import LOCAL_BYTES
from jupyter_gpu_ext.tensors.sharded import is_index

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Kind = Literal[
    "safetensors", "npy", "npz", "pt", "hdf5", "netcdf3",
    "zarr", "zarr2_array", "zarr2_group", "zarr3", "sharded", "distributed",
]  # fmt: skip

# Names that are given to one thing only.
_BY_NAME: tuple[tuple[tuple[str, ...], Kind], ...] = (
    ((".safetensors",), "safetensors"),
    ((".npy",), "npy"),
    ((".npz",), "npz"),
    ((".pt", ".pth"), "pt"),
    ((".h5", ".hdf5", ".nc4"), "hdf5"),
)
# Names that are given to many things: a .bin may be anything, a .ckpt TensorFlow's, a .nc HDF5 or the older format.
_UNSURE = (".bin", ".ckpt", ".nc")
_NETCDF3 = (b"CDF\1", b"CDF\2", b"CDF\5")
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}(\.safetensors|\.bin)", re.DOTALL)


def is_folder(key: str) -> bool:
    """Tell whether a key is a folder's."""
    return not key or key.endswith("/")


def kind_by_name(key: str) -> Kind | None:
    """Return what a name says for certain; None where it does not."""
    name = key.lower()
    if is_folder(key):
        return "zarr" if name.endswith(".zarr/") else None
    if is_index(key):
        return "sharded"
    return next((kind for suffixes, kind in _BY_NAME if name.endswith(suffixes)), None)


def is_unsure(key: str) -> bool:
    """Tell whether a look inside may say more than the name does."""
    return is_folder(key) or key.lower().endswith(_UNSURE)


def kind_of_head(head: bytes) -> Kind | None:
    """Return what a file is by its first bytes."""
    return next((kind for sniff, kind in _HEADS if sniff(head)), None)


def kind_of_names(names: Collection[str]) -> Kind | None:
    """Return what a folder is by the names of the objects in it; version 3 of Zarr counts before version 2."""
    if "zarr.json" in names:
        return "zarr3"
    if ".zarray" in names:
        return "zarr2_array"
    if ".zgroup" in names or ".zmetadata" in names:
        return "zarr2_group"
    if any(map(is_index, names)):
        return "sharded"
    # Other programs write a .metadata as well.
    if DISTRIBUTED in names and any(name.endswith(".distcp") for name in names):
        return "distributed"
    return None


def decisive_name(names: Collection[str]) -> str:
    """Return the one name that may still decide where a listing was cut off.

    Those that begin with a dot come before all others: of what `kind_of_names` knows these two come late.
    """
    shard = next((found for name in names if (found := _SHARD.fullmatch(name))), None)
    return f"{shard[1]}{shard[2]}.index.json" if shard else "zarr.json"


def _is_torch_zip(head: bytes) -> bool:
    # Any archive begins so; the first member of one that torch.save wrote is the pickle.
    name = head[LOCAL_BYTES:][: int.from_bytes(head[26:28], "little")]
    return torch_zip.sniff(head) and name.endswith(b"/data.pkl")


def _is_netcdf3(head: bytes) -> bool:
    return head.startswith(_NETCDF3)


_HEADS: tuple[tuple[Callable[[bytes], bool], Kind], ...] = (
    (safetensors.sniff, "safetensors"),
    (npy.sniff, "npy"),
    (npz.sniff, "npz"),
    (_is_torch_zip, "pt"),
    (torch_legacy.sniff, "pt"),
    (hdf5.sniff, "hdf5"),
    (_is_netcdf3, "netcdf3"),
)
