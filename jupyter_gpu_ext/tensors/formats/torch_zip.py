"""torch.save archives: a zip of stored members, a pickle that describes, one member a storage.

Layout: torch/serialization.py `_save`, caffe2/serialize/inline_container.cc.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.formats.pickle_machine import Machine, check_key
from jupyter_gpu_ext.tensors.formats.zip_directory import Directory, locate, read_directory
from jupyter_gpu_ext.tensors.models import ITEM_BYTES, Stored, Tensor, TensorFile, check
from jupyter_gpu_ext.tensors.tree import Value, flatten
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_gpu_ext.storage.ranges import ByteRange
    from jupyter_gpu_ext.storage.reader import Reader

# What lies between the pickle and the byte order that is worth one request instead of two.
_NEAR_BYTES = 4096
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


class _Storages:
    """The storages that a pickle names, and how long it says they are."""

    def __init__(self) -> None:
        self.size_bytes: dict[str, int] = {}

    def __call__(self, identity: Any) -> _Storage:
        kind, storage, key, _location, count = identity
        if kind != "storage" or not isinstance(storage, _Storage) or not isinstance(key, str) or type(count) is not int:
            raise TypeError
        size = count * ITEM_BYTES[storage.dtype]
        if self.size_bytes.setdefault(key, size) != size:
            raise ValueError(key)
        return _Storage(key, storage.dtype)


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
    rule = directory.by_rule(reader.head)
    pickle = await _pickle(directory, rule, root, reader, most_bytes)
    # Not on the I/O loop: others wait for it.
    tree, tensors, declared = await asyncio.to_thread(_describe, pickle, reader)
    keys = {one.storage for one in tensors.values()}
    used = await _storages(directory, rule, f"{root}data/", keys, reader)
    _check_sizes(used, declared, reader)
    check(tensors, used, reader.version.size_bytes, reader.shown)
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
            f"{reader.shown} is a TorchScript program: it is code, and was not loaded.", hint=_SAVE_AGAIN
        )
    if any("archive_format" in name or name.endswith("models/model.json") for name in names):
        raise UnsupportedFormatError(
            f"{reader.shown} is an exported program (.pt2): it is code, and was not loaded.", hint=_SAVE_AGAIN
        )
    if not root:
        raise UnsupportedFormatError(
            f"{reader.shown} is a zip archive, but not one that torch.save writes.",
            hint="What is read: .pt, .pth, .bin, .ckpt of torch.save, and .safetensors.",
        )
    if big := [one.name for one in directory.members if not one.stored]:
        raise TensorFormatError(
            f"{reader.shown} holds compressed members ({printable(big[0])}); torch.save writes none.", hint=_SAVE_AGAIN
        )
    return root


async def _pickle(
    directory: Directory, rule: Mapping[str, ByteRange] | None, root: str, reader: Reader, most_bytes: int
) -> bytes:
    sizes = {one.name: one.size_bytes for one in directory.members}
    name, order = f"{root}data.pkl", f"{root}byteorder"
    if sizes[name] > most_bytes:
        raise TensorFormatError(
            f"{reader.shown} has a description of {sizes[name]:,} bytes, {most_bytes:,} are read at most."
        )
    wanted = [one for one in (name, order) if one in sizes]
    spans = rule or await locate(directory, wanted, reader)
    pickle = spans[name]
    # Files of torch before 2.1 do not say it: they are little-endian.
    mark = spans.get(order, pickle)
    if 0 <= mark.start - pickle.stop <= _NEAR_BYTES and mark.size_bytes <= _NEAR_BYTES:
        raw = await reader.read(pickle.start, mark.stop)
        said, data = raw[mark.start - pickle.start :], raw[: pickle.size_bytes]
    else:
        data = await reader.read(pickle.start, pickle.stop)
        said = await reader.read(mark.start, min(mark.stop, mark.start + _NEAR_BYTES))
    if order in sizes and said != b"little":
        raise TensorFormatError(
            f"{reader.shown} was not written in little-endian byte order.", hint="Load it with torch and save it again."
        )
    return data


def _describe(pickle: bytes, reader: Reader) -> tuple[Any, dict[str, Tensor], dict[str, int]]:
    storages = _Storages()
    machine = Machine(_FUNCTIONS, _CONSTANTS, storages)
    try:
        tree = machine.run(pickle)
        tensors = {} if machine.unknown else flatten(tree)
    except GpuExtError as error:
        if not machine.unknown:
            hint = error.hint or "Write or copy the file again."
            raise TensorFormatError(f"{reader.shown}: {error.message}", hint=hint) from None
    if machine.unknown:
        names = ", ".join(printable(name[:100]) for name in list(machine.unknown)[:8])
        more = " …" if len(machine.unknown) > 8 else ""
        raise TensorFormatError(
            f"{reader.shown} asks for more than plain tensors ({names}{more}); nothing of it was run or loaded.",
            hint=_SAVE_AGAIN,
        )
    return tree, tensors, storages.size_bytes


def examine(pickle: bytes) -> tuple[int, dict[str, None]]:
    """Return how many tensors a pickle describes, and the names in it that would not be read.

    Raises
    ------
    TensorFormatError
        When it is read by nobody, whatever the names.
    """
    machine = Machine(_FUNCTIONS, _CONSTANTS, _Storages())
    try:
        tree = machine.run(pickle)
        return 0 if machine.unknown else len(flatten(tree)), machine.unknown
    except GpuExtError:
        if not machine.unknown:
            raise
    return 0, machine.unknown


async def _storages(
    directory: Directory, rule: Mapping[str, ByteRange] | None, prefix: str, keys: set[str], reader: Reader
) -> dict[str, Stored]:
    names = {one.name: one.crc32 for one in directory.members}
    # torch may be told to leave the checksums out; it writes zeros then.
    known = any(names.values())
    # What is missing is for `check` to say, with the tensor's name.
    found = [prefix + key for key in sorted(keys) if prefix + key in names]
    spans = rule or await locate(directory, found, reader)
    return {
        name.removeprefix(prefix): Stored(spans[name].start, spans[name].stop, crc32=names[name] if known else None)
        for name in found
    }


def _check_sizes(storages: Mapping[str, Stored], declared: Mapping[str, int], reader: Reader) -> None:
    for key, span in storages.items():
        # A storage of bytes that was seen as a wider type is declared without its odd end.
        size = declared.get(key, -1)
        if not 0 <= span.size_bytes - size < max(ITEM_BYTES.values()):
            raise TensorFormatError(
                f"{reader.shown}: storage {key[:200]!r} has {span.size_bytes:,} bytes, {size:,} are declared.",
                hint="The file is damaged; write or copy it again.",
            )


def _tensor(
    storage: Any,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    _hooks: Any = None,
    *rest: Any,
) -> Tensor:
    if len(shape) > 64 or len(stride) > 64 or not isinstance(storage, _Storage):
        raise TypeError
    if not all(type(number) is int for number in (offset, *shape, *stride)):
        raise TypeError
    # Version 3 has a dtype; after it comes what torch keeps beside the bytes.
    dtype = rest[0] if rest and isinstance(rest[0], Value) and rest[0].kind == "dtype" else None
    if any(rest[1:] if dtype else rest):
        raise TensorFormatError(
            "It holds a conjugated or negated view.", hint="Call resolve_conj() or resolve_neg() and save it again."
        )
    return Tensor(
        dtype=dtype.payload if dtype else storage.dtype,
        shape=tuple(shape),
        stride=tuple(stride),
        storage=storage.key,
        offset=offset,
        requires_grad=requires_grad is True,
    )


def _parameter(data: Tensor, requires_grad: bool, _hooks: Any = None) -> Tensor:
    return dataclasses.replace(data, kind="parameter", requires_grad=requires_grad is True)


def _size(sizes: Any) -> Value:
    if not all(type(size) is int and 0 <= size < 2**63 for size in sizes):
        raise ValueError
    return Value("size", tuple(sizes))


def _device(kind: str, index: int | None = None) -> Value:
    name = kind if index is None else f"{kind}:{index:d}"
    if not re.fullmatch(r"(cpu|cuda|mps|xpu|hpu|meta)(:\d{1,3})?", name):
        raise ValueError
    return Value("device", name)


def _encoded(text: str, encoding: str) -> bytes:
    # How protocol 2 writes bytes.
    if encoding != "latin1":
        raise ValueError(encoding)
    return text.encode("latin1")


def _counter(counts: Any) -> Counter[Any]:
    # What a schedule of several milestones keeps.
    return Counter({check_key(key): count for key, count in dict(counts).items()})


def _complex(real: float, imaginary: float) -> complex:
    return complex(float(real), float(imaginary))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": lambda pairs=(): OrderedDict((check_key(key), value) for key, value in pairs),
    "collections.Counter": _counter,
    "_codecs.encode": _encoded,
    # No bytes at all, in protocol 2.
    **{f"{module}.bytes": lambda: b"" for module in ("builtins", "__builtin__")},
    **{f"{module}.set": lambda items=(): set(map(check_key, items)) for module in ("builtins", "__builtin__")},
    **{
        f"{module}.frozenset": lambda items=(): frozenset(map(check_key, items))
        for module in ("builtins", "__builtin__")
    },
    **{f"{module}.complex": _complex for module in ("builtins", "__builtin__")},
}
_CONSTANTS = {
    **{f"torch.{name}": Value("dtype", name) for name in ITEM_BYTES},
    **{f"torch.{name}Storage": _Storage("", dtype) for name, dtype in _STORAGE_DTYPES.items()},
    "torch.storage.UntypedStorage": _Storage("", "uint8"),
}
