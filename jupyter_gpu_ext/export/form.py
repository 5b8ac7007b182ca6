"""The form of a script: what stands at module level, what in `main()`, and which names are global there."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.lift import DEFINITIONS, lifted
from jupyter_gpu_ext.export.lint import Remark
from jupyter_gpu_ext.export.names import bindings
from jupyter_gpu_ext.export.pieces import Code, Line, Piece, cut, fitted
from jupyter_gpu_ext.export.scope import awaits, bound, inside, looks_around, mentioned, stars
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from jupyter_gpu_ext.export.notebook import Cell

Block = tuple[Line, ...]
# What binds names that no linter sees.
_BINDING = frozenset(("globals", "exec"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A notebook, taken apart.

    Attributes
    ----------
    module : tuple of blocks
        What stands at module level, a block a cell.
    main : tuple of blocks
        What stands in `main()`, already indented; empty where nothing does.
    names : tuple of str
        What is global in `main()`: every name that its statements bind.
    runs_async : bool
        `main()` awaits.
    in_guard : str
        Why the statements cannot stand in a function, only below the guard; else empty.
    kept : tuple of Remark
        The functions and classes that stay in `main()`.
    unkept : tuple of str
        Rules of ruff that it cannot keep.
    """

    module: tuple[Block, ...]
    main: tuple[Block, ...]
    names: tuple[str, ...]
    runs_async: bool
    in_guard: str
    kept: tuple[Remark, ...]
    unkept: tuple[str, ...]


def arrange(cells: Sequence[Cell], code: Mapping[int, Code], done: Collection[str], *, lazy: bool) -> Form:
    """Return the form of the script.

    Parameters
    ----------
    code : mapping
        The Python of each code cell by its number.
    done : collection of str
        The import statements that the script begins with.
    lazy : bool
        Annotations are not evaluated.

    Raises
    ------
    ExportRefusedError
        For a notebook that awaits and does what no function can.
    """
    pieces = {number: cut(one) for number, one in code.items()}
    goes = iter(lifted([one.statements for each in pieces.values() for one in each if one.statements], lazy=lazy))
    parts = {number: [(one, bool(one.statements) and next(goes)) for one in each] for number, each in pieces.items()}
    stay = [node for each in parts.values() for one, goes_up in each if not goes_up for node in one.statements]
    guard = next((why for why in map(_bound_to_module, stay) if why), "")
    waits = runs_async(code)
    if guard and waits:
        raise ExportRefusedError(
            f"The notebook awaits at its top level, and uses {guard}, which no async function can.",
            hint="Import the names one by one; look at globals() instead.",
        )
    split = _Split(cells, parts, set(done), in_guard=bool(guard))
    return Form(
        module=tuple(split.module),
        main=tuple(split.main) if stay else (),
        names=() if guard else tuple(dict.fromkeys(name for node in stay for name in _in_order(node))),
        runs_async=waits,
        in_guard=guard,
        kept=tuple(_kept(parts, code)),
        unkept=_unkept([node for each in parts.values() for one, _ in each for node in one.statements], stay),
    )


def runs_async(code: Mapping[int, Code]) -> bool:
    """Whether a statement of the notebook's top level needs a running event loop."""
    return any(awaits(node) for one in code.values() for node in ast.parse(one.text).body)


class _Split:
    """Gives each cell its blocks."""

    def __init__(
        self,
        cells: Sequence[Cell],
        parts: Mapping[int, Sequence[tuple[Piece, bool]]],
        done: set[str],
        *,
        in_guard: bool,
    ) -> None:
        self.module, self.main = list[Block](), list[Block]()
        self._done, self._in_guard = done, in_guard
        all_goes = not any(one.statements and not goes_up for each in parts.values() for one, goes_up in each)
        for place, cell in enumerate(cells):
            if cell.number in parts:
                self._code(cell, parts[cell.number], all_goes=all_goes)
            else:
                note = _block(cell, _note(cell))
                if all_goes or (not self.main and not _stays(cells[place:], parts)):
                    self.module.append(note)
                else:
                    self.main.append(_indented(note))

    def _code(self, cell: Cell, parts: Sequence[tuple[Piece, bool]], *, all_goes: bool) -> None:
        up = [piece for piece, goes_up in parts if goes_up or all_goes]
        blocks = [self._once(piece) for piece in up]
        spaced = blocks if all_goes else _spaced(up, blocks)
        self.module.append(_block(cell, [line for block in spaced for line in block]))
        if not all_goes:
            stay = [one for piece, goes_up in parts if not goes_up for one in self._in_main(piece)]
            marker, *lines = _block(cell, stay) or [None]
            if marker is not None:
                self.main.append((Line(text=f"    {marker.text}"), *lines))

    def _once(self, piece: Piece) -> tuple[Line, ...]:
        """Return the lines unless they are imports that the script has already."""
        origins = {
            one.origin if isinstance(node, ast.Import | ast.ImportFrom) else ""
            for node in piece.statements
            for one in bindings(ast.Module([node], []))
        }
        if origins and origins <= self._done:
            return ()
        self._done |= origins - {""}
        return piece.lines

    def _in_main(self, piece: Piece) -> tuple[Line, ...]:
        if not piece.statements:
            return piece.indented()
        first = piece.lines[0]
        code = Code(
            number=first.cell,
            text="\n".join(line.text for line in piece.lines),
            lines=tuple(line.line for line in piece.lines),
        )
        code = fitted(code, in_function=not self._in_guard)
        texts = zip(code.text.split("\n"), code.lines, strict=True)
        return Piece(lines=tuple(Line(text=text, cell=first.cell, line=line) for text, line in texts)).indented()


