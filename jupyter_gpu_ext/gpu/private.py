"""Takes out of a report what is nobody else's business: secrets, the home folder, the names of person and machine."""

from __future__ import annotations

import os
import pwd
import re
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_gpu_ext.text import redact

# Names that say nothing about a person or a machine, and may stand in a path for another reason.
_COMMON = frozenset({"root", "user", "jovyan", "ubuntu", "localhost", "cuda", "nvidia", "torch", "python", "data"})


def private(value: Any) -> Any:
    """Return plain data with every text shortened to what may be handed on.

    Examples
    --------
    >>> private({"a": [str(Path.home() / "env"), 1]})
    {'a': ['~/env', 1]}
    """
    if isinstance(value, dict):
        return {key: private(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [private(inner) for inner in value]
    return _shortened(value) if isinstance(value, str) else value


def _shortened(text: str) -> str:
    for pattern, instead in _patterns():
        text = pattern.sub(instead, text)
    return redact(text)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    homes = {str(Path.home()), os.environ.get("HOME", "")} - {"", "/"}
    found = [(rf"{re.escape(home)}(?=/|\b)", "~") for home in sorted(homes, key=len, reverse=True)]
    found += [(rf"(?<=/){re.escape(name)}(?=/|$|[\s:'\"])", "USER") for name in _people()]
    found += [(rf"\b{re.escape(name)}\b", "HOST") for name in _machines()]
    return tuple((re.compile(pattern), instead) for pattern, instead in found)


def _people() -> set[str]:
    names = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "JUPYTERHUB_USER")}
    with suppress(KeyError):
        names.add(pwd.getpwuid(os.getuid()).pw_name)
    return {name for name in names if len(name) > 2} - _COMMON


def _machines() -> set[str]:
    whole = socket.gethostname()
    return {name for name in (whole, whole.partition(".")[0]) if len(name) > 3} - _COMMON
