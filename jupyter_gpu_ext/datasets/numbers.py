"""Whole numbers that people give."""

from __future__ import annotations

import operator
from typing import Any

from jupyter_gpu_ext.errors import BadRequestError


def whole(given: Any, least: int, name: str, hint: str) -> int:
    """Return a number as Python's own; numpy's are taken as well.

    Parameters
    ----------
    given : int
        What a person wrote.
    name : str
        Of what is given, to be told.
    hint : str
        How it is written.

    Raises
    ------
    BadRequestError
        When it is no whole number, or less than `least`.
    """
    try:
        number = operator.index(given)
    except TypeError:
        number = None
    if number is None or isinstance(given, bool) or number < least:
        raise BadRequestError(f"{name} is a whole number, {least} or more.", hint=hint)
    return number


def memory(given: Any) -> int:
    """Return `memory_bytes`; see `whole`."""
    return whole(given, 1, "memory_bytes", "memory_bytes=512 << 20 for 512 MiB.")
