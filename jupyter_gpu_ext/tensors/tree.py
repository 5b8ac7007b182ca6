"""Nested containers with tensors at the leaves: names for the leaves, new values for them."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.tensors.models import MOST_TENSORS, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_DEEPEST = 100
# A list that holds one list twice, and so on a hundred deep, has 2**100 leaves.
_MOST_NODES, _MOST_CONTAINERS = 4_000_000, 500_000
_MOST_NAME_CHARS = 16 << 20
_PLAIN = (type(None), bool, int, float, complex, str, bytes)

# The keys from a leaf up to the top; a name is only written out where a tensor is.
_Path = tuple["_Path", Any] | tuple[()]


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
        For containers deeper or larger than any library writes, and for leaves that are no data.
    """
    found: dict[str, Tensor] = {}
    used: Counter[str] = Counter()
    room = _MOST_NAME_CHARS
    for path, leaf in _Walk().leaves(tree, (), 0):
        name = unique = _name(path)
        while unique in found:
            # Counted a name, so that many twins are not tried one after the other.
            used[name] += 1
            unique = f"{name}#{used[name] + 1}"
        found[unique] = leaf
        room -= len(unique)
        if len(found) > MOST_TENSORS or room < 0:
            raise _strange(f"It declares more than {MOST_TENSORS:,} tensors, or names too long to keep.")
    return found


class _Walk:
    def __init__(self) -> None:
        self._nodes = self._containers = 0

    def leaves(self, node: Any, path: _Path, depth: int) -> Iterator[tuple[_Path, Tensor]]:
        self._containers += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES or self._containers > _MOST_CONTAINERS:
            raise _strange("The containers inside are nested too deeply.")
        if isinstance(node, Tensor):
            yield path, node
        elif isinstance(node, (dict, list, tuple)):
            for key, value in _items(node):
                self._nodes += 1
                if isinstance(value, Tensor):
                    yield (path, key), value
                elif not isinstance(value, _PLAIN):
                    yield from self.leaves(value, (path, key), depth + 1)
        elif isinstance(node, (set, frozenset)):
            if any(isinstance(item, Tensor) for item in node):
                raise _strange("It holds a set of tensors, which have no names.")
        elif not isinstance(node, (*_PLAIN, Value)):
            raise _strange("It holds a bare storage or a function, where only data can stand.")


def _items(node: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterable[tuple[Any, Any]]:
    if not isinstance(node, dict):
        return enumerate(node)
    # A module's state_dict has an attribute, its table of versions.
    return [*node.items(), *vars(node).items()] if isinstance(node, OrderedDict) else node.items()


def _name(path: _Path) -> str:
    keys = []
    while path:
        path, key = path
        keys.append(str(key))
    return ".".join(reversed(keys)) or "value"


def _strange(message: str) -> TensorFormatError:
    return TensorFormatError(message, hint="This is no checkpoint.")


def replace(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return a copy of the tree, each `Tensor` and `Value` changed; what was shared stays shared."""
    return _Copy(change).of(tree)


class _Copy:
    def __init__(self, change: Callable[[Any], Any]) -> None:
        self._change = change
        self._done: dict[int, Any] = {}

    def of(self, node: Any) -> Any:
        if isinstance(node, _PLAIN):
            return node
        if id(node) not in self._done:
            self._done[id(node)] = self._fresh(node)
        return self._done[id(node)]

    def _fresh(self, node: Any) -> Any:
        if isinstance(node, (Tensor, Value)):
            return self._change(node)
        if isinstance(node, (tuple, set, frozenset)):
            return type(node)(self.of(item) for item in node)
        copy: Any = OrderedDict() if isinstance(node, OrderedDict) else type(node)()
        # Known before its items are, in case one of them is the container itself.
        self._done[id(node)] = copy
        if isinstance(node, list):
            copy.extend(self.of(item) for item in node)
        else:
            for key, value in node.items():
                # Not `update`, which for a Counter would count.
                copy[self.of(key)] = self.of(value)
            if isinstance(node, OrderedDict):
                vars(copy).update((key, self.of(value)) for key, value in vars(node).items())
        return copy
