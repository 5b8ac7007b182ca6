"""HDF5 files as h5py writes them, plain and hostile."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def written(fill: Callable[[h5py.File], Any], **options: Any) -> bytes:
    """Return the bytes of a file that `fill` filled."""
    target = io.BytesIO()
    with h5py.File(target, "w", **options) as file:
        fill(file)
    return target.getvalue()


def climate(file: h5py.File) -> None:
    """A little of each thing, laid out as netCDF does."""
    file.attrs["title"] = "a sample"
    file.attrs["levels"] = np.array([1, 2])
    time = file.create_dataset("time", data=np.arange(40, dtype="i4"))
    time.attrs["units"] = "hours since 1900-01-01"
    time.make_scale("time")
    place = file.create_dataset("x", data=np.linspace(0, 1, 30))
    place.make_scale("x")
    values = np.arange(1200, dtype="f4").reshape(40, 30)
    packed = file.create_dataset("t2m", data=values, chunks=(10, 15), compression="gzip", shuffle=True)
    packed.dims[0].attach_scale(time)
    packed.dims[1].attach_scale(place)
    packed.attrs.update({"units": "K", "long_name": "2 metre temperature", "standard_name": "air_temperature"})
    packed.attrs["valid_range"] = np.array([-1.5, np.nan])
    deep = file.create_group("deep/deeper")
    deep.parent.attrs["k"] = 1
    deep.create_dataset("big", data=np.arange(6, dtype=">i8").reshape(2, 3))
    deep.create_dataset("scalar", data=np.float64(2.5))
    deep.create_dataset("checked", data=values, chunks=(7, 7), compression="lzf", fletcher32=True)
    file["flag"] = np.array([True, False])
    file["complex"] = np.array([1 + 2j], "c8")
    file["never"] = h5py.Empty("f4")
    file["text"] = ["a", "ü"]
    file["records"] = np.zeros(3, [("a", "i4"), ("b", "f8")])
    file.create_dataset("growing", shape=(0, 5), maxshape=(None, 5), chunks=(4, 5), dtype="f2")
    file["same"] = file["t2m"]
    file["soft"] = h5py.SoftLink("/deep/deeper/big")


LIBVERS: dict[str, Any] = {"old": {}, "new": {"libver": "latest"}, "behind 1024 bytes": {"userblock_size": 1024}}
