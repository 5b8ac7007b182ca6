"""Below the traceback of a cell that ran out of device memory: who holds it, and the next step."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def register(shell: InteractiveShell) -> None:
    """Look at each cell's error once its traceback is shown; registering twice does no harm."""
    shell.events.register("post_run_cell", show)


def show(result: Any) -> None:
    """Print the card where a cell's error asks for it."""
    error = getattr(result, "error_in_exec", None)
    if error is None or "torch" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython

    from jupyter_gpu_ext.tensors.out_of_memory import card, is_device_memory

    shell = get_ipython()
    if shell is not None and is_device_memory(error):
        print(redact(card(error, shell.user_ns)))  # noqa: T201 -- the words that help
