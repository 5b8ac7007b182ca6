"""torch.save archives: a zip of stored members, a pickle that describes, one member a storage.

Layout: torch/serialization.py `_save`, caffe2/serialize/inline_container.cc.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.formats.pickle_machine import Machine
from jupyter_gpu_ext.tensors.formats.zip_directory import Directory, locate_by_header, read_directory
from jupyter_gpu_ext.tensors.models import ITEM_BYTES, MOST_TENSORS, Tensor, TensorFile, check
from jupyter_gpu_ext.tensors.tree import Value, flatten
from jupyter_gpu_ext.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_gpu_ext.storage.ranges import ByteRange
    from jupyter_gpu_ext.storage.reader import Reader

_ALIGNMENT = 64
# Between two members lies a data descriptor: none, or 16 bytes, 24 in zip64.
_DESCRIPTORS = (0, 16, 24)
_SAVE_AGAIN = "Where you trust its source, load it there and save a state_dict, or safetensors."

_STORAGE_DTYPES = {
    "Bool": "bool", "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
    "Half": "float16", "BFloat16": "bfloat16", "Float": "float32", "Double": "float64",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str


def sniff(head: bytes) -> bool:
    """Tell whether the first bytes are those of a zip archive."""
    return head.startswith(b"PK\3\4")


async def read_header(reader: Reader, *, most_bytes: int) -> TensorFile:
    """Read directory and pickle: two requests where the pickle lies in the first 64 KiB, else three.

    Raises
    ------
    TensorFormatError
        For an archive that is damaged, or whose pickle needs code; names what it asks for.
    UnsupportedFormatError
        For TorchScript and exported programs, which are code.
    """
    directory = await read_directory(reader, most_bytes=most_bytes)
    root = _root(directory, reader)
    pickle = await _pickle(directory, root, reader, most_bytes)
    tree = _describe(pickle, reader)
    storages = await _storages(directory, root, reader)
    tensors = flatten(tree)
    if len(tensors) > MOST_TENSORS:
        raise TensorFormatError(f"{reader.url} declares {format_count(len(tensors), 'tensor')}.")
    used = {one.storage: storages[one.storage] for one in tensors.values() if one.storage in storages}
    check(tensors, used, reader.version.size_bytes, str(reader.url))
    return TensorFile(
        url=str(reader.url),
        kind="torch",
        size_bytes=reader.version.size_bytes,
        etag=reader.version.etag,
        tensors=tensors,
        storages=used,
        tree=tree,
        requests=reader.requests,
        bytes_read=reader.bytes_read,
    )


def _root(directory: Directory, reader: Reader) -> str:
    pickles = [one.name for one in directory.members if one.name.endswith("/data.pkl") and one.name.count("/") == 1]
    root = pickles[0].removesuffix("data.pkl") if len(pickles) == 1 else ""
    names = {one.name for one in directory.members}
    if any(name.endswith((".ptl", "/constants.pkl")) or "/code/" in name for name in names):
        raise UnsupportedFormatError(
            f"{reader.url} is a TorchScript program: it is code, and was not loaded.", hint=_SAVE_AGAIN
        )
    if any("archive_format" in name or name.endswith("models/model.json") for name in names):
        raise UnsupportedFormatError(
            f"{reader.url} is an exported program (.pt2): it is code, and was not loaded.", hint=_SAVE_AGAIN
        )
    if not root:
        raise UnsupportedFormatError(
            f"{reader.url} is a zip archive, but not one that torch.save writes.",
            hint="What is read: .pt, .pth, .bin, .ckpt of torch.save, and .safetensors.",
        )
    if big := [one.name for one in directory.members if not one.stored]:
        raise TensorFormatError(
            f"{reader.url} holds compressed members ({printable(big[0])}); torch.save writes none.", hint=_SAVE_AGAIN
        )
    return root


async def _pickle(directory: Directory, root: str, reader: Reader, most_bytes: int) -> bytes:
    member = next(one for one in directory.members if one.name == f"{root}data.pkl")
    if member.size_bytes > most_bytes:
        raise TensorFormatError(
            f"{reader.url} has a description of {member.size_bytes:,} bytes, {most_bytes:,} are read at most."
        )
    span = _by_rule(directory)[member.name] or await locate_by_header(reader, member)
    return await reader.read(span.start, span.stop)


def _describe(pickle: bytes, reader: Reader) -> Any:
    machine = Machine(_FUNCTIONS, _CONSTANTS, _persistent)
    try:
        tree = machine.run(pickle)
    except GpuExtError as error:
        if not machine.unknown:
            raise TensorFormatError(f"{reader.url}: {error.message}", hint="Write or copy the file again.") from None
    if machine.unknown:
        names = ", ".join(printable(name) for name in list(machine.unknown)[:8])
        more = " …" if len(machine.unknown) > 8 else ""
        raise TensorFormatError(
            f"{reader.url} asks for more than plain tensors ({names}{more}); nothing of it was run or loaded.",
            hint=_SAVE_AGAIN,
        )
    return tree


async def _storages(directory: Directory, root: str, reader: Reader) -> dict[str, ByteRange]:
    prefix = f"{root}data/"
    spans = _by_rule(directory)
    return {
        one.name.removeprefix(prefix): spans[one.name] or await locate_by_header(reader, one)
        for one in directory.members
        if one.name.startswith(prefix)
    }


def _by_rule(directory: Directory) -> dict[str, ByteRange | None]:
    """Return each member's bytes by the padding rule; None where the neighbours contradict it."""
    edges = [one.header_offset for one in directory.members[1:]] + [directory.offset]
    found: dict[str, ByteRange | None] = {}
    for member, edge in zip(directory.members, edges, strict=True):
        span = member.data(_ALIGNMENT)
        found[member.name] = span if edge - span.stop in _DESCRIPTORS else None
    return found


