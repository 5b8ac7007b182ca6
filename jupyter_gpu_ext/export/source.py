"""One code cell as Python: IPython's own reading of it, its syntax tree, and where each line came from."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from keyword import iskeyword

from jupyter_gpu_ext.errors import ExportRefusedError, NotInstalledError
from jupyter_gpu_ext.export.calls import Call, find
from jupyter_gpu_ext.export.spans import indented, replace
from jupyter_gpu_ext.text import printable, redact

# What IPython runs as a magic without its `%`, unless a variable has the name.
BARE_MAGICS = re.compile(
    r"cat|cd|clear|conda|cp|hist(ory)?|less|ll|ls|lsmagic|lx|man|mamba|mkdir|more|mv|pip|pwd|rm|rmdir|uv|whos?|"
    r"blob|gpu|load_blob|save_blob"
)
# Those that time what stays.
_TIMERS = ("%%time", "%%prun")
# The cell magics that become a block.
MEASURED, CAPTURED = BLOCKS = ("%%gpu", "%%capture")
_FIX = "Fix it, or tag the cell `skip`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A code cell whose magics are calls of `get_ipython()`.

    Attributes
    ----------
    lines : tuple of int
        For each line of `text` the line of the cell that it came from, counted from 1.
    """

    number: int
    text: str
    tree: ast.Module
    lines: tuple[int, ...]

    def refusal(self, line: int, message: str, hint: str) -> ExportRefusedError:
        """Return the error for a line of `text`, with the cell and the line that a person sees."""
        return _refusal(self.number, self.lines[min(line, len(self.lines)) - 1], message, hint)


def read(number: int, text: str) -> Source:
    """Return the code cell `number` as Python.

    `%%time` and `%time` are opened: what they time stays, in their place. `%%gpu` and `%%capture` are opened as well:
    the cell becomes the block of a `with`, over the call of the magic without a cell.

    Raises
    ------
    ExportRefusedError
        When the cell is no Python.
    """
    first, outer = 1, list[tuple[str, str, int]]()
    while True:
        source = _open_lines(_python(number, text, first))
        call = _opened(source)
        if call is None:
            break
        outer.append((call.magic, call.line.strip(), source.lines[0]))
        first, text = source.lines[0] + 1, call.arguments[2]
    for magic, name, line in reversed(outer):
        source = _block(source, line, magic, name) if magic in BLOCKS else _timed(source, line, magic)
    return source


def refuse_secret(number: int, text: str) -> None:
    """Raise where `text`, of the cell `number`, holds what looks like a storage secret."""
    if redact(text) != text:
        raise ExportRefusedError(
            f"Cell {number} holds what looks like a storage secret.",
            hint="Use a named connection: notebooks and scripts hold names only.",
        )


def _python(number: int, text: str, first: int) -> Source:
    python = _transform(text)
    return _parse(number, python, _origins(text.split("\n"), python.split("\n"), first))


def _opened(source: Source) -> Call | None:
    """Return the cell magic that is the whole cell, where the script has the cell's own lines in its place."""
    calls, _ = find(source.tree)
    if len(source.tree.body) != 1 or not calls or calls[0].magic not in (*_TIMERS, *BLOCKS) or not calls[0].whole:
        return None
    line = calls[0].line.strip()
    named = calls[0].magic == CAPTURED and line.isidentifier() and not iskeyword(line)
    # IPython refuses the magic without a cell.
    return calls[0] if calls[0].arguments[2] and (named or not line) else None


def _timed(source: Source, line: int, magic: str) -> Source:
    return _parse(source.number, f"# dropped: {magic}\n{source.text}", (line, *source.lines))


def _block(source: Source, line: int, magic: str, name: str) -> Source:
    body, lines = source.text, source.lines
    if not source.tree.body:
        body, lines = f"pass\n{body}", (line, *lines)
    bound = f" as {name}" if name else ""
    header = f"with get_ipython().run_cell_magic('{magic.removeprefix('%%')}', '', ''){bound}:"
    return _parse(source.number, f"{header}\n{indented(body, ast.parse(body))}", (line, *lines))


def _open_lines(source: Source) -> Source:
    while timed := [call for call in find(source.tree)[0] if _times_line(call)]:
        opened = replace(source.text, [(call.node, _transform(call.line).strip()) for call in timed])
        source = _parse(source.number, opened, source.lines)
    return source


def _times_line(call: Call) -> bool:
    timed = (call.magic == "%time" and (call.whole or call.assigned)) or (call.magic == "%prun" and call.whole)
    return timed and bool(call.line.strip()) and not call.line.startswith("-" if call.magic == "%prun" else "--")


def _transform(text: str) -> str:
    try:
        from IPython.core.inputtransformer2 import TransformerManager
    except ImportError:
        raise NotInstalledError("Reading magics needs IPython.", hint="pip install ipython") from None
    return TransformerManager().transform_cell(text)  # type: ignore[no-untyped-call]


def _origins(before: list[str], after: list[str], first: int) -> tuple[int, ...]:
    # IPython drops empty lines in front and joins the continued lines of a magic; nothing else moves.
    at = next((i for i, line in enumerate(before) if line.strip()), 0)
    found = []
    for line in after:
        found.append(min(at, len(before) - 1) + first)
        while at < len(before) and before[at].endswith("\\") and not line.endswith("\\"):
            at += 1
        at += 1
    return tuple(found)


def _parse(number: int, text: str, lines: tuple[int, ...]) -> Source:
    try:
        tree = ast.parse(text)
        compile(text, f"<cell {number}>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        line = lines[min(error.lineno or 1, len(lines)) - 1]
        raise _not_python(number, line, text, error) from None
    except (ValueError, RecursionError, MemoryError):
        raise _refusal(number, lines[0], "This is no text that Python can read.", _FIX) from None
    return Source(number=number, text=text, tree=tree, lines=lines)


def _not_python(number: int, line: int, text: str, error: SyntaxError) -> ExportRefusedError:
    word = re.match(r"\s*(\w+)", (error.text or "").removeprefix("%"))
    if word and BARE_MAGICS.fullmatch(word.group(1)):
        return _refusal(number, line, f"`{word.group(1)}` needs its % here.", f"Write %{word.group(1)}.")
    return _refusal(number, line, f"Python says: {error.msg}.", _FIX)


def _refusal(number: int, line: int, message: str, hint: str) -> ExportRefusedError:
    return ExportRefusedError(f"Cell {number}, line {line}: {printable(message)}", hint=hint)
