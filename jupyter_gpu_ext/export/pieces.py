"""The Python of a cell, cut into pieces: each the statements of one line, with the comments right above them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.export.scope import inside
from jupyter_gpu_ext.export.spans import indented, replace
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_gpu_ext.export.spans import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the script.

    Attributes
    ----------
    text : str
    cell, line : int
        Where it came from, counted from 1; 0 where it came from no cell.
    """

    text: str
    cell: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The Python of a code cell.

    Attributes
    ----------
    lines : tuple of int
        For each line of `text` the line of the cell that it came from, counted from 1.
    """

    number: int
    text: str
    lines: tuple[int, ...]

    def changed(self, changes: Sequence[tuple[Node, str]]) -> Code:
        """Return the code with the source of each node replaced."""
        return Code(number=self.number, text=replace(self.text, changes), lines=moved(self.lines, changes))

    def stripped(self) -> Code:
        """Return the code without empty lines at its ends."""
        text = self.text.lstrip("\n")
        first = len(self.text) - len(text)
        text = text.rstrip("\n")
        return Code(number=self.number, text=text, lines=self.lines[first : first + text.count("\n") + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some lines of a cell; without statements they are comments and empty lines."""

    lines: tuple[Line, ...]
    statements: tuple[ast.stmt, ...] = ()

    def indented(self) -> tuple[Line, ...]:
        """Return the lines as those of a block."""
        text = "\n".join(line.text for line in self.lines)
        block = indented(text, ast.parse(text)).split("\n")
        return tuple(Line(text=new, cell=old.cell, line=old.line) for new, old in zip(block, self.lines, strict=True))


def moved(lines: tuple[int, ...], changes: Sequence[tuple[Node, str]]) -> tuple[int, ...]:
    """Return where each line came from after the source of each node was replaced."""
    found = list(lines)
    for node, new in sorted(changes, key=lambda change: change[0].lineno, reverse=True):
        end = node.end_lineno or node.lineno
        fewer = end - node.lineno - new.count("\n")
        if fewer > 0:
            del found[end - fewer : end]
        else:
            found[end:end] = [found[end - 1]] * -fewer
    return tuple(found)


def cut(code: Code) -> list[Piece]:
    """Return the pieces of a cell in order; together they are its text."""
    texts = code.text.split("\n")
    lines = [Line(text=text, cell=code.number, line=line) for text, line in zip(texts, code.lines, strict=True)]
    pieces, done = list[Piece](), 0
    for group in _groups(ast.parse(code.text)):
        first = begin = _first_line(group[0]) - 1
        while first > done and texts[first - 1].startswith("#"):
            first -= 1
        pieces += _rest(lines[done:first])
        done = max(one.end_lineno or begin for one in group)
        pieces.append(Piece(lines=tuple(lines[first:done]), statements=group))
    return [*pieces, *_rest(lines[done:])]


def fitted(code: Code, *, in_function: bool) -> Code:
    """Return the code without its own `global`, and for a function without annotations of its names, which are global.

    Neither has a meaning in a notebook's cell.
    """
    changes: list[tuple[Node, str]] = []
    for node in (node for statement in ast.parse(code.text).body for node in inside(statement)):
        if isinstance(node, ast.Global):
            changes.append((node, "pass"))
        elif not in_function or not isinstance(node, ast.AnnAssign) or not node.simple:
            continue
        elif node.value is None:
            changes.append((node, f"pass  # {printable(ast.unparse(node))}"))
        else:
            changes.append((_span(node.target, node.annotation), ast.unparse(node.target)))
    return code.changed(changes) if changes else code


def _groups(tree: ast.Module) -> Iterator[tuple[ast.stmt, ...]]:
    group = list[ast.stmt]()
    for statement in tree.body:
        if group and _first_line(statement) > (group[-1].end_lineno or 0):
            yield tuple(group)
            group = []
        group.append(statement)
    if group:
        yield tuple(group)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(one.lineno for one in decorators)])


def _rest(lines: Sequence[Line]) -> list[Piece]:
    return [Piece(lines=tuple(lines))] if lines else []


def _span(first: ast.expr, last: ast.expr) -> ast.expr:
    span = ast.Constant(None)
    span.lineno, span.col_offset = first.lineno, first.col_offset
    span.end_lineno, span.end_col_offset = last.end_lineno, last.end_col_offset
    return span
