"""`latest.json`: which steps of a run are whole, newest first; the only file of a run that is ever replaced. Pure."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from jupyter_gpu_ext.errors import TensorFormatError

NAME = "latest.json"

_FORMAT = 1
_STEP = re.compile(r"step-\d{8,}-[0-9a-f]{8}\.pt")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step that was written to its end.

    Attributes
    ----------
    name : str
        Of the object, beside the pointer.
    sha256 : str
        Of the object's bytes, in hex.
    """

    step: int
    name: str
    size_bytes: int
    sha256: str


def new_name(step: int) -> str:
    """Return a name for a step's object that no earlier attempt has: what a pointer says is never written again."""
    return f"step-{step:08d}-{secrets.token_hex(4)}.pt"


def steady_name(name: str) -> str:
    """Return a step's name as it is in every run: without what each attempt makes its own.

    Examples
    --------
    >>> steady_name("step-00000003-5b8c1e97.pt")
    'step-00000003.pt'
    """
    return f"{name.rpartition('-')[0]}.pt" if is_step(name) else name


def is_step(name: str) -> bool:
    """Return whether an object's name is one of ours."""
    return _STEP.fullmatch(name) is not None


def moved(steps: tuple[Step, ...], new: Step, *, keep: int) -> tuple[Step, ...]:
    """Return the steps that a run has after `new`: a run that went back has no later ones any more."""
    return (new, *(one for one in steps if one.step < new.step))[:keep]


def to_bytes(steps: tuple[Step, ...]) -> bytes:
    """Return the pointer's text."""
    return json.dumps({"format": _FORMAT, "steps": [asdict(one) for one in steps]}, indent=1).encode()


def from_bytes(raw: bytes, shown: str) -> tuple[Step, ...]:
    """Return the steps that a pointer names.

    Raises
    ------
    TensorFormatError
        When it is not one of ours; a run must not begin anew, and tidy up, because of that.
    """
    try:
        found = json.loads(raw)
        if found["format"] != _FORMAT:
            raise ValueError
        return tuple(_step(one) for one in found["steps"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise TensorFormatError(
            f"{shown} is no list of checkpoints that is read here.",
            hint="Put it right, or use another folder; the steps beside it are untouched.",
        ) from None


def _step(found: dict[str, Any]) -> Step:
    step = Step(**found)
    numbers = (step.step, step.size_bytes)
    if not is_step(step.name) or not _SHA256.fullmatch(step.sha256) or any(type(one) is not int for one in numbers):
        raise ValueError
    return step
