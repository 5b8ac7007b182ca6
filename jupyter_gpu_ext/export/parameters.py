"""The cell tagged `parameters`: its plain assignments become options of the script."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from jupyter_gpu_ext.commands.word import quote
from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.spans import replace
from jupyter_gpu_ext.job.parameters import RESERVED
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_gpu_ext.export.pieces import Code
    from jupyter_gpu_ext.export.spans import Node

_CONSTANT = (
    ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop,
    ast.expr_context,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One parameter: source of its default, its annotation and the comment."""

    name: str
    default: str
    annotation: str
    help: str

    def to_python(self, function: str) -> str:
        """Return the call that makes the parameter."""
        more = [f"annotation={quote(self.annotation)}"] if self.annotation else []
        more += [f"help={quote(self.help)}"] if self.help else []
        return f"{function}({', '.join([quote(self.name), self.default, *more])})"


def take(code: Code, given: str, known: set[str]) -> tuple[list[Declared], Code]:
    """Return what the cell declares, and the cell with each value taken from `given`.

    Parameters
    ----------
    given : str
        What the script calls the values that it was started with.
    known : set of str
        The parameters of earlier cells.

    Raises
    ------
    ExportRefusedError
        For a name that is assigned twice, or that is an option of every script.
    """
    comments, found = _comments(code.text), list[Declared]()
    changes: list[tuple[Node, str]] = []
    for name, statement, value in _assignments(ast.parse(code.text)):
        line = code.lines[statement.lineno - 1]
        if name in known or any(one.name == name for one in found):
            _refuse(code, line, f"The parameter {name} is assigned twice.", "Assign it once.")
        if name in RESERVED:
            _refuse(code, line, f"Every script has an option {name}.", "Give the parameter another name.")
        annotation = ast.unparse(statement.annotation) if isinstance(statement, ast.AnnAssign) else ""
        note = comments.get(statement.end_lineno or 0, "") or comments.get(-statement.lineno + 1, "")
        source = ast.unparse(value)
        found.append(Declared(name=name, default=source, annotation=annotation, help=printable(note)))
        changes.append((value, f"{given}.{name}"))
    return found, code.changed(changes)


def with_values(source: str, values: Mapping[str, str]) -> str:
    """Return a cell's source with other defaults, each as Python."""
    changes: list[tuple[Node, str]] = [
        (value, values[name]) for name, _, value in _assignments(ast.parse(source)) if name in values
    ]
    return replace(source, changes)


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.Assign | ast.AnnAssign, ast.expr]]:
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(name)], value=value)
                | ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value)
            ) if _is_constant(value):
                yield name, statement, value


def _is_constant(value: ast.expr) -> bool:
    """Whether the value is the same whenever it is made: literals, and arithmetic with them."""
    return all(isinstance(node, _CONSTANT) for node in ast.walk(value))


def _comments(text: str) -> Mapping[int, str]:
    """Return the comment of each line; of a line that is only a comment under minus its number."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            alone = not token.line[: token.start[1]].strip()
            found[-token.start[0] if alone else token.start[0]] = token.string.lstrip("#: ").rstrip()
    return found


def _refuse(code: Code, line: int, message: str, hint: str) -> NoReturn:
    raise ExportRefusedError(f"Cell {code.number}, line {line}: {message}", hint=hint)
