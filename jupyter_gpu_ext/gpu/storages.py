"""The memory of this process's tensors: each storage once, with the names that lead to it and who keeps it."""

from __future__ import annotations

import re
import sys
import weakref
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu import last_error
from jupyter_gpu_ext.gpu.named import named_tensors
from jupyter_gpu_ext.gpu.spares import SPARES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# IPython's own names: its inputs, its history, and each output a second time.
_OUTPUTS = re.compile(r"Out|_oh|_{1,3}|_\d+")
_NOT_THEIRS = re.compile(r"In|_ih|_dh|_i{1,3}|_i\d+|__\w+__|exit|quit|get_ipython|open")
_MOST_NAMES = 5


class Keeper(StrEnum):
    """Who keeps a tensor alive; the two last are also rungs of `gpu.release`."""

    VARIABLE = "variable"
    TRACEBACK = "traceback"
    OUTPUTS = "outputs"


@dataclass(slots=True, kw_only=True)
class Storage:
    """A piece of memory that tensors share.

    Attributes
    ----------
    names : list of str
        The first ways that lead to it.
    dtype, shape : str, tuple of int
        Of the largest tensor over it.
    """

    device: str
    size_bytes: int
    dtype: str = ""
    shape: tuple[int, ...] = ()
    names: list[str] = field(default_factory=list)
    keepers: set[Keeper] = field(default_factory=set)
    tensors: list[weakref.ref[Any]] = field(default_factory=list)
    _largest: int = -1

    @property
    def is_alive(self) -> bool:
        """Whether one of the tensors still exists."""
        return any(ref() is not None for ref in self.tensors)

    def add(self, name: str, tensor: Any, keeper: Keeper) -> None:
        """Note one way that leads to it."""
        self.keepers.add(keeper)
        self.tensors.append(weakref.ref(tensor))
        if name not in self.names and len(self.names) < _MOST_NAMES:
            self.names.append(name)
        if tensor.numel() > self._largest:
            self._largest = tensor.numel()
            self.dtype, self.shape = str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)


def find(namespace: Mapping[str, Any]) -> dict[tuple[str, int], Storage]:
    """Return the storages that the notebook's variables, its outputs and the last error lead to, by device and address.

    Parameters
    ----------
    namespace : mapping
        The notebook's or the program's global variables.
    """
    found: dict[tuple[str, int], Storage] = {}
    for keeper, roots in (
        (Keeper.VARIABLE, _variables(namespace)),
        (Keeper.OUTPUTS, chain(_outputs(namespace), _spares(Keeper.OUTPUTS))),
        (Keeper.TRACEBACK, chain(last_error.variables(last_error.last_error()), _spares(Keeper.TRACEBACK))),
    ):
        for name, tensor in named_tensors(roots):
            if (place := _place(tensor)) is not None:
                storage = found.setdefault(place[0], Storage(device=place[0][0], size_bytes=place[1]))
                storage.add(name, tensor, keeper)
    return found


def unnamed(known: Mapping[tuple[str, int], Storage]) -> dict[tuple[str, int], Storage]:
    """Return the storages that exist beside those: held by something that no name leads to.

    Every object that Python knows is looked at, about 0.1 s a million.
    """
    import gc

    torch: Any = sys.modules.get("torch")
    found: dict[tuple[str, int], Storage] = {}
    for one in gc.get_objects() if hasattr(torch, "Tensor") else ():
        if issubclass(type(one), torch.Tensor) and (place := _place(one)) is not None and place[0] not in known:
            storage = found.setdefault(place[0], Storage(device=place[0][0], size_bytes=place[1]))
            storage.add("", one, Keeper.VARIABLE)
    return found


def is_output(name: str) -> bool:
    """Tell whether a name of the notebook is one that its outputs got by themselves."""
    return _OUTPUTS.fullmatch(name) is not None


def _place(tensor: Any) -> tuple[tuple[str, int], int] | None:
    torch: Any = sys.modules["torch"]
    try:
        if tensor.layout is not torch.strided or tensor.device.type == "meta":
            return None
        memory = tensor.untyped_storage()
        size = memory.nbytes()
        return ((str(tensor.device), memory.data_ptr()), size) if size else None
    except (RuntimeError, NotImplementedError):
        # A tensor without memory of its own: a wrapper's, or one that is being made up by a compiler.
        return None


def _variables(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(namespace.items()):
        if not is_output(name) and not _NOT_THEIRS.fullmatch(name):
            yield name, value


def _outputs(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    outputs = namespace.get("Out")
    if isinstance(outputs, dict):
        yield from ((f"Out[{number}]", value) for number, value in list(outputs.items()))
    yield from ((name, namespace[name]) for name in ("_", "__", "___") if name in namespace)


def _spares(keeper: Keeper) -> Iterator[tuple[str, Any]]:
    for spare in list(SPARES.values()):
        if spare.rung == keeper:
            yield from spare.values()
