"""The server's side of the control link: ask each kernel what it holds, also while it runs a cell."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from jupyter_server.services.sessions.sessionmanager import SessionManager

REQUEST = "jupyter_gpu_ext_request"
REPLY = "jupyter_gpu_ext_reply"

_ANSWER_SECONDS = 1.0
# However many panels are open, a kernel is asked this often at most.
_FRESH_SECONDS = 1.0
# A kernel without the extension logs an error a question: it is asked again only after it ran something,
# and less and less often.
_LONGEST_REST_SECONDS = 60.0
_MISSES = 3
_MOST_ROWS = 200


@dataclass(slots=True)
class _Known:
    """What is known of one kernel, and when to ask it again."""

    client: AsyncKernelClient
    linked: bool = False
    content: dict[str, Any] = field(default_factory=dict)
    misses: int = 0
    asked_at: float = 0.0
    activity: object = None

    def is_due(self, now: float, activity: object) -> bool:
        if self.linked or self.misses == 0:
            return True
        rest = min(2.0**self.misses, _LONGEST_REST_SECONDS)
        return activity != self.activity and now - self.asked_at >= rest


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
        for known in self._known.values():
            known.client.stop_channels()
        self._known.clear()

    async def _ask_all(self) -> list[dict[str, Any]]:
        identities = list(self._kernel_manager.list_kernel_ids())
        for gone in set(self._known) - set(identities):
            self._known.pop(gone).client.stop_channels()
        paths = await self._paths()
        await asyncio.gather(*(self._ask(identity) for identity in identities))
        return [self._row(identity, paths.get(identity, "")) for identity in identities if identity in self._known]

    async def _paths(self) -> dict[str, str]:
        sessions = await self._session_manager.list_sessions()  # type: ignore[no-untyped-call]
        return {one["kernel"]["id"]: str(one.get("path", "")) for one in sessions if one.get("kernel")}

    async def _ask(self, identity: str) -> None:
        try:
            kernel = self._kernel_manager.get_kernel(identity)
        except KeyError:
            return
        if identity not in self._known:
            client: Any = kernel.client()
            self._known[identity] = _Known(client)
        known, now = self._known[identity], time.monotonic()
        activity = getattr(kernel, "last_activity", None)
        if not known.is_due(now, activity):
            return
        known.asked_at, known.activity = now, activity
        content = await _answer(known.client)
        if content is not None:
            known.linked, known.content, known.misses = True, content, 0
            return
        known.misses += 1
        if known.misses >= _MISSES:
            known.linked, known.content = False, {}

    def _row(self, identity: str, path: str) -> dict[str, Any]:
        known = self._known[identity]
        return {
            "id": identity,
            "path": path,
            "linked": known.linked,
            "held": _rows(known.content.get("held"), _HELD),
            "loads": _rows(known.content.get("loads"), _LOADS),
        }


async def _answer(client: AsyncKernelClient) -> dict[str, Any] | None:
    channel = client.control_channel
    if not channel.is_alive():
        channel.start()
    question = client.session.msg(REQUEST, {})
    channel.send(question)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                reply = await channel.get_msg()
                if reply["parent_header"].get("msg_id") == question["header"]["msg_id"]:
                    content = reply["content"]
                    return content if reply["header"]["msg_type"] == REPLY and isinstance(content, dict) else None
    except TimeoutError:
        return None


# A kernel runs whatever its person likes: what it says is checked like a stranger's words.
_HELD: dict[str, tuple[type, ...]] = {"device": (str,), "uuid": (str, type(None)), "bytes": (int,)}
_LOADS: dict[str, tuple[type, ...]] = {"name": (str,), "url": (str,), "device": (str,), "bytes": (int,)}


def _rows(found: Any, shape: Mapping[str, tuple[type, ...]]) -> list[dict[str, Any]]:
    rows = found[:_MOST_ROWS] if isinstance(found, list) else []
    return [
        {key: redact(row[key][:4096]) if isinstance(row[key], str) else row[key] for key in shape}
        for row in rows
        if isinstance(row, dict) and all(type(row.get(key)) in kinds for key, kinds in shape.items())
    ]


def _sum_by_uuid(rows: list[dict[str, Any]]) -> dict[str, int]:
    held: dict[str, int] = {}
    for one in (one for row in rows for one in row["held"] if one["uuid"]):
        held[one["uuid"]] = held.get(one["uuid"], 0) + one["bytes"]
    return held


def _do_not_count_as_activity(kernel_manager: MappingKernelManager) -> None:
    # Else an open panel would keep every kernel from being culled.
    known = list(getattr(kernel_manager, "untracked_message_types", ()))
    kernel_manager.untracked_message_types = [*known, *(kind for kind in (REQUEST, REPLY) if kind not in known)]
