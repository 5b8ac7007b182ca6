"""Which names a piece of Python binds, where, and what a place in it can see."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Lambda,
    ast.ClassDef,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


@dataclass(frozen=True, slots=True)
class Binding:
    """A name and where it is bound: line and column; `origin` is the import that binds it, or empty."""

    name: str
    at: tuple[int, int]
    origin: str = ""


def bindings(node: ast.AST, *, deep: bool = False) -> Iterator[Binding]:
    """Yield what the scope of `node` binds, and with `deep` what the scopes inside it bind as well."""
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        child = waiting.pop()
        yield from _bound_by(child)
        if deep or not isinstance(child, SCOPES):
            waiting += ast.iter_child_nodes(child)


def visible(scopes: Iterable[ast.AST], statement: ast.stmt) -> set[str]:
    """Return the names that `scopes` bind before `statement` begins."""
    before = (statement.lineno, statement.col_offset)
    return {binding.name for scope in scopes for binding in bindings(scope) if binding.at < before}


def full_name(origin: str, name: str) -> str:
    """Return the full name of what an import binds to `name`; empty for what is bound otherwise.

    Examples
    --------
    >>> full_name("import numpy.random as r", "r"), full_name("from torch import save", "save")
    ('numpy.random', 'torch.save')
    """
    match origin.split():
        case ["import", module, "as", _]:
            return module
        case ["import", _]:
            return name
        case ["from", module, "import", one, *_]:
            return f"{module}.{one}"
    return ""


def _bound_by(node: ast.AST) -> Iterator[Binding]:
    at = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            yield Binding(name, at)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield Binding(name, at)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield Binding(name, at)
        case ast.MatchMapping(rest=str(name)):
            yield Binding(name, at)
        case ast.Import(names=aliases):
            for alias in aliases:
                name = alias.asname or alias.name.partition(".")[0]
                yield Binding(name, at, f"import {ast.unparse(alias)}")
        case ast.ImportFrom(names=aliases):
            module = "." * node.level + (node.module or "")
            for alias in aliases:
                yield Binding(alias.asname or alias.name, at, f"from {module} import {ast.unparse(alias)}")
