"""`{expression}` and `$name` in a line that IPython itself expands, such as a shell command."""

from __future__ import annotations

import ast
import builtins

from jupyter_gpu_ext.commands.word import Expression, Part, word
from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.names import bindings

_CONVERSIONS = {"r": "repr", "s": "str", "a": "ascii"}


def to_python(text: str, names: set[str]) -> str:
    """Return Python source of the string that IPython makes of `text`.

    IPython expands all of a line, or nothing of it when one part fails.

    Parameters
    ----------
    names : set of str
        The variables that are bound.

    Raises
    ------
    ExportRefusedError
        When only some of the parts can be expanded.
    """
    parts = _parts(text)
    known = [_is_known(part.source, names) for part in parts if isinstance(part, Expression)]
    if not all(known):
        if any(known):
            raise ExportRefusedError(
                "In this line some of {…} and $… are variables and some are not.",
                hint="Make the text a variable in Python first, and use that alone.",
            )
        parts = [text]
    made = word(*parts)
    alone = len(made.parts) == 1 and isinstance(made.parts[0], Expression)
    return f"str({made.to_python()})" if alone else made.to_python()


def _parts(text: str) -> list[Part]:
    from IPython.utils.text import DollarFormatter

    parts: list[Part] = []
    try:
        for literal, field, spec, conversion in DollarFormatter().parse(text):
            parts.append(literal)
            if field is not None:
                source = _plain(f"{field}:{spec}" if spec else field)
                parts.append(Expression(f"{_CONVERSIONS[conversion]}({source})" if conversion else source))
    except (ValueError, KeyError):
        # Braces that do not match: IPython leaves the line alone.
        return [text]
    return parts


def _plain(source: str) -> str:
    # A comment would swallow what follows the expression in its call.
    try:
        return ast.unparse(ast.parse(source.strip(), mode="eval")) if "#" in source else source.strip()
    except SyntaxError:
        return source


def _is_known(source: str, names: set[str]) -> bool:
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    # A comprehension and a lambda have variables of their own.
    own = {binding.name for binding in bindings(tree, deep=True)}
    return all(name in names or hasattr(builtins, name) for name in used - own)
