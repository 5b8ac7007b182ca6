"""From a pasted link to a connection with a name: understood, tried, and written down."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, ExistsError, GpuExtError, UsageError
from jupyter_gpu_ext.storage import addresses, connections, connections_file, links, renewal, trial
from jupyter_gpu_ext.storage.backends import open_backend
from jupyter_gpu_ext.storage.credentials import expires_at as credential_end
from jupyter_gpu_ext.storage.credentials import find_secret, has_own_secret, identity
from jupyter_gpu_ext.storage.expiry import expired
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.proposal import Proposal, free
from jupyter_gpu_ext.text import format_duration

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection, Registry
    from jupyter_gpu_ext.storage.credentials import Secret
    from jupyter_gpu_ext.storage.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What a link turned out to be; prints as a few lines, holds no secret.

    Attributes
    ----------
    key : str
        What the link names below the connection; '' for all of it.
    one_object : str or None
        The key, where the link grants this object alone.
    saved : bool
        The name can be used from now on.
    """

    connection: Connection
    key: str
    one_object: str | None
    expires_at: datetime | None
    trial: Trial
    saved: bool

    @property
    def url(self) -> str:
        """The name-URL of what the link names."""
        return f"{self.connection.name}://{self.key}"

    def __str__(self) -> str:
        one = self.connection
        end = f" · {expiry_words(self.expires_at)}" if self.expires_at else ""
        lines = [f"{self.url} · {identity(one)} · {'read-only' if one.read_only else 'read and write'}{end}"]
        lines += [f"  {'✓' if check.ok else '✗'} {check.what} {check.message}".rstrip() for check in self.trial.checks]
        if (seconds := self.trial.round_trip_seconds) is not None:
            far = seconds > trial.NEAR_SECONDS
            words = ": the data is probably in another region: slow, and billed" if far else " away"
            lines.append(f"  {seconds * 1000:.0f} ms{words}")
        return "\n".join(lines if self.saved else [*lines, "  not saved"])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the server answers it."""
        return {
            "name": self.connection.name,
            "root": self.connection.root,
            "kind": self.connection.kind,
            "identity": identity(self.connection),
            "read_only": self.connection.read_only,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "grants": asdict(self.trial.grants),
            "one_object": self.one_object,
            "checks": [asdict(check) for check in self.trial.checks],
            "round_trip_seconds": self.trial.round_trip_seconds,
            "saved": self.saved,
        }


def connect(
    link: str | None = None, name: str | None = None, read_only: bool = True, save: bool = True, renew: bool = False
) -> Connected:
    """Connect what a link, a connection string or a folder stands for, and give it a name.

    Parameters
    ----------
    link : str, optional
        What the person was given; asked for, unseen, where it is missing. The name-URL of a connection that
        exists tries it again.
    name : str, optional
        What to call it; without one a name is made of the link.
    read_only : bool
        Refuse to write over this connection.
    save : bool
        Write the connection down; its secret goes to a file beside it that only this user can read.
    renew : bool
        The link takes the place of the one behind the connection `name`, which stays as it is otherwise.

    Raises
    ------
    BadRequestError
        When the link is not understood, leads where no link may lead, or renews a connection to another place.
    ExistsError
        When there is another connection of that name.
    ExpiredError, DeniedError, UnreachableError, NotFoundError
        When nothing there can be listed or read; nothing is written down.
    """
    try:
        pasted = _ask() if link is None else str(link)
        made = LOOP.run(try_link(pasted, name=name, read_only=read_only, save=save, renew=renew))
    except GpuExtError as error:
        # Some tracebacks show the variables of every frame, and here that is the link in all its parts.
        link = pasted = None
        raise error.with_traceback(None) from None
    if save:
        from jupyter_gpu_ext.storage.filesystem import register_all

        # The new name counts at once in pandas and its like.
        register_all()
    return made


def disconnect(name: str) -> None:
    """Forget one of the user's own connections, and delete its secret where it was made by `connect`.

    Raises
    ------
    NotFoundError
        When the user's file has no connection of that name.
    """
    connections_file.remove(connections.user_file(), name)


async def try_link(link: str, *, name: str | None, read_only: bool, save: bool, renew: bool = False) -> Connected:
    """Do what `connect` does, on the I/O loop."""
    registry = connections.load()
    if renew:
        return await _renewed(registry.find(name or ""), links.parse(link), save=save)
    known, _, key = link.strip().partition("://")
    if known in registry.connections or known in registry.problems:
        proposal = Proposal(name=known, fields={}, key=key)
        return await _again(registry.find(known), proposal, name=name, read_only=read_only)
    proposal = await asyncio.to_thread(_on_this_machine, links.parse(link))
    file = connections.user_file()
    entry: dict[str, str | bool] = {**proposal.fields, "read_only": read_only}
    same = _same(registry, connections.check(proposal.name, entry, file), proposal.secret)
    if same is not None and name in (None, same.name):
        return await _again(same, proposal, name=None, read_only=read_only)
    if name is not None and (name in registry.connections or name in registry.problems):
        raise ExistsError(f"There is a connection {name!r} already.", hint="Choose another name with --name.")
    taken = {*registry.connections, *registry.problems}
    connection = connections.check(free(proposal.name, taken) if name is None else name, entry, file)
    tried = await _checked(connection, proposal, save=save)
    if save:
        await asyncio.to_thread(connections_file.add, file, connection.name, entry, proposal.secret)
    return _connected(connection, proposal, tried, saved=save)


def expiry_words(end: datetime) -> str:
    """Return when something ends, in words: 'expires in 42 min', 'until 3 Dec 2030', 'expired'."""
    left = (end - datetime.now(UTC)).total_seconds()
    if left <= 0:
        return "expired"
    if left < 86_400:
        return f"expires in {format_duration(left).partition(' min')[0]}{' min' if left >= 60 else ''}"
    return f"until {end.day} {end:%b %Y}"


async def _renewed(connection: Connection, proposal: Proposal, *, save: bool) -> Connected:
    file = connections.user_file()
    wanted = connections.check(connection.name, dict(proposal.fields), file)
    proposal = renewal.fitted(connection, wanted, proposal)
    await asyncio.to_thread(connections_file.check_kept, file, connection)
    tried = await _checked(connection, proposal, save=save)
    if save and proposal.secret is not None:
        await asyncio.to_thread(connections_file.renew, file, connection.name, proposal.secret)
    return _connected(connection, proposal, tried, saved=save)


async def _checked(connection: Connection, proposal: Proposal, *, save: bool) -> Trial:
    _check_times(connection, proposal)
    await asyncio.to_thread(_check_address, connection)
    tried = await _try(connection, proposal)
    if save and not connection.read_only and tried.grants.write is False:
        raise DeniedError(
            "Nothing can be written here with this link.",
            hint="Connect it read-only, or ask for one that may write.",
        )
    return tried


async def _again(connection: Connection, proposal: Proposal, *, name: str | None, read_only: bool) -> Connected:
    if name not in (None, connection.name):
        raise BadRequestError(f"This is {connection.name}:// already.", hint="Leave out the other name.")
    if connection.read_only and not read_only:
        raise DeniedError(
            f"Connection {connection.name!r} is read-only.",
            hint=f"Set read_only = false for it in {connections.user_file()}.",
        )
    proposal = replace(proposal, secret=None, expires_at=await asyncio.to_thread(credential_end, connection))
    _check_times(connection, proposal)
    return _connected(connection, proposal, await _try(connection, proposal), saved=True)


def _connected(connection: Connection, proposal: Proposal, tried: Trial, *, saved: bool) -> Connected:
    return Connected(
        connection=connection,
        key=proposal.key,
        one_object=proposal.one_object,
        expires_at=proposal.expires_at,
        trial=tried,
        saved=saved,
    )


async def _try(connection: Connection, proposal: Proposal) -> Trial:
    secret = proposal.secret or (find_secret(connection) if has_own_secret(connection) else None)
    backend = open_backend(connection, secret)
    try:
        tried = await trial.run(
            connection,
            backend,
            key=proposal.key,
            one_object=proposal.one_object is not None,
            grants=proposal.grants,
            write=not connection.read_only,
        )
    finally:
        await backend.close()
    if tried.failure is not None:
        raise tried.failure
    return tried


def _same(registry: Registry, wanted: Connection, secret: Secret | None) -> Connection | None:
    """Return the connection that this link was made into before."""
    for one in registry.connections.values():
        if replace(one, name=wanted.name, secret=wanted.secret, read_only=wanted.read_only) != wanted:
            continue
        try:
            if secret is None or find_secret(one) == secret:
                return one
        except GpuExtError:
            continue
    return None


def _check_times(connection: Connection, proposal: Proposal) -> None:
    now = datetime.now(UTC)
    if proposal.expires_at is not None and proposal.expires_at <= now:
        error = expired(connection, proposal.expires_at)
        if connection.name not in connections.load().connections:
            error.hint = "Ask for a new link, and connect that one."
        raise error
    if proposal.starts_at is not None and proposal.starts_at > now:
        start = proposal.starts_at
        words = f"{start:%H:%M} UTC on {start.day} {start:%b %Y}"
        raise DeniedError(f"This link is not valid before {words}.", hint="Wait, or ask for another.")


def _check_address(connection: Connection) -> None:
    if place := trial.address(connection):
        addresses.check_resolved(str(addresses.split_url(place).hostname))


def _on_this_machine(proposal: Proposal) -> Proposal:
    """Return the proposal of a folder for one whose root is a file: its folder, and its name as the key."""
    root = Path(proposal.fields["root"])
    if "://" in proposal.fields["root"] or not root.is_file():
        return proposal
    return replace(proposal, fields={"root": str(root.parent)}, key=root.name)


def _ask() -> str:
    try:
        return getpass.getpass("Paste a link, a connection string or a folder (it is not shown): ")
    except (EOFError, NotImplementedError):
        raise UsageError("There is nobody to ask for the link.", hint="Run it in a terminal or a notebook.") from None
