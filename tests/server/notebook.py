"""A notebook with a real kernel in a real server."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tests.magics.cells import Cells
from tests.server.contract import check
from tests.server.live import API, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.server.live import Reply, Server


class Notebook:
    """A kernel that the server runs, with the session that gives it a path."""

    def __init__(self, server: Server, folder: Path, path: str, **variables: str) -> None:
        self.server, self.path = server, path
        self.log = folder / f"{path}.log"
        connections = {"JUPYTER_GPU_CONNECTIONS": str(folder / "connections.toml")}
        environ = {**os.environ, **connections, "JUPYTER_GPU_SIMULATED": "2xL4", **variables}
        # Open until the end: a restart starts the kernel with the same arguments.
        self._stderr = self.log.open("wb")
        start = self.manager.start_kernel(kernel_name="python3", env=environ, stderr=self._stderr)
        self.id = server.await_(start)
        session = server.app.session_manager.save_session("s-" + path, path=path, type="notebook", kernel_id=self.id)
        server.await_(session)
        self.cells = Cells(self.kernel.connection_file)

    @property
    def manager(self) -> Any:
        return self.server.app.kernel_manager

    @property
    def kernel(self) -> Any:
        return self.manager.get_kernel(self.id)

    @property
    def pid(self) -> int:
        return self.kernel.provisioner.pid

    def row(self) -> dict[str, Any] | None:
        reply = self.server.get("/gpu/status")
        assert reply.status == 200
        return next((one for one in check("/gpu/status", reply)["kernels"] if one["id"] == self.id), None)

    def wait_for(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Poll as an open panel does, until the row is as wished; return it."""
        return wait_until(lambda: (row := self.row()) and condition(row) and row, seconds=15)

    @property
    def known(self) -> Any:
        return self.server.extension.kernels._links[self.id]

    def forget(self) -> None:
        """Let the server meet this kernel anew: what ran before may have left it unasked for a while."""
        known = self.server.extension.kernels._links.pop(self.id, None)
        if known is not None:
            self.server.call(known.close)
        self.server.extension.kernels._made_at = float("-inf")

    def linked(self) -> dict[str, Any]:
        self.forget()
        return self.wait_for(lambda row: row["linked"])

    def close(self) -> None:
        self.cells.close()
        self.server.await_(self.manager.shutdown_kernel(self.id, now=True))
        self._stderr.close()

    def rungs(self) -> dict[str, int | None]:
        """Return what each rung would give."""
        path = "/gpu/kernels/{kernel}/release"
        reply = self.server.get(f"/gpu/kernels/{self.id}/release")
        assert reply.status == 200, reply.body
        return {one["rung"]: one["bytes"] for one in check(path, reply)["rungs"]}

    def release(self, rung: str) -> Reply:
        """Take a rung; the reply is one that the contract promises."""
        body, kind = json.dumps({"rung": rung}).encode(), {"Content-Type": "application/json"}
        reply = self.server.request("POST", f"{API}/gpu/kernels/{self.id}/release", body=body, headers=kind)
        check("/gpu/kernels/{kernel}/release", reply, "post")
        return reply
