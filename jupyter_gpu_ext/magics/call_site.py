"""Whether a magic's result is used: `x = %load_blob …` binds for itself, the bare line binds a name."""

from __future__ import annotations

import dis
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

# What follows the call where nobody takes its value: dropped, or shown by the prompt.
_UNUSED = frozenset({"POP_TOP", "PRINT_EXPR", "CALL_INTRINSIC_1"})
_SILENT = frozenset({"CACHE", "NOP", "RESUME", "EXTENDED_ARG"})
# `%time` evaluates its line as an expression and shows what that gives.
_SHOWN_BY_TIME = ("RETURN_VALUE", "<timed eval>")


def calling(namespace: dict[str, Any]) -> FrameType | None:
    """Return the frame of the person's code that is calling now: a cell's, or that of a function written in one."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- documented, for exactly this
    while frame is not None and frame.f_globals is not namespace:
        frame = frame.f_back
    return frame


def is_assigned(frame: FrameType | None) -> bool:
    """Tell whether the code of `frame` uses the value of its current call.

    A magic is told its line, not what is done with its value; the instruction after the call tells.
    """
    if frame is None:
        return False
    after = (one.opname for one in dis.get_instructions(frame.f_code) if one.offset > frame.f_lasti)
    name = next((name for name in after if name not in _SILENT), "POP_TOP")
    return name not in _UNUSED and (name, frame.f_code.co_filename) != _SHOWN_BY_TIME
