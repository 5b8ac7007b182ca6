"""What IPython keeps of a cell that is over: its error and its outputs, beside the names that the notebook has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu import last_error
from jupyter_gpu_ext.gpu.spares import SPARES, Spare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

_MOST_CHARACTERS = 1_000_000


def register(shell: InteractiveShell) -> None:
    """Let `gpu.release` have it; registering twice does no harm."""
    SPARES["IPython's last error"] = Spare(
        rung="traceback", drop=lambda: _drop_error(shell), values=lambda: _of_error(shell)
    )
    SPARES["IPython's outputs"] = Spare(rung="outputs", drop=lambda: _drop_outputs(shell))


def sources(shell: InteractiveShell) -> dict[int, str]:
    """Return what was run, by execution count, the newest first; together at most a million characters."""
    manager, found, room = shell.history_manager, dict[int, str](), _MOST_CHARACTERS
    ran = list(manager.input_hist_raw) if manager is not None else []
    for count in range(len(ran) - 1, 0, -1):
        room -= len(ran[count])
        if room < 0:
            break
        found[count] = ran[count]
    return found


def _of_error(shell: InteractiveShell) -> Iterator[tuple[str, Any]]:
    result = shell.last_execution_result
    if result is not None:
        yield from last_error.variables(result.error_in_exec)


def _drop_error(shell: InteractiveShell) -> None:
    result = shell.last_execution_result
    if result is not None:
        result.error_in_exec = result.error_before_exec = None
    for shows in ("InteractiveTB", "SyntaxTB"):
        if getattr(getattr(shell, shows, None), "tb", None) is not None:
            getattr(shell, shows).tb = None


def _drop_outputs(shell: InteractiveShell) -> None:
    # Its own two copies: `%who` hides the names, `_` is compared with the last three.
    hook: Any = shell.displayhook
    hook._ = hook.__ = hook.___ = ""
    for name in [name for name in shell.user_ns_hidden if name.strip("_").isdecimal() or not name.strip("_")]:
        del shell.user_ns_hidden[name]
    result = shell.last_execution_result
    if result is not None:
        result.result = None
