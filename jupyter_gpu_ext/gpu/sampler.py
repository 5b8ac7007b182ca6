"""One thread reads the devices, everyone else reads its last words."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.faults import FaultLog
from jupyter_gpu_ext.gpu.history import History
from jupyter_gpu_ext.gpu.models import State, Status
from jupyter_gpu_ext.gpu.pace import PAUSE_AFTER_SECONDS, rest_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_gpu_ext.gpu.backend import DeviceBackend
    from jupyter_gpu_ext.gpu.models import Device, DeviceSample

STALE_INTERVALS = 10

logger = logging.getLogger(__name__)
_STARTING = BackendError(State.STARTING, "Waiting for the GPU's driver to answer.")


class Sampler:
    """Samples the devices on one daemon thread, however many ask; pauses while nobody does.

    Parameters
    ----------
    open_backend : callable
        Opens the hardware layer; may raise BackendError, and is then tried again later.
    interval_seconds : float
        Time between samples.
    clock : callable
        Monotonic seconds.
    wall_clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self,
        open_backend: Callable[[], DeviceBackend],
        interval_seconds: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._open_backend = open_backend
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        # Only the sampling thread touches the backend; the lock guards what `status` reads.
        self._backend: DeviceBackend | None = None
        self._lock = threading.Lock()
        self._history = History(interval_seconds)
        self._devices: tuple[Device, ...] = ()
        self._simulated = False
        self._problem: BackendError | None = _STARTING
        self._answered_at = self._asked_at = clock()
        self._failures = 0
        self._faults = FaultLog(clock)
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="jupyter-gpu-sampler", daemon=True)

    def start(self) -> None:
        """Start sampling; once."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 2.0) -> None:
        """Stop sampling; a query that hangs is left to end with the process."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def status(self, since: int = 0) -> Status:
        """Return what is known now; waits for no hardware and never raises.

        Parameters
        ----------
        since : int
            The cursor of an earlier status; only newer samples are returned.
        """
        now = self._clock()
        with self._lock:
            was_paused = now - self._asked_at > PAUSE_AFTER_SECONDS
            self._asked_at = now
            status = self._snapshot(since, now)
        if was_paused:
            self._wake.set()
        return status

    def peek(self) -> Status:
        """Return what is known now with the newest sample, and do not count as somebody who looks.

        For those who come by themselves for ever, as a scraper of metrics does.
        """
        with self._lock:
            return self._snapshot(self._history.cursor - 1, self._clock())

    def poll(self) -> None:
        """Read the devices once, or find out why not; the sampling thread's step."""
        try:
            backend = self._opened()
            self._record(backend, backend.sample())
        except GpuExtError as error:
            self._fail(_as_problem(error))
        except Exception as error:
            # One surprise must not end all sampling.
            if self._fail(_surprise(error)):
                logger.exception("reading the GPU failed")

    def _run(self) -> None:
        while not self._stopping:
            self.poll()
            self._wake.clear()
            if not self._stopping:
                self._wake.wait(self._rest_seconds())
        self._close()

    def _rest_seconds(self) -> float | None:
        with self._lock:
            unasked_seconds = self._clock() - self._asked_at
        state = self._problem.state if self._problem else State.OK
        return rest_seconds(
            state,
            failures=self._failures,
            unasked_seconds=unasked_seconds,
            interval_seconds=self._interval_seconds,
        )

    def _opened(self) -> DeviceBackend:
        if self._backend is None:
            self._backend = self._open_backend()
        return self._backend

    def _record(self, backend: DeviceBackend, readings: tuple[DeviceSample, ...]) -> None:
        with self._lock:
            self._history.append(readings, self._wall_clock())
            self._devices, self._simulated = backend.devices(), backend.simulated
            self._problem, self._failures = None, 0
            self._answered_at = self._clock()
        refused = (f"{r.uuid} {field}: {reason}" for r in readings for field, reason in r.unavailable.items())
        for fault in self._faults.news(refused):
            logger.info("GPU %s", fault)

    def _fail(self, problem: BackendError) -> bool:
        """Show a problem and start over at the next poll; return whether it is news."""
        with self._lock:
            self._devices, self._simulated = (), False
            self._problem, self._failures = problem, self._failures + 1
            self._answered_at = self._clock()
        self._close()
        news = self._faults.news([str(problem)])
        for fault in news:
            logger.log(logging.INFO if problem.state is State.NO_GPU else logging.WARNING, "%s", fault)
        return bool(news)

    def _close(self) -> None:
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def _snapshot(self, since: int, now: float) -> Status:
        problem = self._problem
        waiting = problem is None or problem.state is State.STARTING
        return Status(
            state=problem.state if problem else State.OK,
            reason=problem.message if problem else "",
            hint=problem.hint if problem else "",
            simulated=self._simulated,
            stale=waiting and now - self._answered_at > STALE_INTERVALS * self._interval_seconds,
            interval_seconds=self._interval_seconds,
            cursor=self._history.cursor,
            devices=self._devices,
            now=self._history.newest if self._devices else (),
            samples=self._history.after(since),
        )


def _as_problem(error: GpuExtError) -> BackendError:
    return error if isinstance(error, BackendError) else BackendError(State.BROKEN, error.message, error.hint)


def _surprise(error: Exception) -> BackendError:
    reason = f"Reading the GPU failed ({type(error).__name__})."
    return BackendError(State.BROKEN, reason, "The server's log has the details.")
