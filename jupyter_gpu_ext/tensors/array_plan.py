"""What is read of one array: its part, the objects that hold it, and what is done to the values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.tensors import cf
from jupyter_gpu_ext.tensors.chunks import plan_chunks
from jupyter_gpu_ext.tensors.selection import shape_of
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from jupyter_gpu_ext.tensors.cf import Decoding
    from jupyter_gpu_ext.tensors.chunks import ObjectRead
    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.selection import Axis


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayPlan:
    """What is read of one array.

    Attributes
    ----------
    name : str
        How messages and the result call it.
    shape : tuple of int
        Of the result.
    dtype : str
        Of its elements, by torch's or numpy's name: 'bfloat16', 'datetime64[ns]'.
    numpy_dtype : numpy.dtype
        In which numpy holds them.
    decoding : Decoding or None
        What is done to stored values.
    """

    name: str
    array: ZarrArray
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    dtype: str
    numpy_dtype: np.dtype[Any]
    objects: tuple[ObjectRead, ...]
    decoding: Decoding | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the result."""
        return int(np.prod(self.shape, dtype=object)) * self.numpy_dtype.itemsize

    @property
    def chunk_count(self) -> int:
        """How many chunks are decoded."""
        return sum(len(one.parts) for one in self.objects)


def check_readable(name: str, array: ZarrArray) -> None:
    """Refuse an array of elements or codecs that are not read.

    Raises
    ------
    TensorFormatError
        Naming the array and the reason.
    """
    if array.unreadable:
        raise TensorFormatError(
            f"{printable(name)} cannot be loaded: {array.unreadable}.",
            hint=f"--keys '!{printable(name)}' leaves it out.",
        )


def plan_array(name: str, array: ZarrArray, axes: tuple[Axis, ...], *, raw: bool) -> ArrayPlan:
    """Plan the read of a part of an array.

    Raises
    ------
    TooLargeError
        When there are more chunks, or larger ones, than are read.
    TensorFormatError
        When its attributes cannot be followed; `raw` leaves them alone.
    """
    plan = outline(name, array, axes, raw=raw)
    return dataclasses.replace(plan, objects=tuple(plan_chunks(array, axes, printable(name))))


def outline(name: str, array: ZarrArray, axes: tuple[Axis, ...], *, raw: bool) -> ArrayPlan:
    """Return the plan without its objects: what there will be, however many chunks it is made of.

    Raises
    ------
    TensorFormatError
        When its attributes cannot be followed; `raw` leaves them alone.
    """
    decoding = None if raw else cf.decoding_of(array)
    return ArrayPlan(
        name=name,
        array=array,
        axes=axes,
        shape=shape_of(axes),
        dtype=array.dtype if decoding is None else decoding.dtype.name,
        numpy_dtype=array.native if decoding is None else decoding.dtype,
        objects=(),
        decoding=decoding,
    )
