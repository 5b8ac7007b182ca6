"""A link with a secret in a cell: it becomes a connection, and the cell says the connection's name instead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.commands.word import word
from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.magics.scrub import kept_out, running_cell, scrub, swapper
from jupyter_gpu_ext.storage import connections, links
from jupyter_gpu_ext.storage.connect import expiry_words
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_gpu_ext.commands.grammar import Spec
    from jupyter_gpu_ext.storage.connect import Connected

_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of the link."""

    made: Connected
    line: str
    cleaned: bool

    def sentence(self, done: str) -> str:
        """Return what the person is told; `done` is what happened besides: 'Loaded', '' when the line failed.

        A notebook takes a cell's new text only from a cell that succeeded.
        """
        rights = "may write" if self.made.trial.grants.write else "read-only"
        end = f", {expiry_words(self.made.expires_at)}" if self.made.expires_at else ""
        now = f"{done}; the cell now says" if done else "It is connected, but still in the cell; write there"
        said = f"This cell held a secret link ({rights}{end}). {now} `{redact(self.line)}`."
        trace = "" if self.cleaned else " IPython's history still has it: `%history -g` shows, delete history.sqlite."
        return f"{said} — If this notebook was shared or committed before, ask for a new link.{trace}"


def adopt(shell: InteractiveShell, spec: Spec, arguments: list[Any], options: Mapping[str, Any]) -> Adopted | None:
    """Connect the secret link that is the line's URL, and take it out of cell and history.

    Returns
    -------
    Adopted or None
        None when the line holds no secret.
    """
    link = arguments[spec.url_at] if arguments else None
    if not isinstance(link, str) or not links.has_secret(link):
        return None
    if link.partition("://")[0] in connections.load().connections:
        # A key is taken literally, whatever it looks like.
        return None
    hidden = dict.fromkeys(_secrets(link), _HIDDEN)
    wanted = options if spec.verb.function == "connect" else {}
    with kept_out(shell, {**hidden, link: _HIDDEN}):
        made = jg.connect(link, **wanted)
    texts = {**hidden, link: made.url}
    before = running_cell(shell)
    after = swapper(texts)(before)
    cleaned = scrub(shell, texts)
    if after != before:
        shell.set_next_input(after, replace=True)
    lines = (line.strip() for line in after.splitlines())
    return Adopted(made, next((line for line in lines if made.url in line), made.url), cleaned)


def renamed(spec: Spec, made: Connected) -> Spec:
    """Return the line's Spec with the name-URL in place of the link."""
    arguments = list(spec.arguments)
    arguments[spec.url_at] = word(made.url)
    return replace(spec, arguments=tuple(arguments))


def _secrets(link: str) -> set[str]:
    """Return the forms of a link's secret that a cell may hold."""
    found = {link}
    try:
        secret = links.parse(link).secret
    except GpuExtError:
        secret = None
    value = secret.reveal() if secret else ""
    found |= {value, unquote(value)}
    for part in (*value.split("&"), *link.partition("?")[2].split("&")):
        if part.startswith("sig="):
            found |= {part[4:], unquote(part[4:])}
    return {one for one in found if len(one) > 8}
