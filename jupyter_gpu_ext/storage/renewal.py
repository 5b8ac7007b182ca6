"""A new link for a connection that stands: whether it opens the same place, decided before anything is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.credentials import identity
from jupyter_gpu_ext.storage.trial import address
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.proposal import Proposal


def fitted(connection: Connection, wanted: Connection, proposal: Proposal) -> Proposal:
    """Return what a link proposes, its key counted from the root of the connection that it renews.

    Parameters
    ----------
    connection : Connection
        The one that stands.
    wanted : Connection
        What the link alone would be made into.

    Raises
    ------
    BadRequestError
        When the link has no secret, has another kind of one, or opens another place: the secret of one account
        is never sent to another.
    """
    if proposal.secret is None:
        raise BadRequestError(
            f"This link holds no secret that could take the place of the one behind {connection.name}.",
            hint="Copy the whole link, with everything after the ?.",
        )
    if _service(wanted) != _service(connection):
        raise BadRequestError(
            f"This link opens {_words(wanted)}, and {connection.name} is {_words(connection)}.",
            hint="Paste a link to the same container, or connect this one under a name of its own.",
        )
    if wanted.credential != connection.credential:
        raise BadRequestError(
            f"{connection.name} is opened by the {identity(connection)}, and this is the {identity(wanted)}.",
            hint="Paste one of the same kind, or connect this one under a name of its own.",
        )
    key = _key(connection, wanted, proposal)
    return replace(proposal, key=key, one_object=None if proposal.one_object is None else key)


def _key(connection: Connection, wanted: Connection, proposal: Proposal) -> str:
    whole = "/".join(part for part in (wanted.path, proposal.key) if part)
    key = whole.removeprefix(f"{connection.path}/") if connection.path else whole
    inside = not connection.path or key != whole
    if proposal.one_object is None:
        return key if proposal.key and inside else ""
    if not inside:
        raise BadRequestError(
            f"This link opens one object, and that does not lie in {printable(connection.root)}.",
            hint="Paste a link to the container, or connect this one under a name of its own.",
        )
    return key


def _service(connection: Connection) -> tuple[str, str, str]:
    return connection.kind, address(connection).rstrip("/"), connection.path.partition("/")[0]


def _words(connection: Connection) -> str:
    container = connection.path.partition("/")[0]
    place = connection.account or address(connection)
    return f"{container} of {place}" if container else f"all of {place}"
