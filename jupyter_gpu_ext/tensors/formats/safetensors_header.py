"""Writing a safetensors header.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from jupyter_gpu_ext.tensors.formats.safetensors import DTYPES
from jupyter_gpu_ext.tensors.models import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = {dtype: name for name, dtype in DTYPES.items()}
# Widest first and then by name, as the library does: with a header of whole words every tensor is aligned.
# fmt: off
_ORDER = ("uint64", "int64", "float64", "complex64", "float32", "uint32", "int32", "bfloat16", "float16", "uint16",
          "int16", "float8_e8m0fnu", "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "bool")
# fmt: on
_RANK = {dtype: rank for rank, dtype in enumerate(_ORDER)}


def make_header(tensors: Mapping[str, tuple[str, tuple[int, ...]]], kind: str) -> tuple[bytes, list[str]]:
    """Return the bytes in front of the data, and the names in the order in which the data follows.

    Parameters
    ----------
    tensors : mapping of str to (str, tuple of int)
        Type by torch's name, and shape.
    kind : str
        Which library's arrays they were, 'pt' or 'np': other readers ask.
    """
    order = sorted(tensors, key=lambda name: (_RANK[tensors[name][0]], name.encode()))
    header: dict[str, object] = {"__metadata__": {"format": kind}}
    at = 0
    for name in order:
        dtype, shape = tensors[name]
        end = at + math.prod(shape) * ITEM_BYTES[dtype]
        header[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [at, end]}
        at = end
    raw = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw, order
