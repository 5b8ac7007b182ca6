"""A terminal as a screen that is written over in place, and given back as it was."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# xterm's control sequences: the alternate screen, the cursor, wrapping; home, erase to the end of the line.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _ERASE_LINE = "\x1b[H", "\x1b[K"


def is_terminal() -> bool:
    """Whether a person looks and types, at a terminal that can be written over."""
    streams = (sys.stdin, sys.stdout)
    return all(one is not None and one.isatty() for one in streams) and os.environ.get("TERM", "dumb") != "dumb"


class Screen:
    """The terminal's alternate screen while a block runs; on the main thread.

    SIGTERM ends it, SIGTSTP gives the terminal back until the process goes on, SIGWINCH is a new size.
    """

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before = termios.tcgetattr(self._in)
        self._shown = ""
        self._ended = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._signals, written = os.pipe()
            for end in (self._signals, written):
                os.set_blocking(end, False)
                stack.callback(os.close, end)
            # A signal writes a byte: whoever waits for a key wakes up.
            stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(written))
            stack.callback(self._leave)
            for number, handler in self._handlers().items():
                stack.callback(signal.signal, number, signal.signal(number, handler))
            self._enter()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines, as of now."""
        return os.get_terminal_size(self._out)

    def draw(self, lines: Sequence[str]) -> None:
        """Show `lines`, no more and none wider than the screen has room for, in place of what is there."""
        rows = [*lines, *[""] * (self.size.lines - len(lines))]
        # Behind a line that fills the screen's width, the erasing would take its last character.
        text = _HOME + "\r\n".join(f"{_ERASE_LINE}{row}" for row in rows)
        if text != self._shown:
            self._write(text)
            self._shown = text

    def key(self, seconds: float) -> str | None:
        """Return the key that is pressed within so many seconds; '' at a new size or when none is, None at the end."""
        ready, _, _ = select.select([self._in, self._signals], [], [], seconds)
        if self._signals in ready:
            os.read(self._signals, 1024)
        if self._ended:
            return None
        if self._in not in ready:
            return ""
        # Nothing to read is a terminal that is gone.
        typed = os.read(self._in, 1024).decode("utf-8", "replace")
        return typed or None

    def _handlers(self) -> dict[int, Callable[[int, Any], None] | signal.Handlers]:
        return {
            signal.SIGTERM: self._end,
            signal.SIGTSTP: self._pause,
            signal.SIGWINCH: self._resized,
            # A shell may take the terminal back before it is left as it was; that must not stop the leaving.
            signal.SIGTTOU: signal.SIG_IGN,
        }

    def _end(self, *_: Any) -> None:
        self._ended = True

    def _resized(self, *_: Any) -> None:
        self._shown = ""

    def _pause(self, *_: Any) -> None:
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._enter()

    def _enter(self) -> None:
        tty.setcbreak(self._in)
        self._shown = ""
        self._write(_ENTER)

    def _leave(self) -> None:
        self._write(_LEAVE)
        termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def _write(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self._out, data) :]
