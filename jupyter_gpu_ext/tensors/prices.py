"""What requests and bytes cost in money: by the prices that a person has set, else nothing is said.

JUPYTER_GPU_PRICES="list=0.055, head=0.0044, get=0.0044, gb=0.02, currency=EUR": for ten thousand requests of a class,
as providers have them on their lists, and for a gigabyte read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "JUPYTER_GPU_PRICES"
CLASSES = ("list", "head", "get")
_REQUESTS = 10_000
_HINT = f'{VARIABLE}="list=0.055, head=0.0044, get=0.0044, gb=0, currency=EUR": for 10,000 requests, for a gigabyte.'


def price(environ: Mapping[str, str], requests: Mapping[str, int], bytes_read: int) -> tuple[float, str] | None:
    """Return an amount and its currency; None where no prices are set.

    Parameters
    ----------
    requests : mapping of str to int
        By class: 'list', 'head', 'get'.

    Raises
    ------
    BadRequestError
        When the variable is not of its form.
    """
    text = environ.get(VARIABLE, "").strip()
    if not text:
        return None
    found = dict(_pair(part) for part in text.split(","))
    currency = found.pop("currency", "")
    prices = {name: _number(name, value) for name, value in found.items()}
    amount = sum(requests.get(one, 0) * prices.get(one, 0.0) for one in CLASSES) / _REQUESTS
    return amount + bytes_read / 1e9 * prices.get("gb", 0.0), currency[:8]


def _pair(part: str) -> tuple[str, str]:
    name, _, value = (one.strip() for one in part.partition("="))
    if name not in (*CLASSES, "gb", "currency") or not value:
        raise BadRequestError(f"{VARIABLE} has {printable(part.strip()[:40])!r}.", hint=_HINT)
    return name, printable(value)


def _number(name: str, value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not (math.isfinite(found) and found >= 0):
        raise BadRequestError(f"{VARIABLE} has {name}={value[:40]!r}, which is no price.", hint=_HINT)
    return found
