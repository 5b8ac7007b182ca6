"""See the GPU, browse cloud storage, load remote tensors onto the device, export the notebook as a job.

Importing this package costs nothing: each public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_gpu_ext import gpu as gpu
    from jupyter_gpu_ext._version import __version__ as __version__
    from jupyter_gpu_ext.datasets.checkpointer import Checkpointer as Checkpointer
    from jupyter_gpu_ext.datasets.files import files as files
    from jupyter_gpu_ext.datasets.zarr_stream import ZarrStream as ZarrStream
    from jupyter_gpu_ext.export.checkup import check_job as check_job
    from jupyter_gpu_ext.job.measure import measure as measure
    from jupyter_gpu_ext.job.publish import publish as publish
    from jupyter_gpu_ext.storage import cache as cache
    from jupyter_gpu_ext.storage.api import ls as ls
    from jupyter_gpu_ext.storage.connect import connect as connect
    from jupyter_gpu_ext.storage.connect import disconnect as disconnect
    from jupyter_gpu_ext.storage.cp import cp as cp
    from jupyter_gpu_ext.storage.filesystem import fs as fs
    from jupyter_gpu_ext.storage.logs import LogSink as LogSink
    from jupyter_gpu_ext.storage.open import open as open  # noqa: A004 -- jg.open, as gzip.open
    from jupyter_gpu_ext.storage.rm import rm as rm
    from jupyter_gpu_ext.tensors.api import info as info
    from jupyter_gpu_ext.tensors.api import plan as plan
    from jupyter_gpu_ext.tensors.into import load_into as load_into
    from jupyter_gpu_ext.tensors.loader import load as load
    from jupyter_gpu_ext.tensors.sample import sample as sample
    from jupyter_gpu_ext.tensors.save import save as save
    from jupyter_gpu_ext.tensors.viewer import view as view

_HOMES = {
    "Checkpointer": "jupyter_gpu_ext.datasets.checkpointer",
    "LogSink": "jupyter_gpu_ext.storage.logs",
    "ZarrStream": "jupyter_gpu_ext.datasets.zarr_stream",
    "__version__": "jupyter_gpu_ext._version",
    "check_job": "jupyter_gpu_ext.export.checkup",
    "connect": "jupyter_gpu_ext.storage.connect",
    "cp": "jupyter_gpu_ext.storage.cp",
    "disconnect": "jupyter_gpu_ext.storage.connect",
    "files": "jupyter_gpu_ext.datasets.files",
    "fs": "jupyter_gpu_ext.storage.filesystem",
    "info": "jupyter_gpu_ext.tensors.api",
    "load": "jupyter_gpu_ext.tensors.loader",
    "load_into": "jupyter_gpu_ext.tensors.into",
    "ls": "jupyter_gpu_ext.storage.api",
    "measure": "jupyter_gpu_ext.job.measure",
    "open": "jupyter_gpu_ext.storage.open",
    "plan": "jupyter_gpu_ext.tensors.api",
    "publish": "jupyter_gpu_ext.job.publish",
    "rm": "jupyter_gpu_ext.storage.rm",
    "sample": "jupyter_gpu_ext.tensors.sample",
    "save": "jupyter_gpu_ext.tensors.save",
    "view": "jupyter_gpu_ext.tensors.viewer",
}

_ROOMS = {"cache": "jupyter_gpu_ext.storage.cache", "gpu": "jupyter_gpu_ext.gpu"}

__all__ = [
    "Checkpointer",
    "LogSink",
    "ZarrStream",
    "__version__",
    "cache",
    "check_job",
    "connect",
    "cp",
    "disconnect",
    "files",
    "fs",
    "gpu",
    "info",
    "load",
    "load_into",
    "ls",
    "measure",
    "open",
    "plan",
    "publish",
    "rm",
    "sample",
    "save",
    "view",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(_ROOMS[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'jupyter_gpu_ext' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-gpu-ext"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from jupyter_gpu_ext.server.extension import GpuExtension

    return [{"module": "jupyter_gpu_ext", "app": GpuExtension}]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Answer `%load_ext jupyter_gpu_ext`."""
    from jupyter_gpu_ext.magics.extension import load

    load(shell)
