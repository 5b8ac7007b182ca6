"""From cells and their Python to the text of a script."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export import parameters
from jupyter_gpu_ext.export.form import arrange, runs_async
from jupyter_gpu_ext.export.lint import Remark, look
from jupyter_gpu_ext.export.notebook import read
from jupyter_gpu_ext.export.pieces import Code, Line
from jupyter_gpu_ext.export.translate import translate
from jupyter_gpu_ext.job.where import line_map
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jupyter_gpu_ext.export.form import Form
    from jupyter_gpu_ext.export.notebook import Cell
    from jupyter_gpu_ext.export.parameters import Declared
    from jupyter_gpu_ext.export.translate import Program, Unknown

_MARKER = re.compile(r"^ *# %% cell (\d+)", re.MULTILINE)
_WIDTH = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A notebook as a program.

    Attributes
    ----------
    text : str
        The same notebook gives the same bytes.
    remarks : tuple of Remark
        What a person should know before it runs elsewhere; they stand in its head as well.
    parameters : tuple of Declared
        What it takes as options.
    """

    text: str
    remarks: tuple[Remark, ...]
    parameters: tuple[Declared, ...] = ()


def make_script(
    notebook: Any,
    *,
    name: str,
    version: str,
    unknown: Unknown = "error",
    strict_shell: bool = False,
    ran: Mapping[int, str] | None = None,
) -> Script:
    """Return the script that does what the notebook does.

    Parameters
    ----------
    notebook : mapping
        The parsed JSON, or nbformat's node of it.
    name : str
        The notebook's file name, for the header.
    version : str
        The version of jupyter_gpu_ext, for the header.
    unknown : {'error', 'comment'}
        What becomes of a magic without translation.
    strict_shell : bool
        A `!command` that fails ends the script, and the cell is named.
    ran : mapping of int to str, optional
        What the kernel ran, by execution count.

    Raises
    ------
    ExportRefusedError
        With cell and line, where a script could not do the same.
    """
    cells = read(notebook)
    program = translate(cells, unknown=unknown, strict_shell=strict_shell)
    given = program.imports.own("given")
    declared, code = _parameters(cells, program, given)
    if runs_async(code):
        program.imports.use("asyncio", set())
    form = arrange(cells, code, set(program.imports.needed()), lazy="annotations" in program.futures)
    remarks = (*look(cells, program.code, ran), *form.kept)
    # The declaration stands first, so that no name or note below can declare another encoding.
    head = [
        "# -*- coding: utf-8 -*-",
        f"# Made from {redact(printable(name))} by jupyter_gpu_ext {version}.",
        "# It runs without Jupyter. Edit the notebook and export it again, rather than this file.",
        *(["# What `first` and `display` do is done on the first rank only."] if _has_first(program) else []),
        *(f"# ! {printable(str(one))}" for one in remarks),
        *([f"# ruff: noqa: {', '.join(form.unkept)}"] if form.unkept else []),
    ]
    tail = _main(form, declared, program, given) if form.main else []
    text = _joined([_own(head), *map(_own, _imports(program)), *form.module, *tail])
    check(text)
    return Script(text=text, remarks=remarks, parameters=tuple(declared))


def _has_first(program: Program) -> bool:
    return any(" first" in one or " display" in one for one in program.imports.needed())


def _joined(blocks: Iterable[Sequence[Line]]) -> str:
    lines = list[Line]()
    for block in filter(None, blocks):
        lines += [*([Line(text="")] if lines else []), *block]
    places = line_map((one.cell, one.line) for one in lines)
    text = "\n".join(one.text for one in lines) + "\n"
    return f"{text}\n{places}\n" if places else text


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


def _parameters(cells: Sequence[Cell], program: Program, given: str) -> tuple[list[Declared], dict[int, Code]]:
    code, declared = dict(program.code), list[parameters.Declared]()
    for cell in cells:
        if cell.declares and cell.number in code:
            more, code[cell.number] = parameters.take(code[cell.number], given, {one.name for one in declared})
            declared += more
    return declared, code


def _main(form: Form, declared: Sequence[Declared], program: Program, given: str) -> list[tuple[Line, ...]]:
    """Return the blocks below the definitions: the parameters, `main()` and the guard."""
    imports, listed = program.imports, program.imports.own("PARAMETERS")
    begins = f"{imports.use('start', set())}(__file__{f', {listed}' if declared else ''})"
    first = f"    {given} = {begins}" if declared else f"    {begins}"
    blocks = []
    if declared:
        maker = imports.use("Parameter", set())
        blocks.append(_own([f"{listed} = (", *(f"    {one.to_python(maker)}," for one in declared), ")"]))
    if form.in_guard:
        why = f"    # Below the guard, not in a function: {form.in_guard}."
        return [*blocks, _own(['if __name__ == "__main__":', why, first]), *form.main]
    main = imports.own("main")
    header = f"{'async ' if form.runs_async else ''}def {main}() -> None:"
    call = f"{imports.use('asyncio', set())}.run({main}())" if form.runs_async else f"{main}()"
    opening = _own(["", header, *_globals(form), first])
    return [*blocks, opening, *form.main, _own(["", 'if __name__ == "__main__":', f"    {call}"])]


def _globals(form: Form) -> Iterator[str]:
    # What was global in the notebook stays so: functions read it, and `who` names it.
    for line in textwrap.wrap(", ".join(form.names), _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"    global {line.rstrip(',')}"


def _imports(program: Program) -> Iterator[list[str]]:
    needed = program.imports.needed()
    if program.futures:
        yield [f"from __future__ import {', '.join(program.futures)}"]
    yield [one for one in needed if "jupyter_gpu_ext" not in one]
    yield [one for one in needed if "jupyter_gpu_ext" in one]


def _own(texts: Sequence[str]) -> tuple[Line, ...]:
    return tuple(Line(text=text) for text in texts)
