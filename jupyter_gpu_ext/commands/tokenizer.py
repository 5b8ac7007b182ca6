"""From a command line to words: quotes, braces, variables, comments.

The rules are the shell's where a shell has them (quotes group, a backslash escapes, a comment is
white space followed by `#`), and these where it has none:

- `{expression}` is one token however many spaces, quotes or commas lie inside;
- `{a,b}` and `{1..3}` are globs and stay as they are;
- `{{` and `}}` are braces, `$$` before a name is a dollar sign;
- a `;` at the end, by which a notebook silences a line, is dropped.
"""

from __future__ import annotations

import ast
import re

from jupyter_gpu_ext.commands.word import Expression, Part, Variable, Word, word
from jupyter_gpu_ext.errors import UsageError

_NAME = re.compile(r"[A-Za-z_]\w*")
_NUMBERS = re.compile(r"-?\d+\.\.-?\d+")


def tokenize(line: str) -> list[Word]:
    """Split `line` into words.

    Raises
    ------
    UsageError
        For a quote or a brace that is never closed, or braces that hold no Python expression.
    """
    line = line.removesuffix(comment(line)).rstrip()
    return _Scanner(line if line.endswith("\\;") else line.removesuffix(";")).words()


def comment(line: str) -> str:
    """Return the comment that ends `line`, from its `#` on, or nothing."""
    scanner = _Scanner(line)
    scanner.words()
    return line[scanner.at :]


class _Scanner:
    def __init__(self, line: str) -> None:
        self.line, self.at = line, 0

    def words(self) -> list[Word]:
        found = []
        while self._skip_space():
            if self.line[self.at] == "#":
                break
            found.append(word(*self._word()))
        return found

    def _skip_space(self) -> bool:
        while self.at < len(self.line) and self.line[self.at].isspace():
            self.at += 1
        return self.at < len(self.line)

    def _word(self) -> list[Part]:
        parts: list[Part] = []
        while self.at < len(self.line) and not (char := self.line[self.at]).isspace():
            if char in "\"'":
                parts += self._quoted(char)
            elif char == "\\" and self.at + 1 < len(self.line):
                parts.append(self.line[self.at + 1])
                self.at += 2
            else:
                parts.append(self._part())
        return parts

    def _quoted(self, mark: str) -> list[Part]:
        start, parts = self.at, list[Part]()
        self.at += 1
        while self.at < len(self.line):
            char = self.line[self.at]
            if char == mark:
                self.at += 1
                return parts
            if char == "\\" and mark == '"' and self.line[self.at + 1 : self.at + 2] in ('"', "\\"):
                parts.append(self.line[self.at + 1])
                self.at += 2
            else:
                parts.append(self._part())
        raise UsageError(f"The quote at column {start + 1} is never closed.", hint=f"End it with {mark}.")

    def _part(self) -> Part:
        char = self.line[self.at]
        if self.line.startswith(("{{", "}}"), self.at):
            self.at += 2
            return char
        if char == "{":
            return self._braces()
        if char == "$":
            return self._dollar()
        self.at += 1
        return char

    def _dollar(self) -> Part:
        escaped = self.line.startswith("$$", self.at)
        name = _NAME.match(self.line, self.at + 1 + escaped)
        if name is None:
            self.at += 1
            return "$"
        self.at = name.end()
        return f"${name.group()}" if escaped else Variable(name.group())

    def _braces(self) -> Part:
        start = self.at
        for end in _closing_braces(self.line, start):
            inner = self.line[start + 1 : end].strip()
            if _is_glob(inner):
                self.at = end + 1
                return self.line[start : end + 1]
            if _is_expression(inner):
                self.at = end + 1
                return Expression(inner)
        raise UsageError(
            f"The braces at column {start + 1} hold no Python expression: {self.line[start:]}",
            hint="Compute the value in a line above, or write {{ and }} for plain braces.",
        )


def _closing_braces(line: str, start: int) -> list[int]:
    # A `}` may lie inside a string of the expression, so each one is tried, the nearest first.
    return [at for at in range(start + 1, len(line)) if line[at] == "}"]


def _is_expression(source: str) -> bool:
    try:
        ast.parse(source, mode="eval")
        # A comment would swallow what follows the expression in its call.
        ast.parse(f"({source})", mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _is_glob(source: str) -> bool:
    if _NUMBERS.fullmatch(source):
        return True
    if "," not in source or source[:1] in "([{":
        return False
    if not _is_expression(source):
        # `model.*,head.*` is no Python, and no other reading is left for it.
        return not set(source) & set("()[]{}'\" ")
    return isinstance(ast.parse(source, mode="eval").body, ast.Tuple)
