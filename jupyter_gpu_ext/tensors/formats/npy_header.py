"""Writing the header of an .npy file.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def make_header(dtype: np.dtype[Any], shape: tuple[int, ...], *, fortran_order: bool = False) -> bytes:
    """Return the bytes in front of the data."""
    from numpy.lib import format as npy

    described = {"descr": npy.dtype_to_descr(dtype), "fortran_order": fortran_order, "shape": shape}
    buffer = io.BytesIO()
    try:
        npy.write_array_header_1_0(buffer, described)
    except ValueError:
        # More than 64 KiB, which only very many fields need.
        buffer = io.BytesIO()
        npy.write_array_header_2_0(buffer, described)
    return buffer.getvalue()
