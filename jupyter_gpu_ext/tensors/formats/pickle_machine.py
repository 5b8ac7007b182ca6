"""A pickle machine that builds plain data and nothing else: no import, no call, no code.

It knows the opcodes that torch.save and Python's own containers need. A global is only a name here; what it
stands for is looked up in a table, and a name that is not in the table is kept as evidence.

Format: the comments of Python's Lib/pickletools.py.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import TensorFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# A step costs 1, a container more, a call what it copies: a short pickle can have one long list copied a
# million times. 200,000 tensors need about 10 million.
_MOST_WORK = 20_000_000
_CONTAINER_WORK = 10
_MARK = object()
_IGNORED = frozenset({"PROTO", "FRAME"})
_EMPTY: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
# fmt: off
_VALUES = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Global:
    """`module.name`, not imported."""

    name: str


class Opaque:
    """The result of a call that is not in the table; it only keeps the reading going."""


@dataclass(slots=True, eq=False)
class Record:
    """An object of a known class that holds data only: its attributes, as the pickle sets them."""

    kind: str
    state: Any = None


def check_key(key: Any) -> Any:
    """Return `key` when it can go into a dict or a set at little cost, else raise ValueError.

    Hashing tuples of tuples takes forever without a word, and integers can be chosen to have one hash.
    """
    if type(key) is str or (type(key) is int and abs(key) < 2**64):
        return key
    rest, seen = [key], 0
    while rest:
        one = rest.pop()
        seen += 1
        if isinstance(one, tuple) and len(one) <= 64:
            rest += one
        elif isinstance(one, (tuple, frozenset)) or (isinstance(one, int) and abs(one) >= 2**64):
            raise ValueError
        if seen > 256:
            raise ValueError
    return key


class Machine:
    """Run a pickle over a table of harmless constructors.

    Parameters
    ----------
    functions : mapping
        From 'module.name' to what a call of it gives.
    constants : mapping
        From 'module.name' to the value that stands for it.
    load : callable
        From a persistent id to a value.

    Attributes
    ----------
    unknown : dict
        The globals that are in neither table, in order of appearance.
    size_bytes : int
        How long the pickle was.
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        constants: Mapping[str, Any],
        load: Callable[[Any], Any],
    ) -> None:
        self._functions = functions
        self._constants = constants
        self._load = load
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._work = 0
        self.unknown: dict[str, None] = {}
        self.size_bytes = 0

    def run(self, data: bytes) -> Any:
        """Return the value of the pickle.

        Raises
        ------
        TensorFormatError
            When the bytes are no pickle, or use what plain data does not need.
        """
        try:
            for opcode, argument, position in pickletools.genops(data):
                if opcode.name == "STOP":
                    self.size_bytes = (position or 0) + 1
                    return self._stack.pop()
                self._spend(1)
                self._step(opcode.name, argument)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise TensorFormatError("The pickle inside is not readable.") from error
        raise TensorFormatError("The pickle inside has no end.")

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > _MOST_WORK:
            raise TensorFormatError("The pickle inside has more steps than a checkpoint needs.")

    def _step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _EMPTY:
            self._spend(_CONTAINER_WORK)
            self._stack.append(_EMPTY[name]())
        elif name not in _IGNORED:
            self._do(name, argument)

    def _do(self, name: str, argument: Any) -> None:  # noqa: C901, PLR0912 -- one line an opcode
        stack, memo = self._stack, self._memo
        match name:
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "MARK":
                stack.append(_MARK)
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._pop(int(name[-1]))))
            case "APPEND" | "APPENDS":
                self._extend(self._pop(1) if name == "APPEND" else self._since_mark())
            case "SETITEM" | "SETITEMS":
                self._update(self._pop(2) if name == "SETITEM" else self._since_mark())
            case "ADDITEMS":
                self._add(self._since_mark())
            case "FROZENSET":
                stack.append(frozenset(map(check_key, self._since_mark())))
            case "GLOBAL":
                self._find(argument.replace(" ", ".", 1))
            case "STACK_GLOBAL":
                module, attribute = self._pop(2)
                if not isinstance(module, str) or not isinstance(attribute, str):
                    raise TypeError
                self._find(f"{module}.{attribute}")
            case "BINPERSID":
                stack.append(self._load(stack.pop()))
            case "REDUCE" | "NEWOBJ":
                self._call(*self._pop(2))
            case "BUILD":
                self._build(*self._pop(1))
            case _:
                raise ValueError(name)

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise IndexError
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _since_mark(self) -> list[Any]:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                items = self._stack[at + 1 :]
                del self._stack[at:]
                return items
        raise IndexError

    def _find(self, name: str) -> None:
        if name not in self._constants and name not in self._functions:
            self.unknown[name] = None
        self._stack.append(self._constants.get(name, Global(name)))

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(arguments, tuple) or not isinstance(function, (Global, Opaque)):
            raise TypeError
        self._spend(_CONTAINER_WORK + sum(4 * len(one) for one in arguments if isinstance(one, Sized)))
        known = self._functions.get(function.name) if isinstance(function, Global) else None
        self._stack.append(known(*arguments) if known else Opaque())

    def _build(self, state: Any) -> None:
        target = self._stack[-1]
        if isinstance(target, OrderedDict) and isinstance(state, dict):
            # A module's state_dict carries its table of versions as an attribute.
            vars(target).update({key: value for key, value in state.items() if key == "_metadata"})
        elif isinstance(target, Record):
            target.state = state
        elif not isinstance(target, Opaque):
            raise TypeError

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Opaque):
            raise TypeError

    def _update(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            target.update(zip(map(check_key, pairs[::2]), pairs[1::2], strict=True))
        elif not isinstance(target, Opaque):
            raise TypeError

    def _add(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, set):
            raise TypeError
        target.update(map(check_key, items))
