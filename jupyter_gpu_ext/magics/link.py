"""The kernel's side of the control link: it answers while a cell runs.

The control channel has its own thread in the kernel, so the question waits for no cell. A report reads what is known
already: it imports nothing, asks no driver and takes no lock that a load holds for long. Only who asks what could be
freed, or frees it, makes the thread look through the notebook's values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext import __version__
from jupyter_gpu_ext.datasets.iteration import ITERATIONS
from jupyter_gpu_ext.export.gather import gather
from jupyter_gpu_ext.gpu.ladder import release, would_give
from jupyter_gpu_ext.magics import kept
from jupyter_gpu_ext.storage.traffic import TRAFFIC
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.receipts import RECEIPTS
from jupyter_gpu_ext.tensors.unfinished import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from IPython.core.interactiveshell import InteractiveShell

REQUEST = "jupyter_gpu_ext_request"
REPLY = "jupyter_gpu_ext_reply"
_RECEIPTS = 20


def register(shell: InteractiveShell) -> None:
    """Let the kernel of `shell` answer; a shell without a kernel (a terminal) has nobody who asks."""
    kept.register(shell)
    kernel = getattr(shell, "kernel", None)
    if kernel is None or not hasattr(kernel, "control_handlers"):
        return

    def answer(stream: Any, identity: Any, parent: Any) -> None:
        kernel.session.send(stream, REPLY, _reply_or_nothing(kernel, parent, shell), parent, identity)

    kernel.control_handlers[REQUEST] = answer


def _reply_or_nothing(kernel: Any, parent: Mapping[str, Any], shell: InteractiveShell) -> dict[str, Any]:
    try:
        return reply(parent.get("content") or {}, shell.user_ns, lambda: kept.sources(shell))
    except Exception:
        # Whatever a value does when it is looked at: who asks is told at once that there is no answer.
        kernel.log.exception("jupyter_gpu_ext could not answer")
        return {}


def reply(
    question: Mapping[str, Any], namespace: MutableMapping[str, Any], ran: Callable[[], Mapping[int, str]] = dict
) -> dict[str, Any]:
    """Return the answer to one question.

    Parameters
    ----------
    question : mapping
        `ask` is 'rungs' (what could be freed), 'release' (free one, its name in `rung`), 'export' (what a job must
        know of this environment), or nothing: a report.
    namespace : mutable mapping
        The notebook's variables.
    ran : callable
        Returns what was run, by execution count.
    """
    match question.get("ask"):
        case "rungs":
            return {"rungs": [one.to_json() for one in would_give(namespace)]}
        case "release":
            return {"freed_bytes": release(str(question.get("rung")), namespace=namespace).freed_bytes}
        case "export":
            return {"environment": gather(ran()).to_json()}
        case _:
            return report()


def report() -> dict[str, Any]:
    """Return what this kernel holds, as the server expects it."""
    receipts = [one.to_json() for one in RECEIPTS.all()[-_RECEIPTS:]]
    return {
        "version": __version__,
        **HOLDINGS.report(),
        "streams": [one.row() for one in ITERATIONS.running()],
        "received_bytes": TRAFFIC.received_bytes,
        "receipts": receipts,
        "unfinished": UNFINISHED.report(),
    }
