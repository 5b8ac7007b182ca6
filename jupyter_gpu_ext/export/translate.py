"""From cells to Python: each line that only a notebook understands is replaced, the rest stays as it is."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeGuard, TypeVar

from jupyter_gpu_ext.errors import ExportRefusedError, UsageError
from jupyter_gpu_ext.export import rules
from jupyter_gpu_ext.export.calls import find
from jupyter_gpu_ext.export.names import bindings, visible
from jupyter_gpu_ext.export.pieces import Code
from jupyter_gpu_ext.export.place import Imports, Place
from jupyter_gpu_ext.export.saves import saving
from jupyter_gpu_ext.export.source import BARE_MAGICS, Source, read, refuse_secret
from jupyter_gpu_ext.export.spans import rest_of_line
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from jupyter_gpu_ext.export.calls import Call
    from jupyter_gpu_ext.export.notebook import Cell

# What only IPython puts into a program: `Out[3]`, `_`, `_i7`.
_NOTEBOOK_NAMES = re.compile(r"In|Out|_{1,3}|_i{0,3}\d*|_ih|_oh|_dh|_exit_code")


@dataclass(frozen=True, slots=True)
class Program:
    """The code of each code cell by its number, and what must stand above all of it."""

    code: Mapping[int, Code]
    imports: Imports
    futures: tuple[str, ...]


Unknown = Literal["error", "comment"]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_MOST_REFUSALS = 10


def translate(cells: Sequence[Cell], *, unknown: Unknown = "error", strict_shell: bool = False) -> Program:
    """Return the code cells as Python, those left out excepted.

    Parameters
    ----------
    unknown : {'error', 'comment'}
        What becomes of a magic without translation; one that gives a value is an error in any case.
    strict_shell : bool
        A `!command` that fails ends the script.

    Raises
    ------
    ExportRefusedError
        With cell and line, where a script could not do the same, and where a cell holds a secret; of several cells all
        are named.
    """
    used = [cell for cell in cells if not cell.left_out]
    _all(used, lambda cell: refuse_secret(cell.number, cell.source))
    sources = _all([cell for cell in used if cell.kind == "code"], lambda cell: read(cell.number, cell.source))
    translator = _Translator(sources, unknown, strict_shell=strict_shell)
    code = dict(zip([one.number for one in sources], _all(sources, translator.cell), strict=True))
    return Program(code, translator.imports, tuple(sorted(translator.futures)))


def _all(given: Sequence[_Given], do: Callable[[_Given], _Made]) -> list[_Made]:
    """Return what is made of each; where some are refused, raise one error that names them."""
    made, refused = list[_Made](), list[ExportRefusedError]()
    for one in given:
        try:
            made.append(do(one))
        except ExportRefusedError as error:
            refused.append(error)
    if len(refused) > 1:
        told = [str(error) for error in refused[:_MOST_REFUSALS]]
        more = len(refused) - len(told)
        raise ExportRefusedError(" · ".join([*told, *([f"and {more} more cells"] if more else [])]))
    if refused:
        raise refused[0]
    return made


class _Translator:
    """Walks the cells in order, and knows what those before have bound."""

    def __init__(self, sources: Sequence[Source], unknown: Unknown, *, strict_shell: bool) -> None:
        self._unknown, self._strict_shell = unknown, strict_shell
        self.imports = Imports(_bound_anywhere(sources))
        self.names: set[str] = set()
        self.imported: set[str] = set()
        self.futures: set[str] = set()

    def cell(self, source: Source) -> Code:
        try:
            return self._cell(source)
        finally:
            # Also of a cell that is refused: those below may use what it binds.
            self.names |= {binding.name for binding in bindings(source.tree)} | _bound_by_lines(source)
            self.imported |= _imports(source.tree.body)

    def _cell(self, source: Source) -> Code:
        calls, others = find(source.tree)
        for node in others:
            raise source.refusal(
                node.lineno, "get_ipython() exists only in a notebook.", "Remove it, or tag the cell `skip`."
            )
        self._check_names(source)
        own: set[str] = set()
        changes: list[tuple[ast.expr | ast.stmt, str]] = []
        for call in calls:
            with _at(source, call.node):
                changes.append((call.node, self._line(source, call, own)))
                own |= rules.bound_names(call)
        changes += [(node, self._future(source, node)) for node in source.tree.body if _is_future(node)]
        for function in saving(source.tree, self.imports.bound):
            text = ast.get_source_segment(source.text, function)
            changes.append((function, f"{self.imports.use('first', set())}({text})"))
        code = Code(number=source.number, text=source.text, lines=source.lines).changed(changes).stripped()
        refuse_secret(source.number, code.text)
        return code

    def _line(self, source: Source, call: Call, own: set[str]) -> str:
        earlier = [node for node in source.tree.body if node.lineno < call.node.lineno]
        place = Place(
            names=self.names | own | visible([source.tree, *call.scopes], call.statement),
            imported=self.imported | _imports(earlier),
            imports=self.imports,
            checks=self._strict_shell,
        )
        try:
            python = rules.to_python(call, place)
        except rules.UnknownMagicError:
            if self._unknown == "error" or not call.whole:
                raise
            return _note(source.text, call.node, f"not translated: {_whole(call)}", top=call.top)
        if python is not None:
            remark = printable(rules.remark(call))
            return f"{python}  {remark}" if remark and not rest_of_line(source.text, call.node) else python
        cure = " (put it into the requirements)" if rules.is_install(call) else ""
        return _note(source.text, call.node, f"dropped: {call.typed}{cure}", top=call.top)

    def _future(self, source: Source, node: ast.ImportFrom) -> str:
        self.futures |= {alias.name for alias in node.names}
        return _note(source.text, node, f"at the top: {ast.unparse(node)}", top=True)

    def _check_names(self, source: Source) -> None:
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Name) or node.id in self.imports.bound:
                continue
            if _NOTEBOOK_NAMES.fullmatch(node.id):
                raise source.refusal(
                    node.lineno, f"{node.id} exists only in a notebook.", "Give the value a name of its own."
                )
            if node.id == "display":
                self.imports.use("display", set())
        for statement in source.tree.body:
            name = _first_name(statement)
            if BARE_MAGICS.fullmatch(name) and name not in self.imports.bound:
                raise source.refusal(statement.lineno, f"`{name}` needs its % here.", f"Write %{name}.")


@contextmanager
def _at(source: Source, node: ast.expr) -> Iterator[None]:
    try:
        yield
    except (UsageError, ExportRefusedError) as error:
        raise source.refusal(node.lineno, error.message, error.hint) from None


def _bound_anywhere(sources: Iterable[Source]) -> dict[str, set[str]]:
    bound = defaultdict[str, set[str]](set)
    for source in sources:
        for binding in bindings(source.tree, deep=True):
            bound[binding.name].add(binding.origin)
        for name in _bound_by_lines(source):
            bound[name].add("")
    return dict(bound)


def _bound_by_lines(source: Source) -> set[str]:
    found = set[str]()
    for call in find(source.tree)[0]:
        # What is wrong with a line is said where it is translated.
        with suppress(UsageError):
            found |= rules.bound_names(call)
    return found


def _imports(statements: Iterable[ast.stmt]) -> set[str]:
    module = ast.Module([node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)], [])
    return {binding.origin for binding in bindings(module)}


def _is_future(node: ast.stmt) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _first_name(statement: ast.stmt) -> str:
    node: ast.AST = statement.value if isinstance(statement, ast.Expr) else statement
    while isinstance(node, ast.BinOp | ast.Compare):
        node = node.left
    return node.id if isinstance(node, ast.Name) else ""


def _note(text: str, node: ast.expr | ast.stmt, note: str, *, top: bool) -> str:
    rest = rest_of_line(text, node)
    if rest and not rest.startswith("#"):
        return "pass"
    if not top:
        return f"pass  # {printable(note)}"
    return "\n".join(f"# {printable(line)}".rstrip() for line in note.split("\n"))


def _whole(call: Call) -> str:
    """Return the line as it was typed, with the cell below it."""
    return f"{call.typed}\n{call.arguments[2]}".rstrip("\n") if call.magic.startswith("%%") else call.typed