def _spaced(pieces: Sequence[Piece], blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield the lines of each piece, below as many empty ones, up to two, as lay between it and the one before."""
    end = 0
    for piece, block in zip(pieces, blocks, strict=True):
        if block:
            most = 2 if any(isinstance(node, DEFINITIONS) for node in piece.statements) else 1
            between = min(block[0].line - end - 1, most) if end else 0
            yield (*[Line(text="")] * between, *block)
            end = block[-1].line


def _bound_to_module(statement: ast.stmt) -> str:
    return "import *" if stars(statement) else looks_around(statement)


def _kept(parts: Mapping[int, Sequence[tuple[Piece, bool]]], code: Mapping[int, Code]) -> Iterator[Remark]:
    for number, each in parts.items():
        stay = (node for piece, goes_up in each if not goes_up for node in piece.statements)
        for node in stay:
            if isinstance(node, DEFINITIONS):
                text = f"{node.name} stays below statements that may matter to it: no spawned process can import it."
                cure = "Put it, its imports and what it reads while it is defined into the first cells."
                yield Remark(cell=number, line=code[number].lines[node.lineno - 1], text=f"{text} {cure}")


def _unkept(statements: Sequence[ast.stmt], stay: Sequence[ast.stmt]) -> tuple[str, ...]:
    # After `del` ruff forgets that the name is global.
    deletes = any(isinstance(node, ast.Delete) for one in statements for node in inside(one))
    unseen = any(mentioned(one) & _BINDING for one in statements)
    # In a function a variable has its annotation no more, and what is imported for that is used nowhere.
    notes = [node.annotation for one in stay for node in inside(one) if isinstance(node, ast.AnnAssign)]
    imports = {one.name for one in bindings(ast.Module([*statements], [])) if one.origin}
    return (
        *(("F401",) if any(mentioned(one) & imports for one in notes) else ()),
        *(("F403", "F405") if any(map(stars, statements)) else ()),
        *(("F821",) if unseen else ()),
        *(("F841",) if deletes else ()),
    )


def _in_order(statement: ast.stmt) -> Iterable[str]:
    return sorted(bound(statement))


def _stays(cells: Sequence[Cell], parts: Mapping[int, Sequence[tuple[Piece, bool]]]) -> bool:
    """Whether the next code cell leaves something in `main()`."""
    following = next((parts[one.number] for one in cells if parts.get(one.number)), ())
    return not following or any(piece.statements and not goes_up for piece, goes_up in following)


def _block(cell: Cell, lines: Sequence[Line]) -> Block:
    while lines and not lines[0].text.strip():
        lines = lines[1:]
    while lines and not lines[-1].text.strip():
        lines = lines[:-1]
    if not lines:
        return ()
    kind = "" if cell.kind == "code" else f" [{cell.kind}]"
    identity = f' id="{cell.id}"' if cell.id else ""
    return (Line(text=f"# %% cell {cell.number}{kind}{identity}"), *lines)


def _indented(block: Block) -> Block:
    return tuple(Line(text=f"    {one.text}", cell=one.cell, line=one.line) for one in block)


def _note(cell: Cell) -> list[Line]:
    if cell.left_out:
        return [Line(text=f"# left out: {cell.left_out}")]
    # Every break that any reader of the file might honour ends a comment line, and no control
    # character stays: nothing of the text can become code.
    texts = (printable(line.expandtabs(4)).rstrip() for line in cell.source.splitlines())
    return [Line(text=f"# {text}".rstrip()) for text in texts]
