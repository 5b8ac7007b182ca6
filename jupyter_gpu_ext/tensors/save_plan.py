"""What a save will write: the format, the parts in their order, and how long they are; nothing is sent before."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

from jupyter_gpu_ext.errors import BadRequestError, NotInstalledError
from jupyter_gpu_ext.tensors.formats import npy_header, safetensors_header
from jupyter_gpu_ext.tensors.formats.torch_archive import archive
from jupyter_gpu_ext.tensors.sources import NumpySource, TorchSource, storage_bytes
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence, Sized

    import numpy as np

    from jupyter_gpu_ext.tensors.sources import Source

Format = Literal["safetensors", "pt", "npy"]

_FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: Mapping[str, Format] = {
    ".safetensors": "safetensors", ".pt": "pt", ".pth": "pt", ".bin": "pt", ".ckpt": "pt", ".npy": "npy",
}  # fmt: skip
_NOTHING_SENT = "nothing was written"


@dataclass(frozen=True, slots=True, eq=False)
class SavePlan:
    """One object to be written.

    Attributes
    ----------
    parts : callable
        Begins the parts anew: bytes and `Source`s in order. Who drives the generator sends each part's CRC-32
        back.
    checksums : bool
        The parts depend on each other's CRC-32.
    """

    format: Format
    tensor_count: int
    tensor_bytes: int
    parts: Callable[[], Generator[bytes | Sized, int, None]]
    checksums: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes of the object."""
        parts, total = self.parts(), 0
        try:
            part = next(parts)
            while True:
                total += len(part)
                part = parts.send(0)
        except StopIteration:
            return total


def find_format(name: str, wanted: str | None) -> Format:
    """Return the format that `wanted` or the end of an object's name means.

    Raises
    ------
    BadRequestError
        When neither says one.
    """
    for one in _FORMATS:
        if wanted == one:
            return one
    if wanted is not None:
        raise BadRequestError(f"{wanted!r} is no format that is written.", hint=f"One of: {', '.join(_FORMATS)}.")
    suffix = name[name.rfind(".") :].lower()
    if suffix not in _SUFFIXES:
        raise BadRequestError(
            f"{printable(name[-200:])} does not say which format to write.",
            hint="End the name with .safetensors, .pt or .npy, or give the format.",
        )
    return _SUFFIXES[suffix]


def make_plan(value: Any, form: Format) -> SavePlan:
    """Check that the format can hold the value, and lay it out.

    Raises
    ------
    BadRequestError
        When the format cannot hold it; says what can.
    """
    match form:
        case "pt":
            return _torch(value)
        case "safetensors":
            return _safetensors(value)
        case "npy":
            return _npy(value)


def torch_plan(pickled: bytes, sources: Sequence[Source], tensor_count: int) -> SavePlan:
    """Return the plan of an archive: the description, and the bytes of the storages that it names."""
    from jupyter_gpu_ext.tensors.torch_pickle import members

    total = sum(map(len, sources))
    return SavePlan("pt", tensor_count, total, lambda: archive(members(pickled, sources)), checksums=True)


def _torch(value: Any) -> SavePlan:
    if importlib.util.find_spec("torch") is None:
        raise NotInstalledError("Writing .pt needs torch.", hint="Save arrays as .safetensors or .npy.")
    from jupyter_gpu_ext.tensors.torch_pickle import describe

    found = describe(value)
    return torch_plan(found.pickled, [TorchSource(storage_bytes(one)) for one in found.storages], found.tensor_count)


def _safetensors(value: Any) -> SavePlan:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise BadRequestError(
            f".safetensors holds one flat dict of tensors by name, not this {type(value).__name__}; {_NOTHING_SENT}.",
            hint="Save model.state_dict(), or as .pt, which keeps any nesting.",
        )
    described = {name: _described(name, one) for name, one in value.items()}
    _check_shared({name: one for name, one in value.items() if _is_tensor(one)})
    kind = "np" if value and not any(map(_is_tensor, value.values())) else "pt"
    header, order = safetensors_header.make_header(described, kind)
    sources = [_source(value[name], described[name][0]) for name in order]
    return _in_order("safetensors", header, sources)


