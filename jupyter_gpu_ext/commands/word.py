"""One word of a command line: literal text mixed with the notebook's own expressions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


@dataclass(frozen=True, slots=True)
class Expression:
    """`{source}`: a Python expression, evaluated when the line runs."""

    source: str


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`: the variable's value where it is bound, otherwise the text itself."""

    name: str


Part = str | Expression | Variable


@dataclass(frozen=True, slots=True)
class Word:
    """The parts of one word, in order; neighbouring literals are merged."""

    parts: tuple[Part, ...]

    @property
    def literal(self) -> str | None:
        """The text when nothing in it is an expression, otherwise None."""
        return "".join(map(str, self.parts)) if all(isinstance(part, str) for part in self.parts) else None

    def shown(self) -> str:
        """Return the word about as it was typed, for messages."""
        marks = (
            part if isinstance(part, str) else f"${part.name}" if isinstance(part, Variable) else f"{{{part.source}}}"
            for part in self.parts
        )
        return "".join(marks)

    def bind(self, names: Collection[str]) -> Word:
        """Return the word with each `$name` decided: an expression if in `names`, else text."""
        decided = (
            part if not isinstance(part, Variable) else Expression(part.name) if part.name in names else f"${part.name}"
            for part in self.parts
        )
        return word(*decided)

    def resolve(self, evaluate: Callable[[str], Any]) -> Any:
        """Return the word's value; a word that is one expression keeps the value's type.

        Parameters
        ----------
        evaluate : callable
            From an expression's source to its value. Every `$name` must be bound before.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return evaluate(self.parts[0].source)
        return "".join(str(evaluate(part.source)) if isinstance(part, Expression) else str(part) for part in self.parts)

    def to_python(self) -> str:
        """Return Python source of the word's value. Every `$name` must be bound before."""
        if (text := self.literal) is not None:
            return quote(text)
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0].source
        fields = [part.source for part in self.parts if isinstance(part, Expression)]
        template = "".join("{}" if isinstance(part, Expression) else _escape(str(part)) for part in self.parts)
        # What an f-string of Python 3.11 cannot hold, or an escape would change.
        if any(set(source) & set("\"'\\\n{}!:=") or not source.isascii() for source in fields):
            return f"{quote(template)}.format({', '.join(fields)})"
        return "f" + quote(
            "".join(f"{{{part.source}}}" if isinstance(part, Expression) else _escape(str(part)) for part in self.parts)
        )


def word(*parts: Part) -> Word:
    """Return a Word of `parts`, neighbouring literals merged and empty ones dropped."""
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return Word(tuple(merged))


def quote(text: str) -> str:
    """Return a Python literal of `text` on one line, double-quoted where it can be."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else ascii(text)


def _escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
