"""What a notebook or a script calls: `jg.ls`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.credentials import expires_at, identity
from jupyter_gpu_ext.storage.listing import USUAL, Page, list_page
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.text import format_bytes, printable, table

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from jupyter_gpu_ext.storage.connections import Registry


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a folder, printed as a table."""

    page: Page

    def __str__(self) -> str:
        rows = [
            (
                printable(entry.name) + ("/" if entry.kind == "folder" else ""),
                "" if entry.size_bytes is None else format_bytes(entry.size_bytes),
                entry.modified.strftime("%Y-%m-%d %H:%M") if entry.modified else "",
                entry.unreadable or "",
            )
            for entry in self.page.entries
        ]
        lines = [table(rows, align="<><<")] if rows else ["nothing here"]
        if self.page.next_token:
            lines.append(f"{len(rows)} shown, more exist: --limit, or a folder below")
        return "\n".join(lines)

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the page as the server answers it."""
        return page_json(self.page)


@dataclass(frozen=True, slots=True)
class Connections:
    """The configured connections, printed as a table; no secret is in it."""

    registry: Registry

    def __str__(self) -> str:
        found, problems = self.registry.connections, self.registry.problems
        if not found and not problems:
            return f"No connections yet. Write one to {connections.user_file()}:\n\n{connections.EXAMPLE}"
        rows = [(f"{name}://", one.root, identity(one)) for name, one in found.items()]
        rows += [(name, "", f"not usable: {problem}") for name, problem in problems.items()]
        return table(rows, align="<<<")

    __repr__ = __str__

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain data: the rows as the server answers them."""
        return connections_json(self.registry)


def ls(url: str | None = None, *, limit: int = USUAL) -> Listing | Connections:
    """List a folder of a connection, or the connections.

    Parameters
    ----------
    url : str, optional
        'weights://' or 'weights://llama/'; without it, the connections are listed.
    limit : int
        Entries, 1 to 1000; more are announced, not listed.

    Raises
    ------
    NotFoundError
        When there is no such connection or folder.
    DeniedError
        When storage refuses the connection's identity.
    """
    if url is None:
        return Connections(connections.load())
    place = urls.parse(url)
    if place.scheme == "file":
        connection, prefix = connections.Connection(name="file", root="/"), place.key.strip("/")
    else:
        connection, prefix = connections.load().find(place.scheme), place.key
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    return Listing(LOOP.run(list_page(connection, prefix, limit=limit)))


def page_json(page: Page) -> dict[str, Any]:
    """Return a page as the HTTP contract has it."""
    return {
        "connection": page.connection,
        "prefix": page.prefix,
        "entries": [entry_json(entry) for entry in page.entries],
        "next_token": page.next_token,
    }


def entry_json(entry: Any) -> dict[str, Any]:
    """Return a row as the HTTP contract has it."""
    return {
        "kind": entry.kind,
        "name": entry.name,
        "key": entry.key,
        "size_bytes": entry.size_bytes,
        "modified": entry.modified.isoformat() if entry.modified else None,
        "etag": entry.etag,
        "tier": entry.tier,
        "unreadable": entry.unreadable,
    }


def connections_json(registry: Registry) -> list[dict[str, Any]]:
    """Return the connections as the HTTP contract has them; secrets and their places stay here."""
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "root": one.root,
            "identity": identity(one),
            "kind": one.kind,
            "read_only": one.read_only,
            "expires_at": _iso(expires_at(one)),
            "problem": None,
        }
        for name, one in registry.connections.items()
    ]
    rows += [
        {
            "name": name,
            "root": "",
            "identity": "",
            "kind": None,
            "read_only": True,
            "expires_at": None,
            "problem": {"code": problem.code, "message": problem.message, "hint": problem.hint},
        }
        for name, problem in registry.problems.items()
    ]
    return rows


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
