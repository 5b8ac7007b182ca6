"""Replacing the text of syntax-tree nodes, with everything around them left byte for byte."""

from __future__ import annotations

import ast
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Node = ast.expr | ast.stmt


def replace(text: str, changes: Iterable[tuple[Node, str]]) -> str:
    """Return `text` with the source of each node, none inside another, replaced."""
    data = text.encode()
    # The columns of a syntax tree count UTF-8 bytes, not characters.
    starts = [0, *accumulate(len(line) + 1 for line in data.split(b"\n"))]
    for node, new in sorted(changes, key=lambda change: _start(change[0]), reverse=True):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        data = data[:begin] + new.encode() + data[end:]
    return data.decode()


def indented(text: str, tree: ast.Module) -> str:
    """Return `text`, whose syntax tree is `tree`, as the block of a statement; what is inside a string stays.

    A form feed in front of a line would begin the line anew, and is left out.
    """
    inside = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)))
        for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text.split("\n"), start=1)
    return "\n".join(
        line if number in inside or not line.strip() else "    " + line.lstrip("\f") for number, line in lines
    )


def rest_of_line(text: str, node: Node) -> str:
    """Return what follows `node` on its last line."""
    line = text.encode().split(b"\n")[(node.end_lineno or node.lineno) - 1]
    return line[node.end_col_offset or 0 :].decode().strip()


def _start(node: Node) -> tuple[int, int]:
    return node.lineno, node.col_offset
