"""What one statement of a notebook's top level binds there, mentions, and reads while it is defined."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from jupyter_gpu_ext.export.names import bindings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
# What looks at the namespace that it is called in, if no other is given: each with the most arguments of that kind.
_LOOKING = {"locals": 0, "vars": 0, "dir": 0, "eval": 1, "exec": 1}


def bound(statement: ast.stmt) -> set[str]:
    """Return the names that the statement binds or deletes in the scope that it stands in."""
    found = {binding.name for binding in bindings(ast.Module([statement], []))} - {"*"}
    for node in running(statement):
        if isinstance(node, ast.NamedExpr):
            # Also in a comprehension it binds outside of it.
            found.add(node.target.id)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
            found.add(node.id)
    return found


def mentioned(statement: ast.AST) -> set[str]:
    """Return every name in the statement, in whatever scope."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def global_names(tree: ast.AST) -> set[str]:
    """Return what `global` statements anywhere in `tree` name."""
    return {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}


def running(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when the statement does: all but the bodies of functions."""
    return _walk(statement, lambda node: isinstance(node, FUNCTIONS))


def inside(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of the scope that the statement stands in: no function's body and no class's."""
    return _walk(statement, lambda node: isinstance(node, (*FUNCTIONS, ast.ClassDef)))


def stars(statement: ast.stmt) -> bool:
    """Whether the statement is `from … import *`, or has it inside."""
    return any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in inside(statement))


def awaits(statement: ast.stmt) -> bool:
    """Whether the statement needs a running event loop: it awaits, or makes a task, in its own scope."""
    for node in inside(statement):
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return True
        if isinstance(node, ast.comprehension) and node.is_async:
            return True
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("asyncio"), attr=name)) if name in _ON_A_LOOP:
                return True
    return False


_ON_A_LOOP = frozenset(("create_task", "ensure_future", "get_running_loop", "current_task", "all_tasks"))


def looks_around(statement: ast.stmt) -> str:
    """Return the call by which the statement looks at the namespace that it runs in, or ''.

    In a function that is another one than in a notebook.
    """
    for node in inside(statement):
        match node:
            case ast.Call(func=ast.Name(name), args=args, keywords=[]) if len(args) <= _LOOKING.get(name, -1):
                # `eval` of an expression finds global names from a function as well.
                if name != "eval":
                    return f"{name}()"
    return ""


def _walk(statement: ast.AST, closed: Callable[[ast.AST], bool]) -> Iterator[ast.AST]:
    waiting = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += _outer(node) if closed(node) else ast.iter_child_nodes(node)


def _outer(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a function or a class that run in the scope around it."""
    match node:
        case ast.Lambda(args=args):
            return _defaults(args)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            notes = [one.annotation for one in ast.walk(node.args) if isinstance(one, ast.arg) and one.annotation]
            return [*node.decorator_list, *_defaults(node.args), *notes, *([node.returns] if node.returns else [])]
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords]
    return []


def _defaults(args: ast.arguments) -> list[ast.AST]:
    return [one for one in (*args.defaults, *args.kw_defaults) if one is not None]
