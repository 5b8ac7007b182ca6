"""What each notebook holds: what its kernel says, what the driver says and what the system knows, put together."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.gpu.attribution import Kernel, Machine, attribute
from jupyter_gpu_ext.gpu.models import State, Status
from jupyter_gpu_ext.gpu.processes import Processes
from jupyter_gpu_ext.server.link import REPLY, REQUEST, Link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from jupyter_server.services.sessions.sessionmanager import SessionManager

    from jupyter_gpu_ext.gpu.attribution import Use
    from jupyter_gpu_ext.server.peaks import Peaks

logger = logging.getLogger(__name__)

# A report waits this long for answers; a kernel that is slower is in the next one.
_PATIENCE_SECONDS = 0.3
# However many panels are open, a kernel is asked and the system looked at this often at most.
_FRESH_SECONDS = 1.0
# A rate that is older says nothing of now.
_RATE_SECONDS = 5.0
# A kernel's own words end up as its state.
_STATES = frozenset({"busy", "idle", "starting", "restarting", "autorestarting", "terminating", "dead"})
_NOTHING = Machine(processes={}, numbering=None)


def _no_devices() -> Status:
    return Status(state=State.STARTING)


class Kernels:
    """Reports of all kernels, shared by everyone who asks.

    Parameters
    ----------
    kernel_manager, session_manager
        The server's own.
    status : callable
        Returns the devices and their newest readings.
    peaks : Peaks, optional
        Remembers the most that each notebook held.
    """

    def __init__(
        self,
        kernel_manager: MappingKernelManager,
        session_manager: SessionManager,
        *,
        status: Callable[[], Status] = _no_devices,
        peaks: Peaks | None = None,
    ) -> None:
        self._kernel_manager = kernel_manager
        self._session_manager = session_manager
        self._status = status
        self._peaks = peaks
        self._processes = Processes()
        self._machine = _NOTHING
        self._looking: asyncio.Task[None] | None = None
        self._links: dict[str, Link] = {}
        self._lock = asyncio.Lock()
        self._rows: list[dict[str, Any]] = []
        self._made_at = float("-inf")
        # Replaced as a whole, so that the sampler's thread reads them without a lock.
        self.held_bytes: Mapping[str, int] = {}
        self._rate: tuple[float, float | None] = (float("-inf"), None)
        _do_not_count_as_activity(kernel_manager)

    async def report(self) -> list[dict[str, Any]]:
        """Return a row a kernel, as the HTTP contract has it; a second old at most."""
        async with self._lock:
            if time.monotonic() - self._made_at >= _FRESH_SECONDS:
                self._rows = await self._ask_all()
                self._made_at = time.monotonic()
                if self._peaks is not None:
                    await self._peaks.save_soon()
            return self._rows

    async def row(self, identity: str) -> dict[str, Any]:
        """Return the row of one kernel.

        Raises
        ------
        NotFoundError
            There is no such kernel, or it has only begun to start.
        """
        found = [one for one in await self.report() if one["id"] == identity]
        if not found:
            raise _unknown()
        return found[0]

    def link(self, identity: str) -> Link:
        """Return the link to one kernel.

        Raises
        ------
        NotFoundError
            There is no such kernel.
        """
        if identity not in self._links:
            raise _unknown()
        return self._links[identity]

    def expire(self) -> None:
        """Ask anew at the next report."""
        self._made_at = float("-inf")

    def storage_rate(self) -> float | None:
        """Return the bytes a second that the notebooks receive from storage; None where none of them says it.

        To be called from any thread.
        """
        at, rate = self._rate
        return rate if time.monotonic() - at <= _RATE_SECONDS else None

    def close(self) -> None:
        """Close the channels to the kernels."""
        for identity in list(self._links):
            self._links.pop(identity).close()
        if self._peaks is not None:
            self._peaks.save()

    async def _ask_all(self) -> list[dict[str, Any]]:
        identities = list(self._kernel_manager.list_kernel_ids())
        for gone in set(self._links) - set(identities):
            self._links.pop(gone).close()
        paths = await self._paths()
        asking = [task for task in map(self._ask, identities) if task is not None]
        present = [identity for identity in identities if identity in self._links]
        pids = {identity: self._pid(identity) for identity in present}
        tasks = [*asking, *self._look(pids)]
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE_SECONDS)
        return self._put_together(pids, paths)

    async def _paths(self) -> dict[str, str]:
        sessions = await self._session_manager.list_sessions()  # type: ignore[no-untyped-call]
        return {one["kernel"]["id"]: str(one.get("path", "")) for one in sessions if one.get("kernel")}

    def _ask(self, identity: str) -> asyncio.Task[None] | None:
        try:
            kernel: Any = self._kernel_manager.get_kernel(identity)
            link = self._of_this_run(identity, kernel)
        except Exception as error:  # noqa: BLE001 -- a kernel that starts or ends just now has no channel yet
            logger.debug("kernel %s cannot be asked: %s", identity, type(error).__name__)
            return None
        now, activity = time.monotonic(), getattr(kernel, "last_activity", None)
        if link.is_due(now, activity):
            link.asked_at, link.activity = now, activity
            link.asking = asyncio.create_task(link.ask())
        return link.asking

    def _of_this_run(self, identity: str, kernel: Any) -> Link:
        # A restarted kernel holds nothing, and may listen on other ports.
        run = (tuple(kernel.ports), getattr(kernel.provisioner, "pid", None))
        link = self._links.get(identity)
        if link is None or link.run != run:
            if link is not None:
                self._links.pop(identity).close()
            link = self._links[identity] = Link(kernel.client(), run)
        return link

    def _pid(self, identity: str) -> int | None:
        # What runs elsewhere has its number there.
        provisioner = getattr(self._kernel_manager.get_kernel(identity), "provisioner", None)
        return provisioner.pid if isinstance(provisioner, LocalProvisioner) else None

    def _look(self, pids: Mapping[str, int | None]) -> list[asyncio.Task[None]]:
        """Begin to look at the system, unless nothing is to be seen or somebody looks already."""
        status = self._status()
        if status.simulated or not status.devices:
            self._machine = Machine(devices=status.devices, processes={}, numbering=None)
            return []
        if self._looking is None or self._looking.done():
            mine = [pid for pid in pids.values() if pid is not None]
            self._looking = asyncio.create_task(self._look_at(status, mine))
        return [self._looking]

    async def _look_at(self, status: Status, pids: list[int]) -> None:
        self._machine = await asyncio.to_thread(self._processes.look, status, pids)

    def _put_together(self, pids: Mapping[str, int | None], paths: Mapping[str, str]) -> list[dict[str, Any]]:
        links = {one: self._links[one] for one in pids if one in self._links and one in self._kernel_manager}
        uses = attribute({one: Kernel(pid=pids[one], told=link.told) for one, link in links.items()}, self._machine)
        if self._peaks is not None:
            uses = {one: self._peaks.see(link.name, paths.get(one, ""), uses[one]) for one, link in links.items()}
            self._peaks.keep({link.name for link in links.values()})
        self.held_bytes = _sum_by_uuid(uses)
        rates = [rate for link in links.values() if (rate := link.received_bytes_per_second) is not None]
        self._rate = time.monotonic(), sum(rates) if rates else None
        return [self._row(one, paths.get(one, ""), uses[one]) for one in links]

    def _row(self, identity: str, path: str, uses: tuple[Use, ...]) -> dict[str, Any]:
        link, kernel = self._links[identity], self._kernel_manager.get_kernel(identity)
        state = getattr(kernel, "execution_state", None)
        return {
            "id": identity,
            "path": path,
            "linked": link.linked,
            "state": state if isinstance(state, str) and state in _STATES else "unknown",
            "idle_seconds": None if state == "busy" else _seconds_since(getattr(kernel, "last_activity", None)),
            "uses": [one.to_json() for one in uses],
            "loads": link.loads,
            "streams": link.streams,
        }


def _unknown() -> NotFoundError:
    return NotFoundError("There is no such kernel.", hint="It was shut down, or is starting just now.")


def _seconds_since(moment: Any) -> float | None:
    return max(0.0, (datetime.now(UTC) - moment).total_seconds()) if isinstance(moment, datetime) else None


def _sum_by_uuid(uses: Mapping[str, tuple[Use, ...]]) -> dict[str, int]:
    held: dict[str, int] = {}
    for one in (one for rows in uses.values() for one in rows if one.uuid):
        held[str(one.uuid)] = held.get(str(one.uuid), 0) + (one.bytes or 0)
    return held


def _do_not_count_as_activity(kernel_manager: MappingKernelManager) -> None:
    # Else an open panel would keep every kernel from being culled.
    known = list(getattr(kernel_manager, "untracked_message_types", ()))
    kernel_manager.untracked_message_types = [*known, *(kind for kind in (REQUEST, REPLY) if kind not in known)]
