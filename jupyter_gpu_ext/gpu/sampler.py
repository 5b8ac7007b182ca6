"""One thread reads the devices, everyone else reads its last words."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.gpu.backend import NO_FAULT, BackendError
from jupyter_gpu_ext.gpu.day import Day
from jupyter_gpu_ext.gpu.faults import FaultLog
from jupyter_gpu_ext.gpu.history import History
from jupyter_gpu_ext.gpu.models import State, Status
from jupyter_gpu_ext.gpu.pace import WATCHED_SECONDS, rest_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_gpu_ext.gpu.backend import DeviceBackend
    from jupyter_gpu_ext.gpu.models import Device, DeviceSample

logger = logging.getLogger(__name__)
_STARTING = BackendError(State.STARTING, "Waiting for the GPU's driver to answer.")


def _nobody_says() -> float | None:
    return None


class Sampler:
    """Samples the devices on one daemon thread, however many ask; once a minute while nobody does.

    Parameters
    ----------
    open_backend : callable
        Opens the hardware layer; may raise BackendError, and is then tried again later.
    interval_seconds : float
        Time between samples while somebody looks.
    storage_rate : callable
        What the notebooks receive from storage now, in bytes a second, None where nobody says; called at each
        sample by the sampling thread, raises nothing and does not wait.
    stale_seconds : float
        A driver that was asked so long ago and has not answered hangs.
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
        storage_rate: Callable[[], float | None] = _nobody_says,
        stale_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._open_backend = open_backend
        self._interval_seconds = interval_seconds
        self._storage_rate = storage_rate
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        # Only the sampling thread touches the backend; the lock guards what `status` reads.
        self._backend: DeviceBackend | None = None
        self._lock = threading.Lock()
        self._history = History(interval_seconds)
        self._day = Day()
        self._devices: tuple[Device, ...] = ()
        self._simulated = False
        self._problem: BackendError | None = _STARTING
        self._asked_at = clock()
        # While the driver is being asked: since when.
        self._waiting_since: float | None = None
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
            was_unwatched = now - self._asked_at > WATCHED_SECONDS
            self._asked_at = now
            status = self._snapshot(since, now)
        if was_unwatched:
            self._wake.set()
        return status

    def history(self) -> dict[str, Any]:
        """Return the last 24 hours as plain data, a value a minute; waits for no hardware and never raises."""
        with self._lock:
            return self._day.to_json()

    def poll(self) -> None:
        """Read the devices once, or find out why not; the sampling thread's step."""
        with self._lock:
            self._waiting_since = self._clock()
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

    def _rest_seconds(self) -> float:
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
        rate = self._storage_rate()
        with self._lock:
            self._devices, self._simulated = backend.devices(), backend.simulated
            sample = self._history.append(readings, self._wall_clock(), rate)
            self._day.append(sample, self._devices)
            self._problem, self._failures = None, 0
            self._waiting_since = None
        refused = _refused(readings)
        for fault in self._faults.news(refused):
            logger.info("GPU %s (%s)", fault, ", ".join(refused[fault]))

    def _fail(self, problem: BackendError) -> bool:
        """Show a problem and start over at the next poll; return whether it is news."""
        with self._lock:
            self._devices, self._simulated = (), False
            self._problem, self._failures = problem, self._failures + 1
            self._waiting_since = None
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
        hangs = self._waiting_since is not None and now - self._waiting_since > self._stale_seconds
        return Status(
            state=problem.state if problem else State.OK,
            reason=problem.message if problem else "",
            hint=problem.hint if problem else "",
            simulated=self._simulated,
            stale=hangs,
            interval_seconds=self._interval_seconds,
            cursor=self._history.cursor,
            devices=self._devices,
            now=self._history.newest if self._devices else (),
            samples=self._history.after(since),
        )


def _refused(readings: tuple[DeviceSample, ...]) -> dict[str, list[str]]:
    """Return each device with a refusal, and what was refused: a lost device is one line of the log."""
    found: dict[str, list[str]] = defaultdict(list)
    for reading in readings:
        for field, reason in reading.unavailable.items():
            if reason not in NO_FAULT:
                found[f"{reading.uuid}: {reason}"].append(field)
    return found


def _as_problem(error: GpuExtError) -> BackendError:
    return error if isinstance(error, BackendError) else BackendError(State.BROKEN, error.message, error.hint)


def _surprise(error: Exception) -> BackendError:
    reason = f"Reading the GPU failed ({type(error).__name__})."
    return BackendError(State.BROKEN, reason, "The server's log has the details.")
