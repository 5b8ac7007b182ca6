"""Magics of other packages: each brings the Python of its lines, found by entry point.

A package registers a function under the magic's name, in the group `jupyter_gpu_ext.magic_translators`::

    def translate(line: str, body: str | None) -> str | Translation: ...
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from jupyter_gpu_ext.export.calls import Call

GROUP = "jupyter_gpu_ext.magic_translators"


class Translation(NamedTuple):
    """The Python of a magic.

    Attributes
    ----------
    expression : str
        What stands in the place of the line, or of the cell.
    imports : tuple of str
        The import statements that it needs, one a text.
    """

    expression: str
    imports: tuple[str, ...] = ()


Translator = Callable[[str, str | None], "str | Translation"]


def translate(call: Call) -> Translation | None:
    """Return the Python that another package has for a magic, or None where none has.

    Raises
    ------
    ExportRefusedError
        When its translator fails, or gives what is no expression.
    """
    if not call.magic.startswith("%"):
        return None
    found = list(entry_points(group=GROUP, name=call.arguments[0]))
    if not found:
        return None
    body = call.arguments[2] if call.magic.startswith("%%") else None
    try:
        translator: Translator = found[0].load()
        made = translator(call.line, body)
        translation = made if isinstance(made, Translation) else Translation(made)
        _check(translation)
    # It is somebody else's code.
    except Exception as error:  # noqa: BLE001
        raise ExportRefusedError(
            f"The translator of {call.magic}, {printable(found[0].value)}, failed: {type(error).__name__}: "
            f"{printable(str(error))}.",
            hint="Report it to that package, or tag the cell `skip`.",
        ) from None
    return translation


def _check(translation: Translation) -> None:
    ast.parse(translation.expression, mode="eval")
    for one in translation.imports:
        statements = ast.parse(one).body
        if len(statements) != 1 or not isinstance(statements[0], ast.Import | ast.ImportFrom):
            raise ValueError(f"{one!r} is no import")
