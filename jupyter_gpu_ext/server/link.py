"""The server's side of the control link to one kernel: it is answered also while a cell runs."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyter_gpu_ext.server import said

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient

    from jupyter_gpu_ext.gpu.attribution import Told

logger = logging.getLogger(__name__)

REQUEST = "jupyter_gpu_ext_request"
REPLY = "jupyter_gpu_ext_reply"

_ANSWER_SECONDS = 1.0
# A kernel without the extension logs an error a question: it is asked again only after it ran something,
# and less and less often.
_LONGEST_REST_SECONDS = 30.0
_MISSES = 3


@dataclass(slots=True)
class Link:
    """What is known of one run of a kernel, and when to ask it again.

    Attributes
    ----------
    run : object
        What is different for another process of the same kernel.
    name : str
        Of the run, the only one that has it.
    received_bytes_per_second : float or None
        What came from storage between its last two answers.
    """

    client: AsyncKernelClient
    run: object
    name: str = field(default_factory=lambda: uuid4().hex)
    linked: bool = False
    answered_once: bool = False
    told: tuple[Told, ...] = ()
    loads: list[dict[str, Any]] = field(default_factory=list)
    streams: list[dict[str, Any]] = field(default_factory=list)
    received_bytes_per_second: float | None = None
    misses: int = 0
    asked_at: float = 0.0
    activity: object = None
    asking: asyncio.Task[None] | None = None
    _received: tuple[float, int] | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_due(self, now: float, activity: object) -> bool:
        """Whether it is time to ask; `activity` is when the kernel last ran something."""
        if self.asking is not None and not self.asking.done():
            return False
        if self.linked or self.misses == 0:
            return True
        rest = min(2.0**self.misses, _LONGEST_REST_SECONDS)
        return now - self.asked_at >= rest and (self.answered_once or activity != self.activity)

    async def ask(self) -> None:
        """Ask for a report and keep what it says; nothing while the kernel is busy with another question."""
        if self._one_at_a_time.locked():
            return
        content = await self.answer({}, _ANSWER_SECONDS)
        if content is not None:
            self.linked, self.answered_once, self.misses = True, True, 0
            self.told = said.told(content.get("held"))
            self.loads = said.rows(content.get("loads"), said.LOADS)
            self.streams = said.rows(content.get("streams"), said.STREAMS)
            self._note_received(said.whole(content.get("received_bytes")))
            return
        self.misses += 1
        if self.misses >= _MISSES:
            self.linked, self.told, self.loads, self.streams = False, (), [], []
        self.received_bytes_per_second = self._received = None

    async def answer(self, question: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Return what the kernel answers, None when it is nothing of the form or comes too late.

        Every client of a kernel has the same name there, so there is one, and it asks one question at a time.
        """
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(seconds):
                    content = await _exchange(self.client, question)
            except Exception as error:  # noqa: BLE001 -- whatever a kernel sends, it is its own row that is missing
                logger.debug("a kernel did not answer: %s", type(error).__name__)
                return None
        return content if isinstance(content, dict) else None

    def close(self) -> None:
        """Ask no more."""
        if self.asking is not None:
            self.asking.cancel()
        self.client.stop_channels()

    def _note_received(self, received_bytes: int | None) -> None:
        now, before = time.monotonic(), self._received
        self._received = None if received_bytes is None else (now, received_bytes)
        self.received_bytes_per_second = None
        if before is not None and received_bytes is not None and now > before[0]:
            self.received_bytes_per_second = max(0, received_bytes - before[1]) / (now - before[0])


async def _exchange(client: AsyncKernelClient, content: dict[str, Any]) -> Any:
    channel = client.control_channel
    question = client.session.msg(REQUEST, content)
    channel.send(question)
    while True:
        reply = await channel.get_msg()
        if reply["parent_header"].get("msg_id") == question["header"]["msg_id"]:
            return reply["content"] if reply["header"]["msg_type"] == REPLY else None
