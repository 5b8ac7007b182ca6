"""numpy's .npy: a mark, a version, a header that is a Python dict in text, the elements.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.formats.safetensors import contiguous
from jupyter_gpu_ext.tensors.models import ITEM_BYTES, Encoding, Stored, Tensor, TensorFile, check
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader

MARK = b"\x93NUMPY"
# As numpy itself: a longer header is an attack on whoever parses it.
_MOST_HEADER = 10_000
# Mark, version, the longest length field, and the header.
MOST_BYTES = len(MARK) + 2 + 4 + _MOST_HEADER
_DAMAGED = "The file is damaged; write or copy it again."

_DTYPES = {
    "b1": "bool", "u1": "uint8", "i1": "int8", "u2": "uint16", "i2": "int16", "u4": "uint32", "i4": "int32",
    "u8": "uint64", "i8": "int64", "f2": "float16", "f4": "float32", "f8": "float64", "c8": "complex64",
    "c16": "complex128",
}  # fmt: skip
_WITHOUT_TWIN = {
    "U": "text", "S": "text", "a": "text", "M": "dates", "m": "time differences", "V": "raw bytes or records",
    "f": "floats of a width that torch does not have", "c": "complex numbers of a width that torch does not have",
}  # fmt: skip
_ENTRY = re.compile(
    r"""\s*(['"])(descr|fortran_order|shape)\1\s*:\s*"""
    r"""(?:(['"])(?P<text>[^'"\\]{1,64})\3|(?P<flag>True|False)|\((?P<sizes>[0-9L,\s]*)\))\s*(?:,\s*|(?=\}))"""
)
_SIZES = re.compile(r"(?:(?:0|[1-9]\d{0,18})L?(?:\s*,\s*|\s*$))*")


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes
    ----------
    swapped : bool
        Whether the elements are big-endian.
    size_bytes : int
        Length of everything before the elements.
    """

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    swapped: bool
    size_bytes: int

    @property
    def data_bytes(self) -> int:
        """Length of the elements."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def swap_bytes(self) -> int:
        """Length of what has to be turned round; 1 when nothing has. A complex number is two numbers."""
        halves = 2 if self.dtype.startswith("complex") else 1
        return ITEM_BYTES[self.dtype] // halves if self.swapped else 1

    def tensor(self, storage: str) -> Tensor:
        """Return the tensor over the elements."""
        return Tensor(dtype=self.dtype, shape=self.shape, stride=self.stride, storage=storage)


def sniff(head: bytes) -> bool:
    """Tell whether the first bytes are those of an .npy file."""
    return head.startswith(MARK)


async def read_header(reader: Reader, *, most_bytes: int) -> TensorFile:
    """Read the header: no request beyond the opening one.

    Raises
    ------
    TensorFormatError
        When the header is not valid, or the file is longer or shorter than it says.
    UnsupportedFormatError
        When torch has no such type.
    """
    head = await reader.read(0, min(MOST_BYTES, reader.version.size_bytes))
    found = parse(head, reader.shown)
    stop = found.size_bytes + found.data_bytes
    if stop != reader.version.size_bytes:
        raise TensorFormatError(
            f"{reader.shown} has {reader.version.size_bytes:,} bytes, its header describes {stop:,}: "
            "it is cut off or damaged.",
            hint="Write or copy the file again.",
        )
    tensor = found.tensor("data")
    encoding = Encoding(size_bytes=found.data_bytes, item_bytes=found.swap_bytes) if found.swap_bytes > 1 else None
    storages = {"data": Stored(found.size_bytes, stop, encoding=encoding)}
    check({"value": tensor}, storages, reader.version.size_bytes, reader.shown)
    return TensorFile(
        url=str(reader.url),
        kind="npy",
        size_bytes=reader.version.size_bytes,
        etag=reader.version.etag,
        tensors={"value": tensor},
        storages=storages,
        tree=tensor,
        notes=("big-endian elements are turned round on the way",) if encoding else (),
        requests=reader.requests,
        bytes_read=reader.bytes_read,
    )


def parse(head: bytes, shown: str) -> Header:
    """Parse the beginning of a file, by the format's own words and nothing beyond them.

    Raises
    ------
    TensorFormatError, UnsupportedFormatError
    """
    version = tuple(head[6:8])
    if not head.startswith(MARK) or version not in ((1, 0), (2, 0), (3, 0)):
        raise TensorFormatError(f"{shown} is of no version of .npy that is known.", hint=_DAMAGED)
    start = 10 if version == (1, 0) else 12
    length = int.from_bytes(head[8:start], "little")
    if length > _MOST_HEADER:
        raise TensorFormatError(f"{shown} declares a header of {length:,} bytes.", hint=f"{_MOST_HEADER:,} are read.")
    raw = head[start : start + length]
    try:
        text = raw.decode("utf-8" if version == (3, 0) else "latin-1")
    except UnicodeDecodeError:
        text = ""
    if len(raw) < length:
        raise TensorFormatError(f"{shown} ends within its header: it is cut off or damaged.", hint=_DAMAGED)
    entries = _entries(text, shown)
    shape = _shape(entries["shape"], shown)
    dtype, swapped = _dtype(entries["descr"], shown)
    strides = contiguous(shape[::-1])[::-1] if entries["fortran_order"] == "True" else contiguous(shape)
    return Header(dtype, shape, strides, swapped, start + length)


def _entries(text: str, shown: str) -> dict[str, str]:
    if re.search(r"""['"]descr['"]\s*:\s*[\[(]""", text):
        raise UnsupportedFormatError(
            f"{shown} holds records of several fields, which torch has no type for.",
            hint="Save each field as an array of its own.",
        )
    kinds = {"descr": "text", "fortran_order": "flag", "shape": "sizes"}
    found: dict[str, str] = {}
    at = 1
    while entry := _ENTRY.match(text, at):
        key, at = entry[2], entry.end()
        if key in found or entry[kinds[key]] is None:
            raise _strange(shown)
        found[key] = entry[kinds[key]]
    if text[:1] != "{" or text[at:].rstrip(" \n") != "}" or len(found) != len(kinds):
        raise _strange(shown)
    return found


def _shape(text: str, shown: str) -> tuple[int, ...]:
    sizes = [part.strip().rstrip("L") for part in text.split(",") if part.strip()]
    # One size without a comma is a number in brackets, not a tuple.
    if not _SIZES.fullmatch(text.strip()) or (len(sizes) == 1 and "," not in text) or len(sizes) > 64:
        raise TensorFormatError(f"{shown} has a shape that cannot be.", hint=_DAMAGED)
    shape = tuple(map(int, sizes))
    if math.prod(max(size, 1) for size in shape) >= 2**63:
        raise TensorFormatError(f"{shown} has a shape that cannot be.", hint=_DAMAGED)
    return shape


def _dtype(text: str, shown: str) -> tuple[str, bool]:
    kind = re.fullmatch(r"([<>|=]?)([a-zA-Z])(\d*)(\[\w+\])?", text)
    if kind is None:
        raise _strange(shown)
    if kind[2] == "O":
        raise TensorFormatError(
            f"{shown} holds Python objects, which are code; nothing of them was loaded.",
            hint="Save an array of numbers.",
        )
    dtype = _DTYPES.get(kind[2] + kind[3])
    if dtype is None or kind[4]:
        what = _WITHOUT_TWIN.get(kind[2])
        if what is None:
            raise _strange(shown)
        raise UnsupportedFormatError(
            f"{shown} holds {what} ({printable(text)}), which torch has no type for.",
            hint="Load it with numpy: `jg.open(url)` gives the file.",
        )
    return dtype, kind[1] == ">" and ITEM_BYTES[dtype] > 1


def _strange(shown: str) -> TensorFormatError:
    return TensorFormatError(f"{shown} has a header that is not of the format.", hint=_DAMAGED)
