"""The proof of a folder that was exported, in a process of its own: `python -m jupyter_gpu_ext.export.proving`.

It is asked by one line of JSON on stdin, and says how far it is by lines of JSON on stdout. SIGTERM ends it, and so
does the end of its stdin: whoever asked is gone then.
"""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext._version import __version__
from jupyter_gpu_ext.errors import ExportRefusedError, GpuExtError
from jupyter_gpu_ext.export.interpreter import kernel_of
from jupyter_gpu_ext.export.prove import prove, run_notebook
from jupyter_gpu_ext.export.script import make_script
from jupyter_gpu_ext.job.lock import SCRIPT
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_gpu_ext.export.proof import Proof

_MOST_DIFFERING = 20
_LONGEST = 300
# The cells by their numbers, as outputs are compared.
_MARKER = re.compile(r"^ *# %% cell (\d+)", re.MULTILINE)


def prove_folder(asked: Mapping[str, Any], told: Callable[[str], object]) -> Proof:
    """Run a notebook and the script of its folder, and put the proof into the folder.

    Parameters
    ----------
    asked : mapping
        `notebook` is its JSON, `beside` its folder, `kernel` the name of a kernel or '', `folder` the exported job,
        `python` what runs the script, `values` the parameters of these runs as texts.
    told : callable
        Is told what begins.

    Raises
    ------
    ExportRefusedError
        When the folder is of another notebook than this, and as `run_notebook` and `prove` do.
    """
    notebook, folder = asked["notebook"], Path(asked["folder"])
    check_same(notebook, folder)
    told("running the notebook")
    kernel = kernel_of(notebook, asked["kernel"])
    rehearsed = run_notebook(notebook, folder=Path(asked["beside"]), kernel=kernel, given=asked["values"])
    told("running the script")
    return prove(folder, rehearsed, python=asked["python"], told=told)


def check_same(notebook: Any, folder: Path) -> None:
    """Raise `ExportRefusedError` unless a folder's script is the one that the notebook gives now.

    What the script's head says of the notebook may be another: a kernel knows more of it than its file.
    """
    try:
        written = (folder / SCRIPT).read_text(encoding="utf-8")
        same = _program(written) == _program(make_script(notebook, name="", version=__version__).text)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        same = False
    if not same:
        raise ExportRefusedError(
            f"{SCRIPT} is not what the notebook gives now.", hint="Save the notebook and export it again."
        )


def _program(script: str) -> tuple[str, list[str]]:
    return ast.dump(ast.parse(script)), _MARKER.findall(script)


def summary(proof: Proof) -> dict[str, Any]:
    """Return what a person is shown of a proof at first: its title, and what differs."""
    differs = [one for one in proof.results if one.same is False][:_MOST_DIFFERING]
    return {
        "holds": proof.holds,
        "title": proof.title,
        "differs": [{"kind": one.kind, "name": _short(one.name), "detail": _short(one.detail)} for one in differs],
    }


def main() -> int:
    """Do what stdin asks for; 0 where a proof was made, however it came out."""
    say = _channel()
    # Where the server runs in the background of a shell, its children ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        asked = json.loads(sys.stdin.readline())
        threading.Thread(target=_until_nobody_asks, daemon=True).start()
        os.environ.update(asked["variables"])
        proof = prove_folder(asked, lambda phase: say({"phase": phase}))
        say({"proof": summary(proof)})
    except KeyboardInterrupt:
        return 128 + signal.SIGTERM
    except GpuExtError as error:
        said = {"code": error.code, "message": redact(error.message), "hint": redact(error.hint)}
        say({"failed": said})
        return 1
    except Exception as error:  # noqa: BLE001 -- a process has no caller that could be told
        said = {"code": "internal", "message": f"The proof broke off ({type(error).__name__}).", "hint": ""}
        say({"failed": said, "trace": redact(traceback.format_exc())})
        return 1
    finally:
        _end_what_is_left()
    return 0


def _channel() -> Callable[[Mapping[str, Any]], object]:
    """Return what says a line; from then on stdout is nowhere, for kernel, script and libraries write to it."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return lambda said: line.write(json.dumps(said) + "\n")


def _interrupt(*_: object) -> None:
    # Once: what is tidied up then is not to be interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.raise_signal(signal.SIGINT)


def _end_what_is_left() -> None:
    """End what the script started and left behind, where all of that is in a session of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)


def _until_nobody_asks() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _short(text: str) -> str:
    shown = printable(redact(text))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


if __name__ == "__main__":
    sys.exit(main())
