"""Run cells in a real kernel and see what a notebook would see."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_client.blocking.client import BlockingKernelClient

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Outcome:
    """What one cell gave."""

    status: str = ""
    ename: str = ""
    evalue: str = ""
    traceback: list[str] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    result: str | None = None
    # (message type, content) of each display, in order.
    displays: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def said(self) -> str:
        """The receipts: printed, or where a load took long, the end of what shows its progress."""
        ends = [content["data"].get("text/plain", "") for _, content in self.displays[-1:]]
        return "\n".join([self.stdout, *ends]).strip()


class Cells:
    """A client of a running kernel."""

    def __init__(self, connection_file: str) -> None:
        self.client = BlockingKernelClient(connection_file=connection_file)
        self.client.load_connection_file()
        self.client.start_channels()
        self._wait(60)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                return self.client.wait_for_ready(timeout=seconds)
            except RuntimeError:
                # On a busy machine a heartbeat comes late, and the client takes the kernel for dead.
                if time.monotonic() > end:
                    raise

    def close(self) -> None:
        self.client.stop_channels()

    def start(self, code: str) -> str:
        """Begin a cell; give its message's id."""
        return self.client.execute(code, store_history=True, stop_on_error=False)

    def run(self, code: str, seconds: float = 60) -> Outcome:
        """Run a cell to its end."""
        return self.finish(self.start(code), seconds)

    def value(self, code: str) -> Any:
        """Return an expression's value, without a trace in the notebook's history."""
        reply = self.client.execute("", silent=True, user_expressions={"it": f"repr({code})"}, reply=True, timeout=60)
        answer = reply["content"]["user_expressions"]["it"]
        assert answer["status"] == "ok", answer
        import ast

        return ast.literal_eval(ast.literal_eval(answer["data"]["text/plain"]))

    def finish(self, message: str, seconds: float = 60, watch: Callable[[Outcome], None] | None = None) -> Outcome:
        """Take in what a cell gives until it ends; `watch` sees the outcome grow."""
        outcome, end = Outcome(), time.monotonic() + seconds
        while True:
            found = self.client.get_iopub_msg(timeout=max(0.01, end - time.monotonic()))
            if found["parent_header"].get("msg_id") != message:
                continue
            _take(outcome, found)
            if watch is not None:
                watch(outcome)
            if found["msg_type"] == "status" and found["content"]["execution_state"] == "idle":
                break
        while (reply := self.client.get_shell_msg(timeout=10))["parent_header"].get("msg_id") != message:
            pass
        outcome.status = reply["content"]["status"]
        outcome.messages.append(reply)
        return outcome


def _take(outcome: Outcome, message: dict[str, Any]) -> None:
    kind, content = message["msg_type"], message["content"]
    outcome.messages.append(message)
    if kind == "stream":
        setattr(outcome, content["name"], getattr(outcome, content["name"]) + content["text"])
    elif kind == "execute_result":
        outcome.result = content["data"]["text/plain"]
    elif kind in ("display_data", "update_display_data"):
        outcome.displays.append((kind, content))
    elif kind == "error":
        outcome.ename, outcome.evalue, outcome.traceback = content["ename"], content["evalue"], content["traceback"]
