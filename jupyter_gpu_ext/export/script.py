"""From cells and their Python to the text of a script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.notebook import Cell, read
from jupyter_gpu_ext.export.translate import Program, translate
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARKER = re.compile(r"^# %% cell (\d+)", re.MULTILINE)


def make_script(notebook: Any, *, name: str, version: str) -> str:
    """Return the script that does what the notebook does.

    Parameters
    ----------
    notebook : mapping
        The parsed JSON, or nbformat's node of it.
    name : str
        The notebook's file name, for the header.
    version : str
        The version of jupyter_gpu_ext, for the header.

    Raises
    ------
    ExportRefusedError
        With cell and line, where a script could not do the same.
    """
    cells = read(notebook)
    script = render(cells, translate(cells), name=name, version=version)
    check(script)
    return script


def render(cells: Sequence[Cell], program: Program, *, name: str, version: str) -> str:
    """Return the script's text; the same notebook gives the same bytes."""
    # The declaration stands first, so that no name or note below can declare another encoding.
    head = [
        "# -*- coding: utf-8 -*-",
        f"# Made from {redact(printable(name))} by jupyter_gpu_ext {version}.",
        "# It runs without Jupyter. Edit the notebook and export it again, rather than this file.",
    ]
    blocks = ["\n".join(head), *_imports(program), *(_block(cell, program) for cell in cells)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def check(script: str) -> None:
    """Raise unless the cells together are one Python program."""
    try:
        compile(script, "<script>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        before = _MARKER.findall("\n".join(script.split("\n")[:line]))
        where = f"Cell {before[-1]}" if before else "The script"
        raise ExportRefusedError(
            f"{where} does not fit the cells before it: {getattr(error, 'msg', 'no valid Python')}.",
            hint="Restart the kernel and run all cells to see it.",
        ) from None


def _imports(program: Program) -> Iterable[str]:
    if program.futures:
        yield f"from __future__ import {', '.join(program.futures)}"
    yield "\n".join(one for one in program.imports if "jupyter_gpu_ext" not in one)
    yield "\n".join(one for one in program.imports if "jupyter_gpu_ext" in one)


def _block(cell: Cell, program: Program) -> str:
    kind = "" if cell.kind == "code" else f" [{cell.kind}]"
    identity = f' id="{cell.id}"' if cell.id else ""
    marker = f"# %% cell {cell.number}{kind}{identity}"
    if cell.skipped:
        return f"{marker}\n# left out: tagged skip"
    text = program.code[cell.number] if cell.kind == "code" else _comment(cell.source)
    return f"{marker}\n{text}" if text.strip() else ""


def _comment(text: str) -> str:
    # Every break that any reader of the file might honour ends a comment line, and no control
    # character stays: nothing of the text can become code.
    lines = (printable(line.expandtabs(4)).rstrip() for line in text.splitlines())
    return "\n".join(f"# {line}".rstrip() for line in lines)
