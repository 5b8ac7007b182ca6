"""Nested containers with tensors at the leaves: names for the leaves, new values for them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.tensors.models import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Value:
    """A small value that only torch has: a dtype, a device, a size."""

    kind: Literal["dtype", "device", "size"]
    payload: Any


def flatten(tree: Any) -> dict[str, Tensor]:
    """Return the tensors by dotted name: `{"model": {"w": …}}` has 'model.w', a list's have its indices.

    Of two leaves with one name ('a.b' beside 'a' with a 'b') the second is called 'a.b#2'.

    Raises
    ------
    TensorFormatError
        For containers nested deeper than any library writes.
    """
    found: dict[str, Tensor] = {}
    for name, leaf in _leaves(tree, "", 0):
        twins = 1
        unique = name
        while unique in found:
            twins += 1
            unique = f"{name}#{twins}"
        found[unique] = leaf
    return found


def _leaves(node: Any, name: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if depth > _DEEPEST:
        raise TensorFormatError("The containers inside are nested too deeply.", hint="This is no checkpoint.")
    if isinstance(node, Tensor):
        yield name or "value", node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _leaves(value, f"{name}.{index}" if name else str(index), depth + 1)


def replace(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return a copy of the tree, each `Tensor` and `Value` changed; what was shared stays shared."""
    return _Copy(change).of(tree)


class _Copy:
    def __init__(self, change: Callable[[Any], Any]) -> None:
        self._change = change
        self._done: dict[int, Any] = {}

    def of(self, node: Any) -> Any:
        if not isinstance(node, (Tensor, Value, dict, list, tuple)):
            return node
        if id(node) not in self._done:
            self._done[id(node)] = self._fresh(node)
        return self._done[id(node)]

    def _fresh(self, node: Any) -> Any:
        if isinstance(node, (Tensor, Value)):
            return self._change(node)
        if isinstance(node, tuple):
            return tuple(self.of(item) for item in node)
        copy: Any = OrderedDict() if isinstance(node, OrderedDict) else type(node)()
        # Known before its items are, in case one of them is the container itself.
        self._done[id(node)] = copy
        if isinstance(node, list):
            copy.extend(self.of(item) for item in node)
        else:
            copy.update((key, self.of(value)) for key, value in node.items())
            if isinstance(node, OrderedDict):
                vars(copy).update(vars(node))
        return copy
