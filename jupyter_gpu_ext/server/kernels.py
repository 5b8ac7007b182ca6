"""The server's side of the control link: ask each kernel what it holds, also while it runs a cell."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from jupyter_server.services.sessions.sessionmanager import SessionManager

logger = logging.getLogger(__name__)

REQUEST = "jupyter_gpu_ext_request"
REPLY = "jupyter_gpu_ext_reply"

# A report waits this long for answers; a kernel that is slower is in the next one.
_PATIENCE_SECONDS = 0.3
_ANSWER_SECONDS = 1.0
# However many panels are open, a kernel is asked this often at most.
_FRESH_SECONDS = 1.0
# A kernel without the extension logs an error a question: it is asked again only after it ran something,
# and less and less often.
_LONGEST_REST_SECONDS = 30.0
_MISSES = 3
_MOST_ROWS = 200
# The largest whole number that a browser reads exactly.
_MOST_BYTES = 2**53


@dataclass(slots=True)
class _Known:
    """What is known of one run of a kernel, and when to ask it again."""

    client: AsyncKernelClient
    run: object
    linked: bool = False
    answered_once: bool = False
    held: list[dict[str, Any]] = field(default_factory=list)
    loads: list[dict[str, Any]] = field(default_factory=list)
    misses: int = 0
    asked_at: float = 0.0
    activity: object = None
    asking: asyncio.Task[None] | None = None

    def is_due(self, now: float, activity: object) -> bool:
        if self.asking is not None and not self.asking.done():
            return False
        if self.linked or self.misses == 0:
            return True
        rest = min(2.0**self.misses, _LONGEST_REST_SECONDS)
        return now - self.asked_at >= rest and (self.answered_once or activity != self.activity)

    async def ask(self) -> None:
        content = await _answer(self.client)
        if content is not None:
            self.linked, self.answered_once, self.misses = True, True, 0
            self.held, self.loads = _rows(content.get("held"), _HELD), _rows(content.get("loads"), _LOADS)
            return
        self.misses += 1
        if self.misses >= _MISSES:
            self.linked, self.held, self.loads = False, [], []

    def close(self) -> None:
        if self.asking is not None:
            self.asking.cancel()
        self.client.stop_channels()


class Kernels:
    """Reports of all kernels, shared by everyone who asks.

    Parameters
    ----------
    kernel_manager, session_manager
        The server's own.
    """

    def __init__(self, kernel_manager: MappingKernelManager, session_manager: SessionManager) -> None:
        self._kernel_manager = kernel_manager
        self._session_manager = session_manager
        self._known: dict[str, _Known] = {}
        self._lock = asyncio.Lock()
        self._rows: list[dict[str, Any]] = []
        self._made_at = float("-inf")
        # Replaced as a whole, so that the sampler's thread reads it without a lock.
        self.held_bytes: Mapping[str, int] = {}
        _do_not_count_as_activity(kernel_manager)

    async def report(self) -> list[dict[str, Any]]:
        """Return a row a kernel, as the HTTP contract has it; a second old at most."""
        async with self._lock:
            if time.monotonic() - self._made_at >= _FRESH_SECONDS:
                self._rows = await self._ask_all()
                self.held_bytes = _sum_by_uuid(self._rows)
                self._made_at = time.monotonic()
            return self._rows

    def close(self) -> None:
        """Close the channels to the kernels."""
        for identity in list(self._known):
            self._known.pop(identity).close()

    async def _ask_all(self) -> list[dict[str, Any]]:
        identities = list(self._kernel_manager.list_kernel_ids())
        for gone in set(self._known) - set(identities):
            self._known.pop(gone).close()
        paths = await self._paths()
        asking = [task for task in map(self._ask, identities) if task is not None]
        if asking:
            await asyncio.wait(asking, timeout=_PATIENCE_SECONDS)
        return [self._row(identity, paths.get(identity, "")) for identity in identities if identity in self._known]

    async def _paths(self) -> dict[str, str]:
        sessions = await self._session_manager.list_sessions()  # type: ignore[no-untyped-call]
        return {one["kernel"]["id"]: str(one.get("path", "")) for one in sessions if one.get("kernel")}

    def _ask(self, identity: str) -> asyncio.Task[None] | None:
        try:
            kernel: Any = self._kernel_manager.get_kernel(identity)
            known = self._of_this_run(identity, kernel)
        except Exception as error:  # noqa: BLE001 -- a kernel that starts or ends just now has no channel yet
            logger.debug("kernel %s cannot be asked: %s", identity, type(error).__name__)
            return None
        now, activity = time.monotonic(), getattr(kernel, "last_activity", None)
        if known.is_due(now, activity):
            known.asked_at, known.activity = now, activity
            known.asking = asyncio.create_task(known.ask())
        return known.asking

    def _of_this_run(self, identity: str, kernel: Any) -> _Known:
        # A restarted kernel holds nothing, and may listen on other ports.
        run = (tuple(kernel.ports), getattr(kernel.provisioner, "pid", None))
        known = self._known.get(identity)
        if known is None or known.run != run:
            if known is not None:
                self._known.pop(identity).close()
            known = self._known[identity] = _Known(kernel.client(), run)
        return known

    def _row(self, identity: str, path: str) -> dict[str, Any]:
        known = self._known[identity]
        uses = [{**one, "peak_bytes": None, "cached_bytes": None, "how": "report"} for one in known.held]
        return {
            "id": identity,
            "path": path,
            "linked": known.linked,
            "state": "unknown",
            "idle_seconds": None,
            "uses": uses,
            "loads": known.loads,
        }


async def _answer(client: AsyncKernelClient) -> dict[str, Any] | None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            content = await _exchange(client)
    except Exception as error:  # noqa: BLE001 -- whatever a kernel sends, it is its own row that is missing
        logger.debug("a kernel did not answer: %s", type(error).__name__)
        return None
    return content if isinstance(content, dict) else None


async def _exchange(client: AsyncKernelClient) -> Any:
    channel = client.control_channel
    question = client.session.msg(REQUEST, {})
    channel.send(question)
    while True:
        reply = await channel.get_msg()
        if reply["parent_header"].get("msg_id") == question["header"]["msg_id"]:
            return reply["content"] if reply["header"]["msg_type"] == REPLY else None


# A kernel runs whatever its person likes: what it says is checked like a stranger's words.
_HELD: dict[str, tuple[type, ...]] = {"device": (str,), "uuid": (str, type(None)), "bytes": (int,)}
_LOADS: dict[str, tuple[type, ...]] = {"name": (str,), "url": (str,), "device": (str,), "bytes": (int,)}


def _rows(found: Any, shape: Mapping[str, tuple[type, ...]]) -> list[dict[str, Any]]:
    rows = found[:_MOST_ROWS] if isinstance(found, list) else []
    return [
        {key: redact(said[:4096]) if isinstance(said := row.get(key), str) else said for key in shape}
        for row in rows
        if isinstance(row, dict)
        and all(type(row.get(key)) in kinds for key, kinds in shape.items())
        and 0 <= row["bytes"] <= _MOST_BYTES
    ]


def _sum_by_uuid(rows: list[dict[str, Any]]) -> dict[str, int]:
    held: dict[str, int] = {}
    for one in (one for row in rows for one in row["uses"] if one["uuid"]):
        held[one["uuid"]] = held.get(one["uuid"], 0) + one["bytes"]
    return held


def _do_not_count_as_activity(kernel_manager: MappingKernelManager) -> None:
    # Else an open panel would keep every kernel from being culled.
    known = list(getattr(kernel_manager, "untracked_message_types", ()))
    kernel_manager.untracked_message_types = [*known, *(kind for kind in (REQUEST, REPLY) if kind not in known)]