def _npy(value: Any) -> SavePlan:
    array = _as_array(value) if _is_tensor(value) else value
    if not _is_array(array):
        raise BadRequestError(
            f".npy holds one tensor or array, not this {type(value).__name__}; {_NOTHING_SENT}.",
            hint="Save it as .safetensors (a flat dict of tensors) or .pt (any nesting).",
        )
    if array.dtype.hasobject:
        raise BadRequestError(
            f"The array holds Python objects, which only code can load; {_NOTHING_SENT}.", hint="Save numbers."
        )
    # What lies column by column is written so, from its own memory.
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    header = npy_header.make_header(array.dtype, array.shape, fortran_order=fortran)
    source = TorchSource(value) if _is_tensor(value) else NumpySource(array.T if fortran else array, array.dtype)
    return _in_order("npy", header, [source])


def _in_order(form: Format, header: bytes, sources: Sequence[Source]) -> SavePlan:
    def parts() -> Generator[bytes | Sized, int, None]:
        yield header
        for source in sources:  # noqa: UP028 -- what is sent back would go to the list
            yield source

    return SavePlan(form, len(sources), sum(map(len, sources)), parts)


def _is_tensor(value: Any) -> bool:
    # Who has a tensor has torch; who has none need not wait for it.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_array(value: Any) -> bool:
    import numpy as np

    return isinstance(value, np.ndarray)


def _described(name: str, value: Any) -> tuple[str, tuple[int, ...]]:
    shown = printable(name[:200])
    if not _is_tensor(value) and not _is_array(value):
        raise BadRequestError(
            f"{shown!r} is a {type(value).__name__}, .safetensors holds tensors only; {_NOTHING_SENT}.",
            hint="Flatten it ({'model.w': …}), or save it as .pt, which keeps any nesting.",
        )
    if name == "__metadata__":
        raise BadRequestError(f"A tensor of .safetensors cannot be called {name}; {_NOTHING_SENT}.", hint="Rename it.")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadRequestError(f"{shown!r} is no valid Unicode; {_NOTHING_SENT}.", hint="Rename it.") from None
    dtype = str(value.dtype).removeprefix("torch.") if _is_tensor(value) else value.dtype.name
    _check_dense(shown, value)
    if dtype not in safetensors_header.NAMES:
        raise BadRequestError(
            f"{shown!r} is {dtype}, which .safetensors cannot hold; {_NOTHING_SENT}.",
            hint="Save it as .pt." if _is_tensor(value) else "Convert it, or save it as .npy.",
        )
    return dtype, tuple(value.shape)


def _check_dense(shown: str, value: Any) -> None:
    if _is_tensor(value) and (value.is_sparse or str(value.layout) != "torch.strided" or value.device.type == "meta"):
        what = "has no data" if value.device.type == "meta" else "is sparse"
        raise BadRequestError(f"{shown!r} {what}; {_NOTHING_SENT}.", hint="Save dense tensors: x.to_dense().")


def _check_shared(tensors: Mapping[str, Any]) -> None:
    """Refuse tensors that share bytes: the file would hold them twice, and nobody would know that they were one."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for name, one in tensors.items():
        if one.numel():
            start = one.storage_offset()
            reach = sum((size - 1) * step for size, step in zip(one.shape, one.stride(), strict=True))
            item = one.element_size()
            span = (start * item, (start + reach + 1) * item, name)
            spans.setdefault(one.untyped_storage().data_ptr(), []).append(span)
    for together in spans.values():
        for first, second in pairwise(sorted(together)):
            if second[0] < first[1]:
                names = f"{printable(first[2][:200])!r} and {printable(second[2][:200])!r}"
                raise BadRequestError(
                    f"{names} share memory, which .safetensors cannot say; {_NOTHING_SENT}.",
                    hint="Leave one of them out or clone() it, or save as .pt, which keeps tied weights tied.",
                )


def _source(value: Any, dtype: str) -> Source:
    if _is_tensor(value):
        return TorchSource(value)
    return NumpySource(value, value.dtype.newbyteorder("<"))


def _as_array(tensor: Any) -> np.ndarray[Any, Any]:
    """Return an array of no bytes' cost that has the tensor's type and shape."""
    import numpy as np

    _check_dense("The tensor", tensor)
    try:
        kind = tensor.new_empty(0, device="cpu").detach().numpy().dtype
    except TypeError:
        raise BadRequestError(
            f".npy cannot hold {str(tensor.dtype).removeprefix('torch.')}; {_NOTHING_SENT}.",
            hint="Save it as .safetensors or .pt, or convert it: x.float().",
        ) from None
    return np.broadcast_to(np.empty((), kind), tuple(tensor.shape))