def _persistent(identity: Any) -> _Storage:
    kind, storage, key, _location, _count = identity
    if kind != "storage" or not isinstance(storage, _Storage) or not isinstance(key, str):
        raise TypeError
    return _Storage(key, storage.dtype)


def _tensor(  # noqa: PLR0917 -- torch's own order of arguments
    storage: Any,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    _hooks: Any = None,
    dtype: Any = None,
    _metadata: Any = None,
) -> Tensor:
    whole = all(type(number) is int for number in (offset, *shape, *stride))
    if not whole or not isinstance(storage, _Storage) or len(shape) > 64:
        raise TypeError
    return Tensor(
        dtype=dtype.payload if isinstance(dtype, Value) else storage.dtype,
        shape=tuple(shape),
        stride=tuple(stride),
        storage=storage.key,
        offset=offset,
        requires_grad=requires_grad is True,
    )


def _parameter(data: Tensor, requires_grad: bool, _hooks: Any = None) -> Tensor:
    return dataclasses.replace(data, kind="parameter", requires_grad=requires_grad is True)


def _encoded(text: str, encoding: str) -> bytes:
    # How protocol 2 writes bytes.
    if encoding != "latin1":
        raise ValueError(encoding)
    return text.encode("latin1")


def _complex(real: float, imaginary: float) -> complex:
    return complex(float(real), float(imaginary))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": lambda sizes: Value("size", tuple(int(size) for size in sizes)),
    "torch.device": lambda *parts: Value("device", ":".join(map(str, parts))),
    "collections.OrderedDict": lambda pairs=(): OrderedDict(pairs),
    "_codecs.encode": _encoded,
    **{f"{module}.set": set for module in ("builtins", "__builtin__")},
    **{f"{module}.frozenset": frozenset for module in ("builtins", "__builtin__")},
    **{f"{module}.complex": _complex for module in ("builtins", "__builtin__")},
}
_CONSTANTS = {
    **{f"torch.{name}": Value("dtype", name) for name in ITEM_BYTES},
    **{f"torch.{name}Storage": _Storage("", dtype) for name, dtype in _STORAGE_DTYPES.items()},
    "torch.storage.UntypedStorage": _Storage("", "uint8"),
}
