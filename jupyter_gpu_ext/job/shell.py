"""`!command` and `name = !command` of a notebook, in a script.

Like there, a command that fails does not end the program.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


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

    @property
    def p(self) -> list[Path]:
        """The lines as paths."""
        return [Path(line) for line in self]


def run(command: str) -> None:
    """Run `command` in the shell; what it writes is seen at once, an exit code other than 0 is told."""
    sys.stdout.flush()
    sys.stderr.flush()
    done = subprocess.run(command, shell=True, check=False)  # noqa: S602 -- the notebook's own line
    _tell(done.returncode)


def capture(command: str) -> Lines:
    """Run `command` in the shell and return the lines of its output, errors among them."""
    done = subprocess.run(  # noqa: S602 -- the notebook's own line
        command,
        shell=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    _tell(done.returncode)
    return Lines(done.stdout.splitlines())


def _tell(code: int) -> None:
    if code:
        sys.stderr.write(f"The shell command ended with exit code {code}.\n")
