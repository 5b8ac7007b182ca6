"""`jupyter gpu run`: an exported job on this machine, its output on the screen and in a log."""

from __future__ import annotations

import codecs
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.job import connections, running
from jupyter_gpu_ext.job.lock import SCRIPT
from jupyter_gpu_ext.storage.logs import LogSink
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_MOST_GPUS = 64
# A line without an end, such as of binary data, is passed on in pieces.
_LONGEST = 1 << 16
# A process that the script left behind may hold its output open.
_LAST_WORDS_SECONDS = 5.0
_END = re.compile(r"(?<=[\n\r])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run that is over.

    Attributes
    ----------
    exit_code : int
        Of the script, as a shell has it: 143 after SIGTERM.
    """

    folder: Path
    exit_code: int
    seconds: float

    def __str__(self) -> str:
        return f"{shlex.quote(printable(str(self.folder)))} ended with {self.exit_code} after {self.seconds:.0f} s."


def run(folder: str, *arguments: str, log: str = "", gpus: int = 1) -> Ran:
    """Run the script of an exported job and wait for its end.

    SIGTERM is passed on, so that a Checkpointer saves. Nothing can be typed in, and what looks like a secret is left
    out of what is shown.

    Parameters
    ----------
    folder : str
    *arguments : str
        Of the script.
    log : str
        Where its output goes as well: the name-URL of an object, or a local file.
    gpus : int
        Above 1: so many processes, by torchrun.

    Raises
    ------
    NotFoundError
        When there is no such job.
    BadRequestError
        For a secret among the arguments, and a number of GPUs that no machine has.
    BusyError
        When the folder runs already.
    DeniedError
        When the log cannot be written there.
    """
    script = (Path(folder).expanduser() / SCRIPT).absolute()
    if not script.is_file():
        raise NotFoundError(
            f"There is no {SCRIPT} in {printable(str(script.parent))}.",
            hint="Make it: jupyter gpu export NOTEBOOK -o FOLDER",
        )
    if any(redact(one) != one for one in arguments):
        raise BadRequestError("An argument looks like a secret; nothing was started.", hint="Use a connection.")
    if not 0 <= gpus <= _MOST_GPUS:
        raise BadRequestError(f"A job cannot run on {gpus} GPUs.", hint=f"From 0 to {_MOST_GPUS}.")
    began = time.monotonic()
    with connections.chosen(script), running.held(script.parent, log) as end, _logged(log) as note:
        code = _run(_command(gpus, arguments), script.parent, note)
        end(code)
    return Ran(folder=Path(folder), exit_code=code, seconds=time.monotonic() - began)


def _command(gpus: int, arguments: Sequence[str]) -> list[str]:
    # Without the dashes torchrun takes an option such as --run for the beginning of one of its own.
    many = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}", "--"]
    return [sys.executable, *(many if gpus > 1 else []), SCRIPT, *arguments]


@contextmanager
def _logged(url: str) -> Iterator[Callable[[str], None]]:
    """Give what takes a line of the log."""
    if not url:
        yield lambda _: None
        return
    sink = LogSink(url)
    sink.setFormatter(logging.Formatter("%(message)s"))
    try:
        yield lambda line: sink.emit(logging.makeLogRecord({"msg": line}))
    finally:
        sink.close()


def _run(command: Sequence[str], folder: Path, note: Callable[[str], None]) -> int:
    """Run a command to its end and return its code."""
    child: list[subprocess.Popen[bytes]] = []
    asked = []

    def terminate(*_: Any) -> None:
        asked.append(True)
        for one in child:
            one.terminate()

    # Ctrl-C reaches the script by itself: the terminal gives it to both.
    with _handling(signal.SIGTERM, terminate), _handling(signal.SIGINT, lambda *_: None):
        process = subprocess.Popen(  # noqa: S603 -- this Python, and the script that was named
            command, cwd=folder, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        child.append(process)
        if asked:
            process.terminate()
        output = threading.Thread(target=_pour, args=(process.stdout, note), daemon=True)
        output.start()
        code = process.wait()
        output.join(_LAST_WORDS_SECONDS)
    return code if code >= 0 else 128 - code


@contextmanager
def _handling(number: signal.Signals, handler: Callable[..., None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _pour(source: IO[bytes], note: Callable[[str], None]) -> None:
    """Pass on what comes: to the screen as soon as a line or a progress bar is whole, to the log by lines."""
    line = ""
    with source:
        for piece in map(redact, _pieces(source)):
            _show(piece)
            line += piece
            if line.endswith("\n"):
                note(_last_look(line))
                line = ""
    if line:
        note(_last_look(line))


def _pieces(source: IO[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while chunk := os.read(source.fileno(), _LONGEST):
        *whole, rest = _END.split(rest + decoder.decode(chunk))
        yield from whole
        if len(rest) > _LONGEST:
            yield rest
            rest = ""
    yield rest + decoder.decode(b"", final=True)


def _last_look(line: str) -> str:
    """Return what a line shows in the end: a progress bar writes itself over."""
    return line.rstrip("\r\n").rpartition("\r")[2]


def _show(text: str) -> None:
    # Who started this may be gone; the run goes on.
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError):
        return
