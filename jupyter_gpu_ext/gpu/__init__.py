"""What the hardware says. Importing this costs nothing: the driver is asked when something is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_gpu_ext.gpu.api import open_backend as open_backend
    from jupyter_gpu_ext.gpu.api import status as status
    from jupyter_gpu_ext.gpu.checkup import doctor as doctor
    from jupyter_gpu_ext.gpu.holders import who as who
    from jupyter_gpu_ext.gpu.ladder import release as release

_HOMES = {
    "doctor": "jupyter_gpu_ext.gpu.checkup",
    "open_backend": "jupyter_gpu_ext.gpu.api",
    "release": "jupyter_gpu_ext.gpu.ladder",
    "status": "jupyter_gpu_ext.gpu.api",
    "who": "jupyter_gpu_ext.gpu.holders",
}

__all__ = ["doctor", "open_backend", "release", "status", "who"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jupyter_gpu_ext.gpu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
