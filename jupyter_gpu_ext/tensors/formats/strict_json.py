"""JSON as its standard has it: what Python's parser takes beyond that is refused."""

from __future__ import annotations

import json
from typing import Any

from jupyter_gpu_ext.errors import TensorFormatError

_DAMAGED = "The file is damaged; write or copy it again."


def parse_object(raw: bytes, subject: str) -> dict[str, Any]:
    """Parse a JSON object.

    Parameters
    ----------
    subject : str
        Begins the sentence of the error: 'x.json is a file that'.

    Raises
    ------
    TensorFormatError
        For what is no JSON object, names a key twice, or holds NaN or half a character.
    """
    try:
        # Decoded here: the parser itself would take UTF-16 and half characters.
        found = json.loads(raw.decode(), object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise TensorFormatError(f"{subject} is not valid JSON.", hint=_DAMAGED) from error
    if not isinstance(found, dict):
        raise TensorFormatError(f"{subject} is no JSON object.", hint=_DAMAGED)
    return found


def _no_constant(name: str) -> None:
    # NaN and Infinity are Python's, not JSON's.
    raise ValueError(name)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A library that keeps the last of two equal keys would load something else than what was listed.
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError
    for text in (*found, *found.values()):
        if isinstance(text, str):
            # An escape can write half a character, which no terminal and no file takes.
            text.encode()
    return found
