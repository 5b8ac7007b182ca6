"""`!command` and `name = !command` of a notebook, in a script.

Like there, a command that fails does not end the program, unless it is asked to.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING

from jupyter_gpu_ext.errors import GpuExtError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


# What a service's account has in the place of a shell.
_NO_SHELLS = frozenset(("nologin", "false"))


class CommandError(GpuExtError):
    """A command of the shell failed, and was not to; what it was may hold a secret, and is not told."""


class Lines(list[str]):
    """The lines that a command wrote, also as one string and as paths."""

    @property
    def n(self) -> str:
        """The lines joined by line breaks."""
        return "\n".join(self)

    @property
    def s(self) -> str:
        """The lines joined by spaces."""
        return " ".join(self)

    # IPython's longer names of the same.
    @property
    def l(self) -> list[str]:  # noqa: E743
        """The lines as a plain list."""
        return list(self)

    def grep(self, pattern: str | Callable[[str], object], prune: bool = False, field: int | None = None) -> Lines:
        """Return the lines that match a regular expression, or a function; with `prune` the others.

        Parameters
        ----------
        field : int, optional
            The word of a line that is looked at.
        """
        matches = pattern if callable(pattern) else re.compile(pattern, re.IGNORECASE).search

        def looked_at(line: str) -> str:
            words = line.split() if field is not None else [line]
            place = field or 0
            return words[place] if -len(words) <= place < len(words) else ""

        return Lines(line for line in self if bool(matches(looked_at(line))) != prune)

    @property
    def p(self) -> list[Path]:
        """The lines as paths."""
        return [Path(line) for line in self]


def run(command: str, *, check: bool = False) -> None:
    """Run `command` in the shell; what it writes is seen at once, an exit code other than 0 is told.

    Raises
    ------
    CommandError
        With `check`, in the place of telling it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    _tell(_run(command), check=check)


def capture(command: str, *, check: bool = False) -> Lines:
    """Run `command` in the shell and return the lines of its output, errors among them.

    Raises
    ------
    CommandError
        With `check`, for an exit code other than 0.
    """
    done = subprocess.run(  # noqa: S602 -- the notebook's own line
        command,
        shell=True,
        executable=_shell(),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    _tell(done.returncode, check=check)
    return Lines(done.stdout.splitlines())


def script(program: str, *lines: str) -> None:
    """Give lines to a program, as `%%bash` does.

    Raises
    ------
    subprocess.CalledProcessError
        When it ends with an exit code other than 0.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    command = shlex.split(program)
    code = _run(command, _text(lines))
    if code:
        raise subprocess.CalledProcessError(code, command)


def write(path: str, *lines: str) -> None:
    """Write lines to a file and say so, as `%%writefile` does."""
    file = Path(path).expanduser()
    sys.stdout.write(f"{'Overwriting' if file.exists() else 'Writing'} {path}\n")
    file.write_text(_text(lines), encoding="utf-8")


def append(path: str, *lines: str) -> None:
    """Write lines to the end of a file and say so, as `%%writefile -a` does."""
    file = Path(path).expanduser()
    sys.stdout.write(f"{'Appending to' if file.exists() else 'Writing'} {path}\n")
    with file.open("a", encoding="utf-8") as opened:
        opened.write(_text(lines))


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _run(command: str | list[str], text: str | None = None) -> int:
    """Run a command and return its exit code; where standard output is no file of the system, it is written there."""
    shell = isinstance(command, str)
    program = _shell() if shell else None
    if sys.stdout is sys.__stdout__:
        return subprocess.run(  # noqa: S603
            command, shell=shell, executable=program, check=False, input=text, encoding="utf-8"
        ).returncode
    with subprocess.Popen(  # noqa: S603
        command,
        shell=shell,
        executable=program,
        stdin=subprocess.PIPE if text is not None else None,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as running:
        if running.stdin is not None:
            Thread(target=_give, args=(running.stdin, text), daemon=True).start()
        for line in running.stdout or ():
            sys.stdout.write(line)
    return running.returncode


def _shell() -> str:
    """Return the shell that a kernel uses, $SHELL; where a job has none, bash, which takes what any other one does."""
    own = os.environ.get("SHELL", "")
    return (Path(own).name not in _NO_SHELLS and shutil.which(own)) or shutil.which("bash") or "/bin/sh"


def _give(stream: IO[str], text: str | None) -> None:
    # A program need not read all of it.
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(text or "")


def _tell(code: int, *, check: bool) -> None:
    said = f"The shell command ended with exit code {code}."
    if code and check:
        raise CommandError(said)
    if code:
        sys.stderr.write(f"{said}\n")
