"""Every tensor that values lead to, with the names that a person would write to get at it."""

from __future__ import annotations

import sys
from collections import deque
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_VALUES = 1_000_000
_LONGEST_KEY = 40
# What leads to no tensor, or to everything that there is.
_LEAVES = (
    str, bytes, bytearray, int, float, complex, type(None), type, ModuleType, FunctionType, BuiltinFunctionType,
    MethodType,
)  # fmt: skip
_MACHINERY = frozenset({"IPython", "ipykernel", "traitlets", "logging", "threading", "asyncio", "zmq", "weakref"})


def named_tensors(roots: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield a name and a tensor for each way that leads to one, the nearest first; nothing before torch is imported.

    Values inside dicts, sequences, sets, models, optimizers and objects are found; each of those is entered once.
    A namespace may change meanwhile: another thread may be running a cell.

    Parameters
    ----------
    roots : iterable of (str, value)
        Where to begin, by name.
    """
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "optim"):
        return
    waiting, entered = deque(roots), dict[int, Any]()
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        name, value = waiting.popleft()
        kind = type(value)
        if issubclass(kind, torch.Tensor):
            yield name, value
        if id(value) in entered or issubclass(kind, _LEAVES) or kind.__module__.partition(".")[0] in _MACHINERY:
            continue
        # Kept, so that no other value gets its identity.
        entered[id(value)] = value
        waiting.extend(_inside(torch, name, value))


def _inside(torch: Any, name: str, value: Any) -> Iterable[tuple[str, Any]]:
    kind = type(value)
    if issubclass(kind, torch.Tensor):
        # Asking a tensor that is no leaf for its gradient warns.
        return [(f"{name}.grad", value.grad)] if value.is_leaf and value.grad is not None else []
    if issubclass(kind, torch.optim.Optimizer):
        return _of_optimizer(name, value)
    if issubclass(kind, dict):
        return [(f"{name}[{_key(key)}]", one) for key, one in list(value.items())]
    if issubclass(kind, (list, tuple, set, frozenset, deque)):
        return [(f"{name}[{index}]", one) for index, one in enumerate(list(value))]
    attributes = _attributes(value)
    if issubclass(kind, torch.nn.Module):
        for own in ("_parameters", "_buffers", "_modules"):
            attributes |= attributes.pop(own, None) or {}
    return [(f"{name}.{attribute}", one) for attribute, one in attributes.items()]


def _of_optimizer(name: str, optimizer: Any) -> list[tuple[str, Any]]:
    """Return its state by the numbers that its `state_dict` gives the parameters; those are their model's."""
    order = [one for group in optimizer.param_groups for one in group["params"]]
    numbers = {id(one): index for index, one in enumerate(order)}
    return [(f"{name}.state[{numbers.get(id(one), '…')}]", state) for one, state in list(optimizer.state.items())]


def _attributes(value: Any) -> dict[str, Any]:
    try:
        # Whatever answers for another object is not asked: that might do work.
        found = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def _key(key: Any) -> str:
    if isinstance(key, (str, int, bool, float)):
        text = repr(key)
        return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}…"
    return "…"
