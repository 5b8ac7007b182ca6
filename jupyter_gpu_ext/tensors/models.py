"""What a tensor file holds, whatever its format: storages (bytes) and tensors (views of them)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.storage.ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes an element, by torch's names.
ITEM_BYTES = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "uint64": 8, "int64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex32": 4, "complex64": 8, "complex128": 16,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
}  # fmt: skip

# A header that declares more is not a checkpoint but an attack on memory.
MOST_TENSORS = 200_000
LEAST_BOMB, MOST_RATIO = 1 << 30, 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensor:
    """A strided view of a storage, as a file declares it.

    Attributes
    ----------
    storage : str
        Which storage of the file.
    offset, stride : int, tuple of int
        In elements, as torch counts.
    kind : {'tensor', 'parameter'}
        A parameter comes back as `torch.nn.Parameter`.
    """

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    storage: str
    offset: int = 0
    kind: Literal["tensor", "parameter"] = "tensor"
    requires_grad: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes of the elements, each counted once a tensor."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def extent(self) -> tuple[int, int]:
        """First byte and the byte after the last one that the view touches in its storage."""
        item = ITEM_BYTES[self.dtype]
        if 0 in self.shape:
            return self.offset * item, self.offset * item
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return self.offset * item, (last + 1) * item


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a storage's bytes differ from those that are stored.

    Attributes
    ----------
    size_bytes : int
        Length of the storage.
    item_bytes : int
        Numbers of this length are big-endian; 1 when nothing is to be turned round.
    deflated : bool
        Whether the stored bytes are a raw deflate stream; `crc32` is then of all that comes out.
    skip_bytes : int
        What comes out before the storage.
    """

    size_bytes: int
    item_bytes: int = 1
    deflated: bool = False
    skip_bytes: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Stored(ByteRange):
    """Where a storage's bytes lie.

    Attributes
    ----------
    source : int
        Which of the objects that were opened together; a file that stands alone is 0.
    crc32 : int or None
        Of the bytes, where the file says it.
    encoding : Encoding or None
        Where the bytes are not the storage's as they are.
    """

    source: int = field(default=0, compare=False)
    crc32: int | None = field(default=None, compare=False)
    encoding: Encoding | None = field(default=None, compare=False)

    @property
    def storage_bytes(self) -> int:
        """Length of the storage itself."""
        return self.encoding.size_bytes if self.encoding else self.size_bytes


Kind = Literal["torch", "safetensors", "npy", "npz", "torch-legacy", "torch-distributed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A rectangle of a tensor whose elements are a storage of their own.

    Attributes
    ----------
    storage : str
        Where its bytes lie.
    start, shape : tuple of int
        Its first element in the whole, and how many in each dimension.
    stride : tuple of int or None
        How they lie in the storage, in elements; None when they do in C order.
    """

    storage: str
    start: tuple[int, ...]
    shape: tuple[int, ...]
    stride: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A storage that lies nowhere as it is: the blocks fill it without gap or overlap, in C order of `shape`."""

    dtype: str
    shape: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def size_bytes(self) -> int:
        """Length of the storage."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    def offset_bytes(self, block: Block) -> int | None:
        """Return where a block's bytes begin when they are one stretch, None when they are not."""
        if block.stride is not None:
            return None
        partial = [dim for dim, size in enumerate(self.shape) if block.shape[dim] != size]
        if partial and any(size != 1 for size in block.shape[: partial[-1]]):
            return None
        steps = zip(block.start, self.shape, strict=True)
        first = 0
        for start, size in steps:
            first = first * size + start
        return first * ITEM_BYTES[self.dtype]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFile:
    """The header of one file, or of several that are one checkpoint.

    Attributes
    ----------
    tensors : mapping of str to Tensor
        By dotted name, in file order.
    storages : mapping of str to Stored
        Where each storage's bytes lie.
    tree : object
        What the library would return, a `Tensor` in place of each tensor.
    metadata : mapping of str to str
        What the file says of itself.
    notes : tuple of str
        What a person should know about how it was read, a sentence each.
    wholes : mapping of str to Whole
        Storages that are put together out of others: those of tensors that were saved in parts. Each has one
        tensor, contiguous, from its first byte on.
    """

    url: str
    kind: Kind
    size_bytes: int
    etag: str
    tensors: Mapping[str, Tensor]
    storages: Mapping[str, Stored]
    tree: Any
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    wholes: Mapping[str, Whole] = field(default_factory=dict)
    requests: int = 0
    bytes_read: int = 0

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all storages that tensors use, tied ones counted once."""
        used = {one.storage for one in self.tensors.values()}
        return sum(self.storage_bytes(key) for key in used)

    def storage_bytes(self, key: str) -> int:
        """Length of a storage."""
        return self.wholes[key].size_bytes if key in self.wholes else self.storages[key].storage_bytes


def check(tensors: Mapping[str, Tensor], storages: Mapping[str, Stored], size_bytes: int, url: str) -> None:
    """Refuse tensors that reach outside their storage, and storages that reach outside the file.

    Raises
    ------
    TensorFormatError
        Naming the first one.
    """
    for span in storages.values():
        if not 0 <= span.start <= span.stop <= size_bytes:
            raise TensorFormatError(
                f"{url} ends before its data does: it is cut off or damaged.", hint="Write or copy the file again."
            )
    for name, one in tensors.items():
        if one.storage not in storages:
            raise _bad(url, name, "has no data in the file")
        if min(one.shape, default=0) < 0 or min(one.stride, default=0) < 0 or len(one.shape) != len(one.stride):
            raise _bad(url, name, "has a shape that cannot be")
        # torch counts in 64 bits, and one size of 0 does not make the others harmless.
        if _span(one) >= 2**63 or len(one.shape) > 64:
            raise _bad(url, name, "has a shape that cannot be")
        if one.requires_grad and not one.dtype.startswith(("float", "bfloat", "complex")):
            raise _bad(url, name, f"asks for a gradient, which {one.dtype} cannot have")
        start, stop = one.extent
        if start < 0 or stop > storages[one.storage].storage_bytes:
            raise _bad(url, name, "reaches outside its data")
        # A stride of 0 repeats elements; far beyond the file's own size that is a bomb, not a view.
        if one.size_bytes > max(size_bytes * MOST_RATIO, LEAST_BOMB):
            raise _bad(url, name, f"claims {one.size_bytes:,} bytes, the file has {size_bytes:,}")


def _span(one: Tensor) -> int:
    elements = math.prod(max(size, 1) for size in one.shape)
    reach = sum(max(size, 1) * step for size, step in zip(one.shape, one.stride, strict=True))
    return (elements + reach + abs(one.offset)) * ITEM_BYTES[one.dtype]


def _bad(url: str, name: str, what: str) -> TensorFormatError:
    return TensorFormatError(
        f"{url}: tensor {name[:200]!r} {what}.", hint="The file is damaged; write or copy it again."
    )
