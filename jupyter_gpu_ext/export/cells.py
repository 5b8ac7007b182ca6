"""IPython's cell magics that a script has a call for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_gpu_ext.commands.tokenizer import tokenize
from jupyter_gpu_ext.commands.word import quote
from jupyter_gpu_ext.errors import ExportRefusedError

if TYPE_CHECKING:
    from jupyter_gpu_ext.export.calls import Call
    from jupyter_gpu_ext.export.place import Place

# What is only there to be looked at, or to measure.
DRAWN = re.compile(r"html|HTML|javascript|js|svg|SVG|latex|markdown|timeit")
_SHELLS = frozenset(("bash", "sh", "python", "python3", "pypy", "perl", "ruby"))


def to_python(call: Call, place: Place) -> str | None:
    """Return the call that does what the cell does, or None where there is none."""
    name, line, body = call.arguments
    if name in _SHELLS or name == "script":
        if (name == "script") != bool(line.strip()) or re.search(r"(^|\s)--", line):
            raise ExportRefusedError(f"{call.typed} has no translation.", hint=f"Write %%{name} without options.")
        program = place.text(line.strip()) if name == "script" else quote(name)
        return f"{place.module('shell')}.script({program},{_lines(body)})"
    if name in ("writefile", "file"):
        words = tokenize(line)
        more = [one for one in words if one.literal in ("-a", "--append")]
        paths = [one for one in words if one not in more]
        if len(paths) != 1:
            raise ExportRefusedError(f"{call.typed} has no translation.", hint="Name one file.")
        add = "append" if more else "write"
        return f"{place.module('shell')}.{add}({place.decide(paths[0]).to_python()},{_lines(body)})"
    return None


def _lines(body: str) -> str:
    """Return the lines as arguments, so that people can still read them."""
    lines = [quote(line) for line in body.removesuffix("\n").split("\n")]
    return f" {lines[0]}" if len(lines) == 1 else "".join(f"\n    {line}," for line in lines) + "\n"
