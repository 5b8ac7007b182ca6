"""What is known where a line stands: the variables that are bound, and what the script imports."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from jupyter_gpu_ext.commands.grammar import Spec
from jupyter_gpu_ext.commands.word import Word
from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export import template
from jupyter_gpu_ext.export.names import bindings
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What the translated lines use, in the order of the script's imports.
_MODULES = {
    "asyncio": "import asyncio",
    "os": "import os",
    "jg": "import jupyter_gpu_ext",
    "shell": "from jupyter_gpu_ext.job import shell",
    "Parameter": "from jupyter_gpu_ext.job.parameters import Parameter",
    "run_file": "from jupyter_gpu_ext.job.program import run_file",
    "first": "from jupyter_gpu_ext.job.rank import first",
    "capture": "from jupyter_gpu_ext.job.show import capture",
    "display": "from jupyter_gpu_ext.job.show import display",
    "start": "from jupyter_gpu_ext.job.start import start",
}

_Bindable = TypeVar("_Bindable", Spec, Word)


@dataclass(frozen=True, slots=True)
class Imports:
    """The imports that translated lines need.

    Attributes
    ----------
    bound : mapping
        Each name that the notebook binds anywhere, to the import statements that bind it; '' stands
        for any other way.
    """

    bound: Mapping[str, set[str]]
    _needed: dict[str, str] = field(default_factory=dict)
    _others: set[str] = field(default_factory=set)

    def add(self, statement: str) -> None:
        """Import what the line of another package's magic needs.

        Raises
        ------
        ExportRefusedError
            When the notebook uses the name otherwise.
        """
        for binding in bindings(ast.parse(statement)):
            if self.bound.get(binding.name, set()) - {binding.origin}:
                raise ExportRefusedError(
                    f"A magic needs the name {binding.name} for `{printable(statement)}`.",
                    hint=f"Call the notebook's {binding.name} otherwise.",
                )
            self._others.add(binding.origin)

    def use(self, module: str, done: set[str]) -> str:
        """Return the script's name for `module`, and import it unless one of the statements `done` has."""
        name = self._free(module, lambda name: {_statement(module, name)})
        if _statement(module, name) not in done:
            self._needed[module] = _statement(module, name)
        return name

    def own(self, name: str) -> str:
        """Return a name of the script's own, as much like `name` as the notebook leaves free."""
        return self._free(name, lambda _: set())

    def _free(self, name: str, same: Callable[[str], set[str]]) -> str:
        # What `import *` binds has no underscore in front.
        while self.bound.get(name, set()) - same(name) or ("*" in self.bound and name[0] != "_"):
            name = f"_{name}"
        return name

    def needed(self) -> tuple[str, ...]:
        """Return the statements, in a fixed order."""
        ours = [self._needed[module] for module in _MODULES if module in self._needed]
        return tuple(sorted(self._others.difference(ours)) + ours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a line stands.

    Attributes
    ----------
    names : set of str
        The variables bound before it; '*' among them: others as well, and nobody can see which.
    imported : set of str
        The import statements of the notebook that ran before it.
    checks : bool
        A command of the shell that fails ends the script.
    """

    names: set[str]
    imported: set[str]
    imports: Imports
    checks: bool = False

    def module(self, name: str) -> str:
        """Return what the script calls a module that the translated line uses."""
        return self.imports.use(name, self.imported)

    def decide(self, line: _Bindable) -> _Bindable:
        """Return `line` with each `$name` decided: the variable where it is bound, else the text."""
        decided = line.bind(self.names)
        if "*" in self.names and decided != line.bind(_EVERY):
            raise _unseen()
        if decided != line.bind(self.names | self.imports.bound.keys()):
            raise _bound_later()
        return decided

    def text(self, text: str) -> str:
        """Return Python source of a text that IPython itself expands."""
        source = template.to_python(text, self.names)
        if "*" in self.names and source != template.to_python(text, _EVERY):
            raise _unseen()
        if source != template.to_python(text, self.names | self.imports.bound.keys()):
            raise _bound_later()
        return source


class _Every(set[str]):
    """Holds every name but those that every shell has."""

    def __contains__(self, name: object) -> bool:
        return name not in {"HOME", "LANG", "PATH", "PWD", "SHELL", "TMPDIR", "USER"}


_EVERY = _Every()


def _statement(module: str, name: str) -> str:
    statement = _MODULES[module]
    return statement if statement.split()[-1] == name else f"{statement} as {name}"


def _unseen() -> ExportRefusedError:
    return ExportRefusedError(
        "Whether a name of this line is a variable cannot be seen: `import *` or %run above may bind it.",
        hint="Import it by its name, or make the text a variable in Python first and use that.",
    )


def _bound_later() -> ExportRefusedError:
    return ExportRefusedError(
        "A variable of this line is bound only further down.",
        hint="Put the cells into the order in which they run.",
    )
