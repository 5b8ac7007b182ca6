"""The kernel's side of the control link: it answers while a cell runs.

The control channel has its own thread in the kernel, so the question waits for no cell. The handler reads
what is known already: it imports nothing, asks no driver and takes no lock that a load holds for long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext import __version__
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.receipts import RECEIPTS
from jupyter_gpu_ext.tensors.unfinished import UNFINISHED

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

REQUEST = "jupyter_gpu_ext_request"
REPLY = "jupyter_gpu_ext_reply"
_RECEIPTS = 20


def register(shell: InteractiveShell) -> None:
    """Let the kernel of `shell` answer; a shell without a kernel (a terminal) has nobody who asks."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None or not hasattr(kernel, "control_handlers"):
        return

    def answer(stream: Any, identity: Any, parent: Any) -> None:
        kernel.session.send(stream, REPLY, report(), parent, identity)

    kernel.control_handlers[REQUEST] = answer


def report() -> dict[str, Any]:
    """Return what this kernel holds, as the server expects it."""
    receipts = [one.to_json() for one in RECEIPTS.all()[-_RECEIPTS:]]
    return {"version": __version__, **HOLDINGS.report(), "receipts": receipts, "unfinished": UNFINISHED.report()}
