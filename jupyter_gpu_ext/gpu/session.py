"""What the process that asks the doctor knows of itself; nothing is imported or opened for it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.facts import Session
from jupyter_gpu_ext.gpu.messages import known_line
from jupyter_gpu_ext.gpu.private import private

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LD_LIBRARY_PATH")


def look() -> Session:
    """Return the facts of this process."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    line = known_line(error) if isinstance(error, BaseException) else None
    count = _open_devices()
    session = Session(
        last_error=None if line is None else private(line),
        changed_variables=_changed(os.environ, _at_start()),
        device_count=count,
    )
    unknown = {
        "last_error": "no error of a kind that is known here",
        "changed_variables": "the system does not tell what this process was started with",
        "device_count": "this process has not opened the GPU",
    }
    return replace(session, unknown={name: why for name, why in unknown.items() if getattr(session, name) is None})


def _open_devices() -> int | None:
    torch: Any = sys.modules.get("torch")
    # A torch that is half imported has no such name yet.
    cuda = getattr(torch, "cuda", None)
    return int(cuda.device_count()) if cuda is not None and cuda.is_initialized() else None


def _changed(now: Mapping[str, str], start: Mapping[str, str] | None) -> tuple[str, ...] | None:
    return None if start is None else tuple(name for name in _VARIABLES if now.get(name) != start.get(name))


def _at_start() -> dict[str, str] | None:
    try:
        raw = Path("/proc/self/environ").read_bytes()
    except OSError:
        return None
    pairs = (os.fsdecode(one).partition("=") for one in raw.split(b"\0") if one)
    return {name: value for name, _, value in pairs}
