"""Every loss asks first, and says what it will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


def agreed(question: str, ask: Callable[[str], str] | None) -> bool:
    """Ask and return whether the answer is yes; anything else is no.

    Parameters
    ----------
    ask : callable or None
        Shows a prompt and returns what was typed; None where nobody is there to be asked.

    Raises
    ------
    UsageError
        When nobody answers.
    """
    try:
        answer = None if ask is None else ask(f"{question} [y/N] ")
    except (EOFError, RuntimeError, OSError):
        # A notebook that is run without a person: its kernel may not ask.
        answer = None
    if answer is None:
        raise UsageError(f"{question} Nobody is here to say so.", hint="Add --yes.")
    return answer.strip().lower() in ("y", "yes")
