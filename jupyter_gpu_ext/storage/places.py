"""Which connection and which key a text means, for those who write: a URL, or the path of a local file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage import backends, connections
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.connections import PROTOCOLS, Connection
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    import os

    from jupyter_gpu_ext.storage.steady import Steady


@dataclass(frozen=True, slots=True)
class Place:
    """A key of a connection; a local path is a key below the root of the disk.

    Attributes
    ----------
    shown : str
        As messages name it: on one line, a pasted signature cut out.
    """

    connection: Connection
    key: str

    @property
    def is_path(self) -> bool:
        """Whether it was written as a path, not as a URL."""
        return self.connection.name == "file"

    @property
    def shown(self) -> str:
        """The place for messages."""
        start = self.connection.root.rstrip("/") + "/" if self.is_path else f"{self.connection.name}://"
        return printable(redact(start + self.key))

    def reading(self) -> Steady:
        """Return the open backend."""
        return backends.backend(self.connection)

    def writing(self) -> Steady:
        """Return the open backend; raise `DeniedError` where the connection may not write."""
        return backends.writable(self.connection)

    def at(self, key: str) -> Place:
        """Return another key of the same connection."""
        return Place(self.connection, key)


def find(text: str | os.PathLike[str]) -> Place:
    """Return the place that a URL or a path means.

    Raises
    ------
    BadRequestError
        When `text` is neither, or a protocol that needs a connection.
    NotFoundError
        When there is no connection of that name.
    """
    url = urls.parse(text)
    if url.scheme == "file":
        return Place(Connection(name="file", root="/", read_only=False), url.key.lstrip("/"))
    if url.scheme in PROTOCOLS:
        backends.resolve(url)
    return Place(connections.load().find(url.scheme), url.key)
