"""Ask a running server for the pages of a folder, from a process of its own: what the client costs is not measured."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.server.live import API, TOKEN, query

if TYPE_CHECKING:
    from tests.server.live import Server


@dataclass(frozen=True)
class Walk:
    """The seconds of each page, and the entries of them all."""

    page_seconds: list[float]
    entries: int


def pages(server: Server, connection: str, prefix: str, *, limit: int, most: int = 1_000_000) -> Walk:
    """Ask for the first `most` pages of a folder, one after the other."""
    base = f"{server.app.base_url.rstrip('/')}{API}/storage/list"
    words = [str(server.app.port), base, connection, prefix, str(limit), str(most)]
    done = subprocess.run([sys.executable, "-m", __name__, *words], check=True, capture_output=True)
    return Walk(**json.loads(done.stdout))


def _walk(port: int, path: str, most: int, **arguments: Any) -> Walk:
    client, token, seconds, entries = http.client.HTTPConnection("127.0.0.1", port, timeout=60), "", [], 0
    while token is not None and len(seconds) < most:
        begun = time.monotonic()
        target = f"{path}?{query(**arguments, page_token=token)}"
        client.request("GET", target, headers={"Authorization": f"token {TOKEN}"})
        reply = client.getresponse()
        page = json.loads(reply.read())
        seconds.append(time.monotonic() - begun)
        assert reply.status == 200, page
        token, entries = page["next_token"], entries + len(page["entries"])
    return Walk(seconds, entries)


if __name__ == "__main__":
    port, path, connection, prefix, limit, most = sys.argv[1:]
    walk = _walk(int(port), path, int(most), connection=connection, prefix=prefix, limit=limit)
    print(json.dumps({"page_seconds": walk.page_seconds, "entries": walk.entries}))
