"""A Dockerfile as its instructions, and what compose makes of its variables: enough to hold rules against both."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"

_FROM = re.compile(r"(?P<image>\S+) AS (?P<name>\w+)")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: what it starts from, and its instructions in order."""

    name: str
    image: str
    lines: tuple[tuple[str, str], ...]

    def every(self, word: str) -> list[str]:
        """Return what follows each instruction of that name."""
        return [rest for found, rest in self.lines if found == word]

    def exec_form(self, word: str) -> list[str]:
        """Return the words of the last one, which has to be a JSON array."""
        words = json.loads(self.every(word)[-1])
        assert all(isinstance(one, str) for one in words)
        return words

    def variables(self) -> dict[str, str]:
        """Return what ENV sets."""
        return dict(re.findall(r"(\w+)=(\S+)", " ".join(self.every("ENV"))))


def read(path: Path = DOCKER / "Dockerfile") -> tuple[dict[str, str], dict[str, Stage]]:
    """Return the arguments before the first stage, and the stages by name."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [tuple(line.strip().split(None, 1)) for line in text.splitlines() if line.strip()]
    arguments: dict[str, str] = {}
    stages: list[tuple[str, str, list[tuple[str, str]]]] = []
    for word, rest in lines:
        if word == "FROM":
            match = _FROM.fullmatch(rest)
            assert match, rest
            stages.append((match["name"], match["image"], []))
        elif stages:
            stages[-1][2].append((word, rest))
        else:
            assert word == "ARG", word
            name, _, value = rest.partition("=")
            arguments[name] = value.strip('"')
    return arguments, {name: Stage(name=name, image=image, lines=tuple(rows)) for name, image, rows in stages}


def filled(text: str, given: Mapping[str, str]) -> str:
    """Return a text with `${NAME}` and `${NAME:-default}` as compose and docker fill them in."""
    return _VARIABLE.sub(lambda match: given.get(match[1]) or match[2] or "", text)
