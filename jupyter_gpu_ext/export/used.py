"""Which URLs a script names, and which of them it writes: what a job needs of storage."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.datasets import pattern as patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://([^\r\n]*)")
# Calls that write, by which of their arguments names the place.
_WRITERS = {"save": 1, "cp": 1, "rm": 0, "Checkpointer": 0, "LogSink": 0, "publish": 1}
_OURS = "jupyter_gpu_ext"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A URL that stands in a script.

    Attributes
    ----------
    scheme, key : str
        Of files by a glob, the folder that all of them lie below.
    whole : bool
        The script may add nothing to it: it is no beginning of an f-string, and no default that an option replaces.
    writes : bool
        It is where something is written.
    """

    scheme: str
    key: str
    whole: bool
    writes: bool

    @property
    def url(self) -> str:
        """The URL."""
        return f"{self.scheme}://{self.key}"


def named(script: str) -> tuple[Named, ...]:
    """Return the URLs of a script in the order of its lines, each once."""
    tree = ast.parse(script)
    written, globs = _inside(tree, _written(tree)), _inside(tree, _globs(tree))
    starts = {id(node.values[0]) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and node.values}
    joined = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for inner in node.values}
    found = dict[tuple[str, str, bool], Named]()
    for node in sorted(_strings(tree), key=lambda one: (one.lineno, one.col_offset)):
        match = _URL.fullmatch(str(node.value))
        if match is None or (id(node) in joined and id(node) not in starts):
            continue
        key = patterns.parse(match[2]).prefix if id(node) in globs and patterns.is_glob(match[2]) else match[2]
        one = Named(scheme=match[1], key=key, whole=id(node) not in joined, writes=id(node) in written)
        found.setdefault((one.scheme, one.key, one.writes), one)
    return tuple(found.values())


def _strings(tree: ast.AST) -> Iterator[ast.Constant]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _inside(tree: ast.Module, places: Iterable[ast.expr]) -> set[int]:
    """Return the ids of all that is in these arguments, and in what the variables are assigned that they name."""
    roots = list(places)
    names = {one for node in roots for one in _names(node)}
    return {id(inner) for node in (*roots, *_values(tree, names)) for inner in ast.walk(node)}


def _globs(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the arguments that name files by a glob."""
    for call, name in _calls(tree):
        if name == "files":
            yield from call.args[:1]
            yield from (one.value for one in call.keywords if one.arg == "url")


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls of our own functions, by their names."""
    ours, taken = _aliases(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match _done(node.func):
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in ours:
                yield node, name
            case ast.Name(id=name) if name in taken:
                yield node, taken[name]


def _written(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the arguments that name where a call writes."""
    for call, name in _calls(tree):
        yield from _place(call, name)
    for node in ast.walk(tree):
        function = _done(node.func) if isinstance(node, ast.Call) else None
        # pandas, xarray and their like: to_parquet, to_zarr.
        if isinstance(node, ast.Call) and isinstance(function, ast.Attribute) and function.attr.startswith("to_"):
            yield from node.args[:1]


def _done(function: ast.expr) -> ast.expr:
    """Return the function that `first(function)` is for."""
    match function:
        case ast.Call(func=ast.Name(), args=[ast.Attribute() | ast.Name() as inner], keywords=[]):
            return inner
    return function


def _place(call: ast.Call, name: str) -> Iterator[ast.expr]:
    if name == "open":
        modes = [*call.args[1:2], *(one.value for one in call.keywords if one.arg == "mode")]
        if any(isinstance(one, ast.Constant) and set("wxa") & set(str(one.value)) for one in modes):
            yield from call.args[:1]
    elif name in _WRITERS:
        yield from call.args[_WRITERS[name] : _WRITERS[name] + 1]
        yield from (one.value for one in call.keywords if one.arg in ("url", "target"))


def _aliases(tree: ast.Module) -> tuple[set[str], dict[str, str]]:
    modules, names = set[str](), dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {one.asname or one.name for one in node.names if one.name == _OURS}
        elif isinstance(node, ast.ImportFrom) and node.module == _OURS:
            names |= {one.asname or one.name: one.name for one in node.names}
    return modules, names


def _names(node: ast.expr) -> Iterator[str]:
    """Yield the variables that a place may begin with: `out`, `f"{out}/x"`, `out + "/x"`, `args.out`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.JoinedStr(values=[ast.FormattedValue(value=value), *_]):
            yield from _names(value)
        case ast.BinOp(left=left):
            yield from _names(left)


def _values(tree: ast.Module, names: Iterable[str]) -> Iterator[ast.expr]:
    """Yield what is assigned to the names; a parameter's default is."""
    wanted = set(names)
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in wanted:
                yield value
            case ast.Call(func=ast.Name(), args=[ast.Constant(value=str(name)), ast.Constant() as value, *_]):
                if name in wanted:
                    yield value
