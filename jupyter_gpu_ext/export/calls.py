"""Finding, in Python that IPython has translated, the calls that only a notebook understands."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.export.names import SCOPES

if TYPE_CHECKING:
    from collections.abc import Mapping

# A method of the shell to the number of its text arguments.
_METHODS = {"run_line_magic": 2, "run_cell_magic": 3, "system": 1, "getoutput": 1}
_QUESTIONS = {"%pinfo": "?", "%pinfo2": "??", "%psearch": "?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One `get_ipython().method(…)`.

    Attributes
    ----------
    arguments : tuple of str
        Its texts: a magic's name, line and body, or a shell command.
    statement : ast.stmt
        The statement that it lies in.
    whole : bool
        It is the whole statement: its value is not used.
    assigned : bool
        It is the whole right side of an assignment.
    top : bool
        Its statement is no part of another one.
    scopes : tuple of ast.AST
        The functions and classes that it lies in.
    """

    node: ast.Call
    method: str
    arguments: tuple[str, ...]
    statement: ast.stmt
    whole: bool
    assigned: bool
    top: bool
    scopes: tuple[ast.AST, ...]

    @property
    def magic(self) -> str:
        """The magic's name as it is typed, or '!'."""
        marks = {"run_line_magic": "%", "run_cell_magic": "%%"}
        return f"{marks[self.method]}{self.arguments[0]}" if self.method in marks else "!"

    @property
    def line(self) -> str:
        """The text after the name, or the shell command."""
        return self.arguments[1] if self.method.startswith("run_") else self.arguments[0]

    @property
    def typed(self) -> str:
        """The line about as it was typed."""
        if self.magic in _QUESTIONS:
            return self.line + _QUESTIONS[self.magic]
        return f"!{self.line}" if self.magic == "!" else f"{self.magic} {self.line}".strip()


def find(tree: ast.Module) -> tuple[list[Call], list[ast.Name]]:
    """Return the calls in the order of the text, and each `get_ipython` that is none of them."""
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    calls, others = list[Call](), list[ast.Name]()
    for node in parents:
        if isinstance(node, ast.Name) and node.id == "get_ipython":
            call = _call(node, parents)
            if call is None:
                others.append(node)
            else:
                calls.append(call)
    calls.sort(key=lambda call: (call.node.lineno, call.node.col_offset))
    return calls, others


def _call(name: ast.Name, parents: Mapping[ast.AST, ast.AST]) -> Call | None:
    shell = parents[name]
    method = parents.get(shell)
    node = parents.get(method) if method is not None else None
    match shell, method, node:
        case (
            ast.Call(args=[], keywords=[]),
            ast.Attribute(attr=attr),
            ast.Call(func=func, args=args, keywords=[]),
        ) if func is method and len(args) == _METHODS.get(attr):
            texts = [arg.value for arg in args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            return _placed(node, attr, tuple(texts), parents) if len(texts) == len(args) else None
        case _:
            return None


def _placed(node: ast.Call, method: str, arguments: tuple[str, ...], parents: Mapping[ast.AST, ast.AST]) -> Call:
    above = [parents[node]]
    while above[-1] in parents:
        above.append(parents[above[-1]])
    statement = next(one for one in above if isinstance(one, ast.stmt))
    return Call(
        node=node,
        method=method,
        arguments=arguments,
        statement=statement,
        whole=isinstance(above[0], ast.Expr),
        assigned=isinstance(above[0], ast.Assign | ast.AnnAssign) and above[0].value is node,
        top=isinstance(parents[statement], ast.Module),
        scopes=tuple(one for one in above if isinstance(one, SCOPES)),
    )
