"""What the hardware says. Importing this costs nothing: the driver is asked when something is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_gpu_ext.gpu.api import open_backend as open_backend
    from jupyter_gpu_ext.gpu.api import status as status

__all__ = ["open_backend", "status"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'jupyter_gpu_ext.gpu' has no attribute {name!r}")
    return getattr(import_module("jupyter_gpu_ext.gpu.api"), name)


def __dir__() -> list[str]:
    return __all__
