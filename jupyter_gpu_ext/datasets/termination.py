"""SIGTERM, which a scheduler sends before it takes the machine away: remembered until a step is over, then obeyed."""

from __future__ import annotations

import os
import queue
import signal
import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from types import FrameType

# What a shell says of a process that SIGTERM ended.
_EXIT_CODE = 128 + signal.SIGTERM
# The mask of the thread that forks, which is the one that goes on in the child.
_FORKING = threading.local()


class Termination:
    """Holds a SIGTERM back, since in the middle of a step a model belongs to no step.

    Parameters
    ----------
    grace_seconds : float
        After this long without the end of a step the process ends all the same; a second SIGTERM ends it at once.

    Attributes
    ----------
    requested : bool
        SIGTERM came.
    previous : object
        The handler that was there before.
    """

    def __init__(self, grace_seconds: float) -> None:
        self.requested = False
        self._grace_seconds = grace_seconds
        self.previous: Any = None
        self._installed = False
        # Of all queues this one may be used in a signal handler.
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def install(self) -> None:
        """Take SIGTERM, in the main thread and where it is not ignored; elsewhere Python has no handlers."""
        self.previous = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or self.previous in (None, signal.SIG_IGN):
            return
        threading.Thread(target=self._watch, name="jupyter-gpu-ext-sigterm", daemon=True).start()
        signal.signal(signal.SIGTERM, self._handle)
        self._installed = True

    def uninstall(self) -> None:
        """Give SIGTERM back to whoever had it; who took it since keeps it."""
        self._said.put("over")
        mine = self._installed and signal.getsignal(signal.SIGTERM) == self._handle
        if mine and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.previous)
        self._installed = False

    def hurry(self) -> None:
        """Count no more time: a step is over, and its save may take as long as it takes."""
        self._said.put("over")

    def obey(self, frame: FrameType | None = None) -> NoReturn:
        """Let the handler that was there before have its turn, then end the process."""
        self.uninstall()
        if callable(self.previous):
            self.previous(signal.SIGTERM, frame)
        raise SystemExit(_EXIT_CODE)

    @staticmethod
    def before_fork() -> None:
        """Hold SIGTERM back: one that reached the child before its handler is set would be lost with the fork."""
        _FORKING.mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    @staticmethod
    def after_in_parent() -> None:
        """Let SIGTERM through again."""
        signal.pthread_sigmask(signal.SIG_SETMASK, _FORKING.mask)

    @staticmethod
    def after_in_child() -> None:
        """Give SIGTERM back to whoever had it before all of these: in a forked child it is its parent's business."""
        found = handler = signal.getsignal(signal.SIGTERM)
        while isinstance(owner := getattr(handler, "__self__", None), Termination):
            handler = owner.previous
        if handler is not found and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, _FORKING.mask)

    def _handle(self, _number: int, frame: FrameType | None) -> None:
        if self.requested:
            self.obey(frame)
        self.requested = True
        self._said.put("requested")

    def _watch(self) -> None:
        if self._said.get() == "over":
            return
        try:
            self._said.get(timeout=self._grace_seconds)
        except queue.Empty:
            os.kill(os.getpid(), signal.SIGTERM)
