"""Which Python a notebook would run in."""

from __future__ import annotations

import os
import re
import sys
from pathlib import PurePath
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.text import printable

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PYTHON = re.compile(r"python[\d.]*")


def interpreter_of(notebook: Any, kernel: str = "") -> str:
    """Return the path of the Python that an installed kernel starts; this one where none is named.

    Parameters
    ----------
    notebook : mapping
        The parsed JSON: it may name one of the kernels that are installed here, and no program.
    kernel : str
        The name of a kernel, instead of the notebook's.

    Raises
    ------
    NotFoundError
        When `kernel` is not installed here.
    """
    name = kernel_of(notebook, kernel)
    command = str(KernelSpecManager().get_kernel_spec(name).argv[0]) if name else ""
    is_python = (
        _PYTHON.fullmatch(PurePath(command).name) and PurePath(command).is_absolute() and os.access(command, os.X_OK)
    )
    return command if is_python else sys.executable


def kernel_of(notebook: Any, kernel: str = "") -> str:
    """Return the name of the installed kernel that a notebook asks for; '' where it is not installed here.

    Raises
    ------
    NotFoundError
        When `kernel` is not installed here.
    """
    try:
        named = str(notebook["metadata"]["kernelspec"]["name"])
    except (KeyError, TypeError):
        named = ""
    name = kernel or named
    try:
        spec = KernelSpecManager().get_kernel_spec(name) if _NAME.fullmatch(name) else None
    except NoSuchKernel:
        spec = None
    if spec is not None and spec.argv:
        return name
    if kernel:
        raise NotFoundError(
            f"There is no kernel {printable(kernel)[:100]!r} here.", hint="`jupyter kernelspec list` shows them."
        )
    return ""
