"""The parameters of a script: from the command line, the environment or a file, else as the notebook has them."""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# A parameter may be given as an environment variable of this name and its own in capital letters.
PREFIX = "PARAM_"
# What a parameter cannot be called, for the script has an option of that name.
RESERVED = frozenset(("help", "config", "connections", "log_json", "preflight_only", "skip_preflight", "local_rank"))
_PLAIN = (int, float, str, bool, type(None))
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_KINDS: Mapping[str, type] = {
    "int": int, "float": float, "str": str, "bool": bool, "list": list, "tuple": tuple, "dict": dict, "set": set,
}  # fmt: skip
_OPTIONAL = re.compile(r"(?:typing\.)?Optional\[(.*)\]|(.*?)\s*\|\s*None|None\s*\|\s*(.*)", re.DOTALL)
_LITERAL = re.compile(r"(?:typing\.)?Literal(\[.*\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    name : str
        As the notebook calls it.
    default : object
        What the notebook gives it.
    annotation : str
        Its type as the notebook writes it; the type of `default` where that says nothing.
    help : str
        The notebook's comment.
    """

    name: str
    default: Any
    annotation: str = ""
    help: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """The options that give it: `--batch-size` and `--batch_size`."""
        dashed = self.name.lstrip("_").replace("_", "-")
        return tuple(dict.fromkeys((f"--{dashed}", f"--{self.name}"))) if self.name[0] != "_" else (f"--{self.name}",)

    @property
    def variable(self) -> str:
        """The environment variable that gives it."""
        return PREFIX + self.name.upper()

    @property
    def choices(self) -> tuple[Any, ...]:
        """The only values, for `Literal[…]`; else empty."""
        found = _LITERAL.fullmatch(self._bare()[0])
        return tuple(ast.literal_eval(found.group(1))) if found else ()

    @property
    def kind(self) -> type:
        """The type of its values; NoneType where nothing tells it."""
        known = _KINDS.get(self._bare()[0].partition("[")[0].strip())
        return known or (type(self.choices[0]) if self.choices else type(self.default))

    def read(self, text: str) -> Any:
        """Return the value that `text` is.

        Raises
        ------
        BadRequestError
            When it is none of the parameter's type.
        """
        if text == "None" and (self.default is None or self._bare()[1]):
            return None
        try:
            return self.check(_read(self.kind, text))
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            if isinstance(error, BadRequestError):
                raise
            raise self._refusal(text) from None

    def check(self, value: Any) -> Any:
        """Return a value of a file as one of the parameter's type, or raise."""
        kind = self.kind
        if kind is float and type(value) is int:
            value = float(value)
        elif kind in (tuple, set) and isinstance(value, list):
            value = kind(value)
        allowed = value is None and (self.default is None or self._bare()[1])
        if not allowed and kind is not type(None) and type(value) is not kind:
            raise self._refusal(value)
        if self.choices and value not in self.choices:
            raise self._refusal(value)
        return value

    def _bare(self) -> tuple[str, bool]:
        """Return the annotation without `| None`, and whether it had that."""
        found = _OPTIONAL.fullmatch(self.annotation.strip())
        return (
            (next(one for one in found.groups() if one is not None).strip(), True)
            if found
            else (
                self.annotation.strip(),
                False,
            )
        )

    def _refusal(self, value: Any) -> BadRequestError:
        if self.choices:
            return BadRequestError(f"{self.name} is one of {', '.join(map(repr, self.choices))}; not {value!r}.")
        return BadRequestError(f"{self.name} is of type {self.kind.__name__}; {value!r} is not.")


def add(parser: argparse.ArgumentParser, parameters: Sequence[Parameter]) -> None:
    """Add an option for each parameter; one that is not given leaves no value."""
    group = parser.add_argument_group("parameters", "each also as an environment variable, or by name in --config")
    for one in parameters:
        help_text = " ".join(filter(None, (one.help, f"(default: {one.default!r}; {one.variable})"))).replace("%", "%%")
        options: dict[str, Any] = {"dest": one.name, "default": argparse.SUPPRESS, "help": help_text}
        if one.kind is bool:
            group.add_argument(*one.flags, action=argparse.BooleanOptionalAction, **options)
        else:
            shown = "{" + ",".join(map(str, one.choices)) + "}" if one.choices else one.kind.__name__.upper()
            group.add_argument(*one.flags, type=_reader(one), metavar=shown.replace("NONETYPE", "VALUE"), **options)


# What this program was started with; nothing outside of an exported script.
_GIVEN: dict[str, Any] = {}


def note(values: Mapping[str, Any]) -> None:
    """Remember what this program was started with."""
    _GIVEN.update(values)


def given() -> dict[str, Any]:
    """Return what this program was started with, as plain data."""
    return {name: value if isinstance(value, _PLAIN) else repr(value) for name, value in _GIVEN.items()}


def settle(parameters: Sequence[Parameter], typed: Mapping[str, Any], config: Path | None) -> dict[str, Any]:
    """Return each parameter's value: as typed, else of the environment, else of the file, else the notebook's.

    Raises
    ------
    BadRequestError
        For a value of another type, and a file that cannot be read or names what is no parameter.
    """
    filed = _filed(parameters, config) if config else {}
    values = {}
    for one in parameters:
        if one.name in typed:
            values[one.name] = typed[one.name]
        elif (text := os.environ.get(one.variable)) is not None:
            values[one.name] = one.read(text)
        else:
            values[one.name] = filed.get(one.name, one.default)
    return values


def _filed(parameters: Sequence[Parameter], path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BadRequestError(f"--config {path} cannot be read: {error}", hint="It is JSON, or TOML.") from None
    known = {one.name: one for one in parameters}
    if not isinstance(found, dict):
        raise BadRequestError(f"--config {path} holds no names with values.", hint='Write {"name": value, …}.')
    for name in found.keys() - known.keys():
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"One of: {', '.join(known) or 'none'}."
        raise BadRequestError(f"--config {path}: {name!r} is no parameter.", hint=hint)
    return {name: known[name].check(value) for name, value in found.items()}


def _reader(parameter: Parameter) -> Any:
    def read(text: str) -> Any:
        try:
            return parameter.read(text)
        except BadRequestError as error:
            raise argparse.ArgumentTypeError(error.message) from None

    return read


def _read(kind: type, text: str) -> Any:
    if kind is bool:
        word = text.strip().lower()
        if word not in _TRUE + _FALSE:
            raise ValueError
        return word in _TRUE
    if kind in (int, float, str):
        return kind(text)
    try:
        return json.loads(text)
    except ValueError:
        if kind is type(None) and not re.match(r"[\[({'\"\d+-]", text.strip()):
            return text
        return ast.literal_eval(text.strip())
