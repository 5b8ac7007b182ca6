"""Which names of a script depend on the clock or on chance that nobody seeds: they differ from run to run."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from jupyter_gpu_ext.job.where import cell_of

if TYPE_CHECKING:
    from collections.abc import Iterator

# By what they are called on, '' where that does not matter.
_CALLS = {
    "time": ("time", "time_ns"),
    "os": ("urandom", "getpid"),
    "jg": ("plan", "cp", "measure", "save"),
    "": (
        "perf_counter", "perf_counter_ns", "monotonic", "process_time", "now", "utcnow", "today", "uuid1", "uuid4",
        "urandom", "getpid", "mkdtemp", "elapsed_time", "memory_allocated", "max_memory_allocated",
        "memory_reserved", "max_memory_reserved",
    ),
}  # fmt: skip


def bound(script: str) -> set[str]:
    """Return the global names that a notebook's statements bind in its script; functions and modules are none."""
    return {name for name, _ in _bindings(script)}


def unsteady(script: str) -> set[str]:
    """Return those that the clock or unseeded chance decides, directly or through others."""
    pairs = list(_bindings(script))
    found = {name for name, value in pairs if value is not None and _reads_clock(value)}
    while True:
        more = {
            name
            for name, value in pairs
            if value is not None
            and name not in found
            and any(isinstance(node, ast.Name) and node.id in found for node in ast.walk(value))
        }
        if not more:
            return found
        found |= more


def _reads_clock(value: ast.expr) -> bool:
    for node in ast.walk(value):
        match node:
            case ast.Call(func=ast.Attribute(value=place, attr=name)):
                module = place.id if isinstance(place, ast.Name) else ""
                if name in _CALLS[""] or name in _CALLS.get(module, ()):
                    return True
            case ast.Call(func=ast.Name(id=name)) if name in _CALLS[""]:
                return True
            # `first(jg.save)(…)` gives a receipt with its seconds.
            case ast.Attribute(value=ast.Name(id="jg"), attr=name) if name in _CALLS["jg"]:
                return True
    return False


def _bindings(script: str) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names that are bound at module level and in `main()`, each with what it is bound to."""
    for statement in ast.parse(script).body:
        match statement:
            case (
                ast.FunctionDef(name="main" | "_main", body=body)
                | ast.AsyncFunctionDef(name="main" | "_main", body=body)
            ):
                names = {name for node in body if isinstance(node, ast.Global) for name in node.names}
                yield from (pair for node in body for pair in _of(node) if pair[0] in names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
                continue
            # The guard has the statements of some notebooks; what came from no cell is the script's own.
            case _ if isinstance(statement, ast.If) or cell_of(script, statement.lineno):
                yield from _of(statement)


def _of(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return
    for node in ast.walk(statement):
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((name, value) for target in targets for name in _names(target))
            case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
                yield from ((name, value) for name in _names(target))
            case ast.NamedExpr(target=target, value=value):
                yield from ((name, value) for name in _names(target))
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                yield from ((name, value) for name in _names(target))
            case ast.withitem(optional_vars=ast.expr() as target, context_expr=value):
                yield from ((name, value) for name in _names(target))


def _names(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Starred(value=inner):
            yield from _names(inner)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for one in items:
                yield from _names(one)
