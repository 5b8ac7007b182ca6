"""What is known where a line stands: the variables that are bound, and what the script imports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from jupyter_gpu_ext.commands.grammar import Spec
from jupyter_gpu_ext.commands.word import Word
from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export import template

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the translated lines use, in the order of the script's imports.
_MODULES = {
    "os": "import os",
    "jg": "import jupyter_gpu_ext",
    "shell": "from jupyter_gpu_ext.job import shell",
    "display": "from jupyter_gpu_ext.job.show import display",
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

    def use(self, module: str, done: set[str]) -> str:
        """Return the script's name for `module`, and import it unless one of the statements `done` has."""
        name = module
        while self.bound.get(name, set()) - {_statement(module, name)}:
            name = f"_{name}"
        if _statement(module, name) not in done:
            self._needed[module] = _statement(module, name)
        return name

    def needed(self) -> tuple[str, ...]:
        """Return the statements, in a fixed order."""
        return tuple(self._needed[module] for module in _MODULES if module in self._needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a line stands.

    Attributes
    ----------
    names : set of str
        The variables bound before it.
    imported : set of str
        The import statements of the notebook that ran before it.
    """

    names: set[str]
    imported: set[str]
    imports: Imports

    def module(self, name: str) -> str:
        """Return what the script calls a module that the translated line uses."""
        return self.imports.use(name, self.imported)

    def decide(self, line: _Bindable) -> _Bindable:
        """Return `line` with each `$name` decided: the variable where it is bound, else the text."""
        decided = line.bind(self.names)
        if decided != line.bind(self.names | self.imports.bound.keys()):
            raise _bound_later()
        return decided

    def text(self, text: str) -> str:
        """Return Python source of a text that IPython itself expands."""
        source = template.to_python(text, self.names)
        if source != template.to_python(text, self.names | self.imports.bound.keys()):
            raise _bound_later()
        return source


def _statement(module: str, name: str) -> str:
    statement = _MODULES[module]
    return statement if statement.split()[-1] == name else f"{statement} as {name}"


def _bound_later() -> ExportRefusedError:
    return ExportRefusedError(
        "A variable of this line is bound only further down.",
        hint="Put the cells into the order in which they run.",
    )
