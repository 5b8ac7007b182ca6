"""Which verb a line means: the families `blob` and `gpu`, and the short forms."""

from __future__ import annotations

import difflib
from itertools import takewhile
from typing import TYPE_CHECKING

from jupyter_gpu_ext.commands import blob, gpu
from jupyter_gpu_ext.commands.grammar import Spec, Verb, parse
from jupyter_gpu_ext.commands.tokenizer import tokenize
from jupyter_gpu_ext.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_gpu_ext.commands.word import Word

FAMILIES: Mapping[str, Mapping[str, Verb]] = {"blob": blob.VERBS, "gpu": gpu.VERBS}

# A magic's name to the words that it stands for.
_MAGICS = {"blob": ("blob",), "gpu": ("gpu",), "load_blob": ("blob", "load"), "save_blob": ("blob", "save")}
_DEFAULTS = {"gpu": "status"}

MAGICS = frozenset(_MAGICS)


def parse_magic(magic: str, line: str) -> Spec:
    """Return the Spec of `%magic line`.

    Raises
    ------
    UsageError
        One sentence and a hint for whatever is wrong with the line.
    HelpRequest
        When the line asks for help.
    """
    family, *given = _MAGICS[magic]
    words = tokenize(line)
    verb, rest = choose(family, given, words)
    spec = read(verb, rest)
    if verb.needs_terminal:
        here = "" if verb.gives_data else "; %gpu shows the numbers here"
        raise UsageError(f"{verb.name} needs a terminal.", hint=f"Run `jupyter {verb.name}` there{here}.")
    return spec


def choose(family: str, given: Sequence[str], words: Sequence[Word]) -> tuple[Verb, list[Word]]:
    """Return the verb that `given` and the first of `words` name, and the words that are left."""
    verbs = FAMILIES[family]
    if given:
        return verbs[given[0]], list(words)
    first = words[0].shown() if words else _DEFAULTS.get(family, "--help")
    if first in ("--help", "-h"):
        raise HelpRequest(family_help(family))
    if first in verbs:
        return verbs[first], list(words[1:])
    if (two := " ".join(one.shown() for one in words[:2])) in verbs:
        return verbs[two], list(words[2:])
    if below := {name: verb for name, verb in verbs.items() if name.startswith(f"{first} ")}:
        return _choose_below(family, first, below, words[1:])
    if first.startswith("-") and family in _DEFAULTS:
        return verbs[_DEFAULTS[family]], list(words)
    close = difflib.get_close_matches(first, verbs, n=1)
    hint = f"Did you mean {family} {close[0]}?" if close else f"One of: {', '.join(verbs)}."
    raise UsageError(f"{family} has no verb {first!r}.", hint=hint)


def _choose_below(family: str, first: str, below: Mapping[str, Verb], words: Sequence[Word]) -> tuple[Verb, list[Word]]:
    if not words or words[0].literal in ("--help", "-h"):
        raise HelpRequest(_table(family, below))
    names = [name.removeprefix(f"{first} ") for name in below]
    raise UsageError(f"{family} {first} has no verb {words[0].shown()!r}.", hint=f"One of: {', '.join(names)}.")


def read(verb: Verb, words: Sequence[Word]) -> Spec:
    """Parse `words` for `verb`, unless they ask for help."""
    options = takewhile(lambda one: one.literal != "--", words)
    if any(one.literal in ("--help", "-h") for one in options):
        raise HelpRequest(verb.usage(), has_json=verb.gives_data or not verb.needs_terminal)
    return parse(verb, words)


def family_help(family: str) -> str:
    """Return the list of a family's verbs."""
    return _table(family, FAMILIES[family])


def _table(family: str, verbs: Mapping[str, Verb]) -> str:
    width = max(map(len, verbs))
    lines = [f"  {family} {name:<{width}}  {verb.summary}" for name, verb in verbs.items()]
    return "\n".join([*lines, "", f"Options of one: {family} VERB --help"])


class HelpRequest(Exception):  # noqa: N818 -- not an error: it carries the text that was asked for
    """The line asks for help; `text` is the answer, `has_json` whether the verbs in it give plain data."""

    def __init__(self, text: str, *, has_json: bool = True) -> None:
        super().__init__(text)
        self.text = text
        self.has_json = has_json
