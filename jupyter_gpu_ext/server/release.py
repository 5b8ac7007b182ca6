"""`/gpu/kernels/{id}/release`: what each rung of the ladder would give a notebook's memory back, and taking one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import ensure_async
from tornado.web import authenticated

from jupyter_gpu_ext.errors import BadRequestError, BusyError, DeviceError, NotLinkedError
from jupyter_gpu_ext.gpu.ladder import OWN, PRICES, Rung
from jupyter_gpu_ext.server import said
from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from jupyter_server.services.sessions.sessionmanager import SessionManager

    from jupyter_gpu_ext.server.kernels import Kernels

logger = logging.getLogger(__name__)

# Looking through a million values takes a kernel a second, and a cell that computes shares its time with it.
_ANSWER_SECONDS = 15.0
_DONE = {Rung.RESTART: "The kernel was restarted", Rung.SHUTDOWN: "The kernel was shut down"}


class Releases:
    """The ladder of each kernel.

    Parameters
    ----------
    kernels : Kernels
    kernel_manager, session_manager
        The server's own: nothing else ends a process.
    """

    def __init__(self, kernels: Kernels, kernel_manager: MappingKernelManager, session_manager: SessionManager) -> None:
        self._kernels = kernels
        self._kernel_manager = kernel_manager
        self._session_manager = session_manager

    async def rungs(self, identity: str) -> list[dict[str, Any]]:
        """Return each rung with what it would give; None where nobody can say.

        Raises
        ------
        NotFoundError
            There is no such kernel.
        BusyError
            The kernel did not answer.
        """
        row = await self._kernels.row(identity)
        sizes: dict[str, int | None] = {Rung.RESTART: _held(row), Rung.SHUTDOWN: _held(row)}
        if row["linked"]:
            content = await self._asked(identity, {"ask": "rungs"})
            sizes |= {one["rung"]: one["bytes"] for one in said.rows(content.get("rungs"), said.RUNGS)
                      if one["rung"] in OWN}  # fmt: skip
        return [{"rung": rung.value, "bytes": sizes.get(rung), "price": PRICES[rung]} for rung in Rung]

    async def release(self, identity: str, rung: Rung) -> dict[str, Any]:
        """Take one rung and return what it gave.

        Raises
        ------
        NotFoundError
            There is no such kernel.
        NotLinkedError
            The kernel has not loaded the extension, which its own rungs need.
        BusyError
            It did not answer.
        """
        row = await self._kernels.row(identity)
        freed = await (self._by_kernel(identity, row, rung) if rung in OWN else self._by_server(identity, row, rung))
        self._kernels.expire()
        done = _DONE.get(rung)
        amount = "" if freed is None else format_bytes(freed)
        if done is None:
            message = f"Freed {amount}." if freed else f"There was nothing to free: {rung}."
        else:
            message = f"{done}; it held {amount}." if amount else f"{done}."
        return {"rung": rung.value, "freed_bytes": freed, "message": message}

    async def _by_kernel(self, identity: str, row: Mapping[str, Any], rung: Rung) -> int | None:
        if not row["linked"]:
            raise NotLinkedError(
                "The notebook has not loaded the extension, so its kernel cannot be asked to free anything.",
                hint="Run `%load_ext jupyter_gpu_ext` in it; a restart needs no extension.",
            )
        content = await self._asked(identity, {"ask": "release", "rung": rung.value})
        freed = said.whole(content.get("freed_bytes"))
        if freed is None:
            raise DeviceError("The kernel could not free it.", hint="Restart the kernel: that frees all it holds.")
        return freed

    async def _by_server(self, identity: str, row: Mapping[str, Any], rung: Rung) -> int | None:
        if rung is Rung.SHUTDOWN:
            await self._shut_down(identity)
            return _held(row)
        try:
            await ensure_async(self._kernel_manager.restart_kernel(identity))  # type: ignore[no-untyped-call]
        except (TimeoutError, RuntimeError) as error:
            logger.warning("kernel %s did not come back: %s", identity, type(error).__name__)
            raise BusyError(
                "The kernel was restarted and has not answered since.", hint="Shut it down, and start it anew."
            ) from None
        return _held(row)

    async def _shut_down(self, identity: str) -> None:
        sessions = await self._session_manager.list_sessions()  # type: ignore[no-untyped-call]
        mine = [one["id"] for one in sessions if (one.get("kernel") or {}).get("id") == identity]
        if mine:
            # The session's end is the kernel's, and the notebook learns of it.
            await self._session_manager.delete_session(mine[0])  # type: ignore[no-untyped-call]
        else:
            await ensure_async(self._kernel_manager.shutdown_kernel(identity))  # type: ignore[no-untyped-call]

    async def _asked(self, identity: str, question: dict[str, Any]) -> dict[str, Any]:
        content = await self._kernels.link(identity).answer(question, _ANSWER_SECONDS)
        if content is None:
            raise BusyError(
                f"The kernel did not answer within {_ANSWER_SECONDS:.0f} s.",
                hint="Try again, interrupt its cell, or restart it.",
            )
        return content


def _held(row: Mapping[str, Any]) -> int | None:
    """Return all that a kernel holds of the devices, or of this computer's memory where it uses none."""
    on_devices = [one for one in row["uses"] if one["uuid"] is not None or one["device"] != "cpu"]
    sizes = [one["bytes"] for one in on_devices or row["uses"] if one["bytes"] is not None]
    return sum(sizes) if sizes else None


class ReleaseHandler(Handler):
    """GET the rungs of one kernel; POST takes one."""

    def initialize(self, releases: Releases) -> None:
        """Take the service of the composition root."""
        self._releases = releases

    @authenticated
    @authorized("execute", resource="kernels")
    async def get(self, identity: str) -> None:
        """Ask the kernel what each rung would give."""
        self.send({"rungs": await self._releases.rungs(identity)})

    @authenticated
    @authorized("execute", resource="kernels")
    async def post(self, identity: str) -> None:
        """Take the rung that is named."""
        rung = _rung(read_body(self.request, {"rung": str})["rung"])
        if rung is Rung.SHUTDOWN:
            # As Jupyter's own way to shut a kernel down asks for it.
            await self.check_may("write", "kernels")
        self.send(await self._releases.release(identity, rung))


def _rung(name: str) -> Rung:
    if name not in list(Rung):
        raise BadRequestError("There is no such rung.", hint=f"One of {', '.join(Rung)}.")
    return Rung(name)


def routes(releases: Releases) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [(r"gpu/kernels/([0-9a-f-]{36})/release", ReleaseHandler, {"releases": releases})]
