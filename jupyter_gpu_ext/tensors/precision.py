"""Which storages are converted to another floating point type on their way in, and what they take then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.tensors.models import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.tensors.plan import FetchPlan

FLOATS = tuple(name for name in ITEM_BYTES if name.startswith(("float", "bfloat")))
_SHORT = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "half": "float16", "float": "float32"}


def parse_dtype(dtype: Any) -> str | None:
    """Return the name of a floating point type: of 'bfloat16', 'bf16', `torch.bfloat16`; None of None.

    Raises
    ------
    BadRequestError
        For anything else.
    """
    if dtype is None:
        return None
    text = str(dtype).removeprefix("torch.")
    name = _SHORT.get(text, text)
    if name not in FLOATS:
        raise BadRequestError(f"{text!r} is no floating point type.", hint=f"One of {', '.join(FLOATS)}.")
    return name


def conversions(plan: FetchPlan, wanted: str | None) -> dict[str, tuple[str, str]]:
    """Return for each storage that is converted as a whole its type and the wanted one.

    Whole numbers and complex ones stay as they are, as in `Module.to(dtype)`; so does a storage whose tensors see it as
    several types, whose tensors are converted one by one.
    """
    if wanted is None:
        return {}
    types: dict[str, set[str]] = {}
    for one in plan.tensors.values():
        types.setdefault(one.storage, set()).add(one.dtype)
    return {
        key: (old, wanted) for key, (old, *others) in types.items() if not others and old in FLOATS and old != wanted
    }


def stored_bytes(plan: FetchPlan, changed: Mapping[str, tuple[str, str]]) -> dict[str, int]:
    """Return what each storage takes on its device in the end."""
    return {
        key: span.size_bytes // ITEM_BYTES[changed[key][0]] * ITEM_BYTES[changed[key][1]]
        if key in changed
        else span.size_bytes
        for key, span in plan.spans.items()
    }


def converted_bytes(plan: FetchPlan, changed: Mapping[str, tuple[str, str]]) -> int:
    """Return what the tensors take on the device in the end."""
    return sum(stored_bytes(plan, changed).values())


def most_bytes(plan: FetchPlan, changed: Mapping[str, tuple[str, str]]) -> int:
    """Return what they take at most on the way: a storage is there twice while it is converted."""
    return converted_bytes(plan, changed) + max((plan.spans[key].size_bytes for key in changed), default=0)
