"""What a person should know of a notebook before its script runs elsewhere; nothing of it stops the export."""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from jupyter_gpu_ext.export.calm import root
from jupyter_gpu_ext.export.names import bindings
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jupyter_gpu_ext.export.notebook import Cell
    from jupyter_gpu_ext.export.pieces import Code

_HOME = re.compile(r"(?:^|[\s'\"=:])(/home/[^/\s]+|/Users/[^/\s]+|/root|[A-Za-z]:[\\/]Users[\\/][^\\/\s]+)(?:[\\/]|$)")
_WIDGETS = frozenset(("ipywidgets", "tqdm.notebook", "tqdm.autonotebook", "bqplot", "ipympl", "IPython"))


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Remark:
    """One thing to know.

    Attributes
    ----------
    cell, line : int
        Counted from 1; line 0 is the cell as a whole.
    """

    cell: int
    line: int = 0
    text: str

    def __str__(self) -> str:
        place = f"Cell {self.cell}, line {self.line}" if self.line else f"Cell {self.cell}"
        return f"{place}: {self.text}"


def look(cells: Sequence[Cell], code: Mapping[int, Code], ran: Mapping[int, str] | None = None) -> tuple[Remark, ...]:
    """Return the remarks in the order of the cells.

    Parameters
    ----------
    code : mapping
        The Python of the code cells that the script has, by number.
    ran : mapping of int to str, optional
        What the kernel ran, by execution count; without it nobody knows whether a cell was edited afterwards.
    """
    kept = [cell for cell in cells if cell.number in code]
    found = [*_order(kept), *_edited(kept, ran or {}), *_left_out(cells, code)]
    for one in code.values():
        for node in ast.walk(ast.parse(one.text)):
            found += [Remark(cell=one.number, line=one.lines[line - 1], text=text) for line, text in _of_node(node)]
    return tuple(sorted(set(found)))


def _order(cells: Sequence[Cell]) -> Iterator[Remark]:
    counted = [(cell, cell.count) for cell in cells if cell.count]
    for (before, first), (cell, second) in pairwise(counted):
        if second < first:
            text = f"it ran before cell {before.number}; the script runs it after. Restart and run all to see that."
            yield Remark(cell=cell.number, text=text)
    if counted:
        for cell in cells:
            if not cell.count and cell.source.strip():
                yield Remark(cell=cell.number, text="it was not run since it was written; the script runs it.")


def _edited(cells: Sequence[Cell], ran: Mapping[int, str]) -> Iterator[Remark]:
    """Tell of cells that are not what ran under their count; a count that the kernel does not know tells nothing."""
    sources = {_plain(cell.source) for cell in cells}
    for cell in cells:
        source = _plain(ran.get(cell.count, cell.source))
        if source == _plain(cell.source):
            continue
        # A kernel that was started anew counts from 1 again, and the notebook keeps the counts of before.
        anew = source in sources or sum(one.count == cell.count for one in cells) > 1
        text = "it was not run since the kernel was started" if anew else "it was edited since it ran"
        yield Remark(cell=cell.number, text=f"{text}; the script runs it as it is now.")


def _plain(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _left_out(cells: Sequence[Cell], code: Mapping[int, Code]) -> Iterator[Remark]:
    """Tell of names that only cells bind which the script leaves out."""
    trees = {one.number: ast.parse(one.text) for one in code.values()}
    bound = {binding.name for tree in trees.values() for binding in bindings(tree, deep=True)}
    if "*" in bound:
        return
    away = {name: cell.number for cell in cells if cell.left_out for name in _names(cell.source)}
    for number, tree in trees.items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Name)
                and node.id in away
                and node.id not in bound
                and not hasattr(builtins, node.id)
            ):
                text = f"{node.id} is bound only in cell {away[node.id]}, which the script leaves out."
                yield Remark(cell=number, line=code[number].lines[node.lineno - 1], text=text)


def _names(source: str) -> set[str]:
    # A cell that is left out may hold anything.
    try:
        return {binding.name for binding in bindings(ast.parse(source))}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"(?m)^(?:def |class )?([^\W\d]\w*)\s*(?:=[^=]|\(|:)", source))


def _of_node(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Constant(value=str(text)) if found := _HOME.search(text):
            yield node.lineno, f"{printable(found.group(1))} is a person's folder; the job may have none of that name."
        case ast.Import(names=names):
            yield from ((node.lineno, _widget(one.name)) for one in names if _is_widget(one.name))
        case ast.ImportFrom(module=str(name), names=names):
            modules = [name, *(f"{name}.{one.name}" for one in names)]
            yield from ((node.lineno, _widget(one)) for one in modules if _is_widget(one))
        case ast.Call(args=[file, *_]) if _runs_file(node):
            yield node.lineno, f"the script runs {printable(ast.unparse(file))}; keep that file beside it."
        case ast.Call(func=ast.Attribute(attr="show") as function, args=[]) if root(function) in ("plt", "pyplot"):
            yield node.lineno, f"{ast.unparse(function)}() shows nothing in a job; save the figure."


def files_run(script: str) -> tuple[str, ...]:
    """Return the files that a script runs as `%run` does, without `.py`."""
    calls = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call) and _runs_file(node)]
    texts = [node.args[0].value for node in calls if isinstance(node.args[0], ast.Constant)]
    return tuple(text.removesuffix(".py") for text in texts if isinstance(text, str))


def _runs_file(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id.lstrip("_") == "run_file" and bool(call.args)


def _is_widget(module: str) -> bool:
    return module in _WIDGETS or module.partition(".")[0] in _WIDGETS


def _widget(module: str) -> str:
    return f"{module} is for a notebook; a script shows no widget, and may not have it."
