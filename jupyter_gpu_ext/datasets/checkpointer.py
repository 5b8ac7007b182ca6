"""`jg.Checkpointer`: a run that can be killed at any moment and goes on from a whole step."""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, Self

from jupyter_gpu_ext.datasets import random_state
from jupyter_gpu_ext.datasets.departure import Departure
from jupyter_gpu_ext.datasets.store import Store
from jupyter_gpu_ext.datasets.termination import Termination
from jupyter_gpu_ext.errors import BadRequestError, ExistsError, GpuExtError, TensorFormatError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.loader import load_named

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from jupyter_gpu_ext.datasets.pointer import Step
    from jupyter_gpu_ext.tensors.snapshot import Snapshots

_FORMAT = 1


class Checkpointer:
    """Saves a run's state in the background and restores the newest whole step.

    Parameters
    ----------
    url : str
        A folder of its own for the run: 'weights://run7/'.
    keep : int
        How many steps stay; older ones are removed once a newer one is whole.
    every : int
        `save` may be called at the end of each step: it saves each `every`-th one, and the last one before SIGTERM.
    random : bool
        The states of Python's, numpy's and torch's random generators are part of a step.
    grace_seconds : float
        How long after SIGTERM the next `save` is waited for.
    rank : int, optional
        Only rank 0 writes; by default what the launcher set as `RANK`. Every rank restores what rank 0 saved,
        the state of `data` included.

    Attributes
    ----------
    extra : dict
        What `save` was given besides the step, as restored.

    Examples
    --------
    >>> with jg.Checkpointer("weights://run7/") as checkpoints:  # doctest: +SKIP
    ...     for step in range(checkpoints.restore(model=model, optimizer=optimizer), 10_000):
    ...         train(step)
    ...         checkpoints.save(step)
    """

    def __init__(
        self,
        url: str,
        keep: int = 3,
        *,
        every: int = 1,
        random: bool = True,
        grace_seconds: float = 20,
        rank: int | None = None,
    ) -> None:
        if keep < 1 or every < 1:
            raise BadRequestError("keep and every are 1 or more.", hint="keep=3 keeps three steps.")
        self.extra: dict[str, Any] = {}
        self._store = Store(url, keep=keep)
        self._every = every
        self._random = random
        self._rank = int(os.environ.get("RANK", "0")) if rank is None else rank
        self._objects: dict[str, Any] = {}
        self._restored = False
        self._snapshots: Snapshots | None = None
        self._running: Future[None] | None = None
        self._closed = False
        self._departure = Departure(url)
        self._termination = Termination(grace_seconds)
        self._termination.install()
        _OPEN.add(self)

    def restore(self, **objects: Any) -> int:
        """Bring the objects to the newest whole step, and remember them for `save`.

        Parameters
        ----------
        **objects : object
            `model=…, optimizer=…, data=…` or any other name; each has `state_dict()` and `load_state_dict()`.

        Returns
        -------
        int
            The step to go on with: the one after the step that was saved, 0 when there is none.

        Raises
        ------
        TensorFormatError
            When there are steps and none of them is whole.
        GpuExtError
            When storage cannot be read; a step that cannot be reached is not taken for a damaged one.

        Warns
        -----
        UserWarning
            When the newest step is damaged and an older one was taken.
        """
        self._check_objects(objects)
        self.wait()
        self._objects = objects
        steps = LOOP.run(self._store.steps())
        for step in steps:
            state = self._load(step)
            if state is not None:
                self._apply(state)
                self._restored = True
                return int(state["step"]) + 1
        if steps:
            raise TensorFormatError(
                f"{self._store.shown} has {len(steps)} steps, none of them whole.", hint="Start in another folder."
            )
        self._restored = True
        return 0

    def save(self, step: int, **extra: Any) -> None:
        """Save the objects as they are now; the upload goes on in the background.

        It waits for the upload of the save before, then for the copy to host memory. Call it at the end of a step:
        after SIGTERM it saves, waits and ends the process with exit code 143. Ranks of torch.distributed go on until
        SIGTERM has reached all of them: they end after the same step, one or two later.

        Parameters
        ----------
        step : int
            The step that is over.
        **extra : object
            Plain data or tensors to find in `extra` after `restore`.

        Raises
        ------
        ExistsError
            When the folder holds a run that was not restored.
        GpuExtError
            What became of the upload before, when it failed; the step before that is still the newest one.
        """
        self._check_open()
        told = self._termination.requested
        leaves = told and self._departure.is_due(step)
        if leaves:
            self._termination.hurry()
        # Also where the others are waited for: nobody knows whether there is time for one more step.
        if self._rank == 0 and (told or (step + 1) % self._every == 0):
            self.wait()
            self._check_restored()
            self._running = LOOP.submit(self._store.put(step, self._snapshot(step, extra)))
        if leaves:
            self._leave()

    def wait(self) -> None:
        """Wait until what was saved last is stored.

        Raises
        ------
        GpuExtError
            When it could not be stored.
        """
        running, self._running = self._running, None
        if running is None:
            return
        try:
            running.result()
        except (KeyboardInterrupt, SystemExit):
            # Only the wait was interrupted.
            self._running = running
            raise

    def close(self) -> None:
        """Wait for the upload and let go of SIGTERM and of the host memory; happens at exit, too."""
        if self._closed:
            return
        self._closed = True
        _OPEN.discard(self)
        try:
            self.wait()
        finally:
            self._termination.uninstall()
            self._snapshots = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _leave(self) -> None:
        self._termination.hurry()
        try:
            self.close()
        except GpuExtError as error:
            warnings.warn(f"The last checkpoint was not stored: {error}", stacklevel=3)
        self._termination.obey()

    def _load(self, step: Step) -> dict[str, Any] | None:
        # Both at once: what is loaded counts only if every byte of the object is the one that was written.
        checking = LOOP.submit(self._store.damage(step))
        state, fault = None, None
        try:
            state = load_named(self._store.url(step.name), device="cpu")[0]
        except Exception as error:  # noqa: BLE001 -- which faults a damaged file can cause is not to be foreseen
            fault = error
        finally:
            if state is None and fault is None:
                checking.cancel()
        if damage := checking.result():
            warnings.warn(f"Step {step.step} ({self._store.url(step.name)}) {damage}; it is left out.", stacklevel=3)
            return None
        if fault is not None:
            raise fault
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise TensorFormatError(
                f"{self._store.url(step.name)} was written by a newer version.", hint="Update jupyter_gpu_ext."
            )
        return state

    def _apply(self, state: dict[str, Any]) -> None:
        missing = sorted(self._objects.keys() - state["objects"].keys())
        if missing:
            raise BadRequestError(
                f"Step {state['step']} was saved without {', '.join(missing)}.",
                hint=f"It has: {', '.join(state['objects']) or 'nothing'}.",
            )
        for name, one in self._objects.items():
            one.load_state_dict(state["objects"][name])
        self.extra = state["extra"]
        if self._random and state["random"]:
            random_state.restore(state["random"])

    def _snapshot(self, step: int, extra: dict[str, Any]) -> Any:
        from jupyter_gpu_ext.tensors.snapshot import Snapshots

        self._snapshots = self._snapshots or Snapshots()
        state = {
            "format": _FORMAT,
            "step": step,
            "objects": {name: one.state_dict() for name, one in self._objects.items()},
            "extra": extra,
            "random": random_state.capture() if self._random else {},
        }
        return self._snapshots.take(state)

    def _check_objects(self, objects: dict[str, Any]) -> None:
        self._check_open()
        for name, one in objects.items():
            if not hasattr(one, "state_dict") or not hasattr(one, "load_state_dict"):
                raise BadRequestError(
                    f"{name} is a {type(one).__name__}, which has no state to save.",
                    hint="It needs state_dict() and load_state_dict(); give plain data to save(step, name=…).",
                )

    def _check_restored(self) -> None:
        if not self._restored and LOOP.run(self._store.steps()):
            raise ExistsError(
                f"{self._store.shown} holds the checkpoints of a run already.",
                hint="Call restore() first to go on with it, or use another folder.",
            )
        self._restored = True

    def _check_open(self) -> None:
        if self._closed:
            raise BadRequestError("The checkpointer is closed.", hint="Make a new one.")


_OPEN: set[Checkpointer] = set()


def _close_all() -> None:
    for one in list(_OPEN):
        try:
            one.close()
        except GpuExtError as error:
            warnings.warn(f"The last checkpoint was not stored: {error}", stacklevel=1)


def _after_in_child() -> None:
    _OPEN.clear()
    Termination.after_in_child()


# The threads that an upload needs end before `atexit` begins; this comes before that.
getattr(threading, "_register_atexit", atexit.register)(_close_all)
os.register_at_fork(
    before=Termination.before_fork, after_in_parent=Termination.after_in_parent, after_in_child=_after_in_child
)
