"""A program on a terminal of its own: what it writes is drawn by an emulator, what is typed it reads."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

import pyte

from .conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ALTERNATE, BACK = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A terminal with a program on it."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], columns: int, rows: int) -> None:
        self.raw = b""
        self._ours, theirs = pty.openpty()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._sized(columns, rows)
        self.settings = termios.tcgetattr(theirs)
        # Ctrl-C reaches whoever has the terminal as its controlling one.
        words = ["setsid", "--ctty", *words]
        self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        self._theirs = theirs

    @property
    def lines(self) -> list[str]:
        """What a person sees now."""
        self.read()
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was before the program."""
        self.read()
        shown = self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l")
        wraps = self.raw.rfind(b"\x1b[?7h") > self.raw.rfind(b"\x1b[?7l")
        left = self.raw.count(ALTERNATE) == self.raw.count(BACK) > 0
        return shown and wraps and left and termios.tcgetattr(self._theirs) == self.settings

    def read(self, seconds: float = 0.0) -> None:
        """Draw what was written by now."""
        while select.select([self._ours], [], [], seconds)[0]:
            data = os.read(self._ours, 65536)
            self.raw += data
            self._stream.feed(data)
            seconds = 0.0

    def wait_for(self, condition: Callable[[str], object]) -> str:
        """Return the text as soon as it is as wished."""

        def holds() -> str | None:
            self.read(0.05)
            return self.text if condition(self.text) else None

        return wait_until(holds)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)
        self._sized(columns, rows)

    def wait(self) -> int:
        """Return how the program ended; what it writes meanwhile is read, else it would wait for us."""

        def ended() -> bool:
            self.read(0.05)
            return self.process.poll() is not None

        wait_until(ended)
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for end in (self._ours, self._theirs):
            os.close(end)

    def _sized(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.contextmanager
def terminal(words: Sequence[str], *, columns: int = 80, rows: int = 24, **variables: str) -> Iterator[Terminal]:
    """Run a program on a terminal for the length of a block."""
    environ = {**os.environ, "TERM": "xterm-256color", **variables}
    running = Terminal(
        words, {name: value for name, value in environ.items() if name not in ("COLUMNS", "LINES")}, columns, rows
    )
    try:
        yield running
    finally:
        running.close()
