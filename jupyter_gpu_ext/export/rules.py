"""What becomes of each magic: ours, IPython's own, and the shell's lines."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from jupyter_gpu_ext.commands.grammar import assignment, target
from jupyter_gpu_ext.commands.lines import MAGICS, HelpRequest, parse_magic
from jupyter_gpu_ext.commands.tokenizer import comment, tokenize
from jupyter_gpu_ext.commands.word import quote, word
from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export import cells, translators
from jupyter_gpu_ext.export.source import CAPTURED, MEASURED

if TYPE_CHECKING:
    from jupyter_gpu_ext.export.calls import Call
    from jupyter_gpu_ext.export.place import Place

# The module, and the function in it, that a block of the script begins with.
_BLOCKS = {MEASURED: ("jg", ".measure"), CAPTURED: ("capture", "")}
# What only the prompt is for.
_DROPPED = re.compile(
    r"(un|re)?load_ext|matplotlib|autoreload|config|pinfo2?|psearch|pdoc|pdef|psource|pfile|who(_ls|s)?|lsmagic|"
    r"magic|quickref|history|hist|pwd|"
    # It measures only: its names are not kept, and nobody knows how often it ran.
    r"timeit"
)
_INSTALLERS = frozenset(("pip", "conda", "mamba", "micromamba", "uv"))
_INSTALL = re.compile(r"\s*(?:\S*python[\d.]*\s+-m\s+)?(?:pip[\d.]*|conda|mamba|uv)\s[^;&|]*\binstall\b[^;&|]*")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def to_python(call: Call, place: Place) -> str | None:
    """Return the source that replaces `call`, or None when a script does not need it.

    Raises
    ------
    ExportRefusedError, UsageError
        When there is none; the message does not say where.
    """
    if call.magic == "!":
        return _shell(call, place)
    name = call.arguments[0]
    if call.magic in _BLOCKS and isinstance(call.statement, ast.With):
        module, function = _BLOCKS[call.magic]
        return f"{place.module(module)}{function}()"
    if call.method == "run_line_magic":
        if _is_ours(call):
            return _ours(call, place)
        if name in ("env", "set_env"):
            return _env(call, place)
        if call.whole and name in _STATEMENTS:
            return _STATEMENTS[name](call, place)
        times_nothing = name in ("time", "prun") and not call.line.strip()
        if _DROPPED.fullmatch(name) or is_install(call) or times_nothing:
            return _dropped(call)
    if call.method == "run_cell_magic" and call.whole and (python := cells.to_python(call, place)) is not None:
        return python
    if is_drawing(call):
        return None
    return _of_others(call, place)


def is_drawing(call: Call) -> bool:
    """Whether the cell is only there to be looked at."""
    return call.method == "run_cell_magic" and call.whole and cells.DRAWN.fullmatch(call.arguments[0]) is not None


def _of_others(call: Call, place: Place) -> str:
    translation = translators.translate(call)
    if translation is None:
        raise UnknownMagicError(f"{call.magic} has no translation.", hint="Remove it, or tag the cell `skip`.")
    for statement in translation.imports:
        place.imports.add(statement)
    return translation.expression


class UnknownMagicError(ExportRefusedError):
    """Nobody has a translation of the magic."""


def is_install(call: Call) -> bool:
    """Whether the line installs packages: that is for the requirements, not for the script."""
    if call.magic == "!":
        return _INSTALL.fullmatch(call.line) is not None
    return call.arguments[0] in _INSTALLERS and "install" in call.line.split()


def remark(call: Call) -> str:
    """Return the comment at the end of a line of ours."""
    return comment(call.line) if _is_ours(call) else ""


def bound_names(call: Call) -> set[str]:
    """Return the names that a line binds; '*' for those that nobody can see."""
    if not call.whole or call.method != "run_line_magic":
        return set()
    if not _is_ours(call):
        return {"*"} if call.arguments[0] == "run" else set()
    try:
        spec = parse_magic(call.arguments[0], call.line)
    except HelpRequest:
        return set()
    return {target(spec)} if spec.verb.binds else set()


def _is_ours(call: Call) -> bool:
    return call.method == "run_line_magic" and call.arguments[0] in MAGICS


def _ours(call: Call, place: Place) -> str | None:
    try:
        spec = parse_magic(call.arguments[0], call.line)
    except HelpRequest:
        return _dropped(call)
    source, show = place.module("jg") + place.decide(spec).expression().removeprefix("jg"), "print"
    if spec.verb.function == "save":
        function, bracket, rest = source.partition("(")
        first = place.module("first")
        source, show = f"{first}({function}){bracket}{rest}", f"{first}(print)"
    if not call.whole:
        if spec.output is not None:
            raise ExportRefusedError(
                "The result gets two names, and the first is None in the notebook.",
                hint=f"Leave out `-o {spec.output}` or the assignment.",
            )
        if spec.replaces:
            raise ExportRefusedError("--replace needs the name.", hint="Write the line with -o NAME, unassigned.")
        return source
    if not spec.verb.binds:
        return f"{show}({source})"
    name = target(spec)
    if any(isinstance(scope, _FUNCTIONS) for scope in call.scopes):
        raise ExportRefusedError(
            f"{call.magic} in a function binds {name} outside of it.",
            hint=f"Write {name} = {call.magic} … without -o.",
        )
    return assignment(spec, name, source)


def _shell(call: Call, place: Place) -> str | None:
    if call.whole and is_install(call):
        return None
    shows, more = call.method == "system" or call.whole, ", check=True" if place.checks else ""
    return f"{place.module('shell')}.{'run' if shows else 'capture'}({place.text(call.line)}{more})"


def _env(call: Call, place: Place) -> str | None:
    line = call.line.strip()
    name, mark, value = line.partition("=" if "=" in line else " ")
    name, value = name.strip(), value.strip()
    if not mark:
        return _dropped(call) if call.whole or not name else f"{place.module('os')}.environ[{quote(name)}]"
    if not call.whole or not re.fullmatch(r"[^\s{}$]+", name):
        raise ExportRefusedError(f"{call.typed} has no translation.", hint="Set os.environ in Python.")
    return f"{place.module('os')}.environ[{quote(name)}] = {place.text(value)}"


def _cd(call: Call, place: Place) -> str:
    words = [one for one in tokenize(call.line) if one.literal != "-q"]
    if any((one.literal or "").startswith("-") for one in words):
        raise ExportRefusedError(f"{call.typed} has no translation.", hint="Name the folder.")
    parts = [part for one in words for part in (" ", *one.parts)][1:]
    folder, os = place.decide(word(*(parts or ["~"]))), place.module("os")
    if folder.literal is not None and not folder.literal.startswith("~"):
        return f"{os}.chdir({folder.to_python()})"
    return f"{os}.chdir({os}.path.expanduser({folder.to_python()}))"


def _run(call: Call, place: Place) -> str:
    words = tokenize(call.line)
    literals = [one.literal or "" for one in words]
    if not words or literals[0].startswith("-") or comment(call.line) or any(set("*?[") & set(one) for one in literals):
        raise ExportRefusedError(
            f"{call.typed} has no translation.", hint="Write the file and its arguments, without options and wildcards."
        )
    if literals[0].endswith((".ipy", ".ipynb")):
        raise ExportRefusedError(
            f"{call.typed} needs IPython.", hint="Export that notebook as well, and run its script."
        )
    arguments = ", ".join(place.decide(one).to_python() for one in words)
    return f"globals().update({place.module('run_file')}({arguments}))"


def _dropped(call: Call) -> str | None:
    if not call.whole:
        raise ExportRefusedError(
            f"{call.magic} gives a value only in a notebook.", hint="Remove it, or tag the cell `skip`."
        )
    return None


# IPython's own that a statement of Python stands for.
_STATEMENTS = {"cd": _cd, "run": _run}
