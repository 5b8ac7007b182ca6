"""What torch.save writes in a pickle: storages by name, tensors over them, plain containers around.

Source: torch/serialization.py `persistent_id`, torch/_utils.py `_rebuild_tensor_v2`.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError
from jupyter_gpu_ext.tensors.formats.pickle_machine import Machine, check_key
from jupyter_gpu_ext.tensors.models import ITEM_BYTES, Stored, Tensor
from jupyter_gpu_ext.tensors.tree import Value, flatten
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAVE_AGAIN = "Where you trust its source, load it there and save a state_dict, or safetensors."
_REBUILT = "`jg.load` has torch rebuild it, the whole file in memory; or save plain tensors."

# What torch's own safe reader rebuilds beyond plain tensors: sparse, quantised and nested ones, subclasses. Source:
# torch/_weights_only_unpickler.py `_get_allowed_globals`.
TORCHS_OWN = frozenset({
    *(f"torch._utils._rebuild_{name}" for name in (
        "parameter_with_state", "qtensor", "tensor", "sparse_tensor", "sparse_csr_tensor", "meta_tensor_no_storage",
        "nested_tensor", "wrapper_subclass", "device_tensor_from_numpy", "device_tensor_from_cpu_tensor",
    )),
    *(f"torch.{name}" for name in (
        "Tensor", "QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage",
        "per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
        "per_channel_affine_float_qparams", "qint8", "quint8", "qint32", "quint4x2", "quint2x4",
    )),
    "torch._tensor._rebuild_from_type_v2", "torch.serialization._get_layout", "torch.nn.parameter.Parameter",
    "collections.Counter", "builtins.bytearray", "__builtin__.bytearray",
})  # fmt: skip


class NeedsTorchError(TensorFormatError):
    """A file that is read only by torch's own safe reader, or by none.

    Attributes
    ----------
    names : tuple of str
        What it asks for that is no plain data; empty for a view that torch resolves.
    url : str
        The object, where it stands alone; '' for one of several that are one checkpoint.
    """

    names: tuple[str, ...] = ()
    url: str = ""


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
        # A sixth field is of the format before torch 1.6: a storage that is a part of another one.
        kind, storage, key, _location, count, *part = identity
        if kind != "storage" or not isinstance(storage, _Storage) or not isinstance(key, str) or type(count) is not int:
            raise TypeError
        if part not in ([], [None]):
            raise TypeError
        size = count * ITEM_BYTES[storage.dtype]
        if self.size_bytes.setdefault(key, size) != size:
            raise ValueError(key)
        return _Storage(key, storage.dtype)


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """What a pickle says.

    Attributes
    ----------
    tensors : mapping of str to Tensor
        By dotted name.
    size_bytes : mapping of str to int
        What it says of the storages, in the order of their first use.
    pickle_bytes : int
        How long the pickle is.
    """

    tree: Any
    tensors: Mapping[str, Tensor]
    size_bytes: Mapping[str, int]
    pickle_bytes: int


def examine(pickle: bytes) -> tuple[int, dict[str, None]]:
    """Return how many tensors a pickle describes, and the names in it that would not be read.

    Raises
    ------
    TensorFormatError
        When it is read by nobody, whatever the names.
    """
    machine = Machine(FUNCTIONS, CONSTANTS, _Storages())
    try:
        tree = machine.run(pickle)
        return 0 if machine.unknown else len(flatten(tree)), machine.unknown
    except GpuExtError:
        if not machine.unknown:
            raise
    return 0, machine.unknown


def describe(pickle: bytes, shown: str) -> Description:
    """Read a pickle with a machine that runs nothing.

    Raises
    ------
    TensorFormatError
        When it is damaged, or needs code; names what it asks for.
    """
    storages = _Storages()
    machine = Machine(FUNCTIONS, CONSTANTS, storages)
    try:
        tree = machine.run(pickle)
        tensors = {} if machine.unknown else flatten(tree)
    except GpuExtError as error:
        if not machine.unknown:
            hint = error.hint or "Write or copy the file again."
            kind = NeedsTorchError if isinstance(error, NeedsTorchError) else TensorFormatError
            raise kind(f"{shown}: {error.message}", hint=hint) from None
    if machine.unknown:
        names = ", ".join(printable(name[:100]) for name in list(machine.unknown)[:8])
        more = " …" if len(machine.unknown) > 8 else ""
        needs = NeedsTorchError(
            f"{shown} asks for more than plain tensors ({names}{more}); nothing of it was run or loaded.",
            hint=_REBUILT if TORCHS_OWN.issuperset(machine.unknown) else SAVE_AGAIN,
        )
        needs.names = tuple(machine.unknown)
        raise needs
    return Description(tree, tensors, storages.size_bytes, machine.size_bytes)


def check_sizes(storages: Mapping[str, Stored], declared: Mapping[str, int], shown: str) -> None:
    """Refuse storages whose length is not the one that the pickle declares.

    Raises
    ------
    TensorFormatError
    """
    for key, span in storages.items():
        # A storage of bytes that was seen as a wider type is declared without its odd end.
        size = declared.get(key, -1)
        if not 0 <= span.size_bytes - size < max(ITEM_BYTES.values()):
            raise TensorFormatError(
                f"{shown}: storage {key[:200]!r} has {span.size_bytes:,} bytes, {size:,} are declared.",
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
        raise NeedsTorchError("It holds a conjugated or negated view.", hint=_REBUILT)
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


def _complex(real: float, imaginary: float) -> complex:
    return complex(float(real), float(imaginary))


def _counter(counts: Any) -> Counter[Any]:
    # What a schedule of several milestones keeps.
    return Counter({check_key(key): count for key, count in dict(counts).items()})


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.Counter": _counter,
    "collections.OrderedDict": lambda pairs=(): OrderedDict((check_key(key), value) for key, value in pairs),
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
CONSTANTS = {
    **{f"torch.{name}": Value("dtype", name) for name in ITEM_BYTES},
    **{f"torch.{name}Storage": _Storage("", dtype) for name, dtype in _STORAGE_DTYPES.items()},
    "torch.storage.UntypedStorage": _Storage("", "uint8"),
}
