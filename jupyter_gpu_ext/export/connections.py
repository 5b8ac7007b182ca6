"""The connections that a job needs: a file beside its script that names secrets, and holds none."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.connections import FILE_NAME, PROTOCOLS, Connection
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jupyter_gpu_ext.export.used import Named
    from jupyter_gpu_ext.storage.connections import Registry

# Who is signed in on a person's machine is not in a job.
_PERSONAL = frozenset(("azure-cli", "device-code", "profile"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A connection that a script uses.

    Attributes
    ----------
    connection : Connection or None
        As a job has it: its secret in an environment variable. None where there is none of that name.
    reads, writes : bool
    note : str
        What a person should know of it; else empty.
    """

    name: str
    connection: Connection | None
    reads: bool
    writes: bool
    note: str = ""

    @property
    def variable(self) -> str:
        """The environment variable of its secret; '' where it has none."""
        return self.connection.secret.removeprefix("env:") if self.connection is not None else ""

    @property
    def is_cloud(self) -> bool:
        """Whether an identity of the job itself can open it."""
        return self.connection is not None and self.connection.kind in ("az", "s3", "gs") and not self.variable

    def to_json(self) -> dict[str, object]:
        """Return plain data."""
        return {
            "name": self.name,
            "root": self.connection.root if self.connection is not None else "",
            "reads": self.reads,
            "writes": self.writes,
            "secret": self.variable,
            "note": self.note,
        }


def used(urls: Iterable[Named], registry: Registry) -> tuple[Used, ...]:
    """Return the connections that URLs name, by name."""
    reads, writes = set[str](), set[str]()
    for one in urls:
        if one.scheme not in PROTOCOLS:
            (writes if one.writes else reads).add(one.scheme)
    return tuple(
        _used(name, registry.connections.get(name), reads=name in reads, writes=name in writes)
        for name in sorted(reads | writes)
    )


def to_toml(connections: Iterable[Used]) -> str:
    """Return the text of the connections file."""
    blocks = ["# The connections of train.py. Secrets are named here, never written down."]
    blocks += ["\n".join(_table(one)) for one in connections]
    return "\n\n".join(blocks) + "\n"


def _used(name: str, connection: Connection | None, *, reads: bool, writes: bool) -> Used:
    if connection is None:
        note = f"no connection of that name here; fill in {FILE_NAME}"
        return Used(name=name, connection=None, reads=reads, writes=writes, note=note)
    notes, changed = [], {field.name: getattr(connection, field.name) for field in fields(Connection)}
    if connection.secret and not connection.secret.startswith("env:"):
        changed["secret"] = f"env:{name.upper().replace('-', '_')}_SECRET"
    if connection.credential in _PERSONAL:
        notes.append(f"{connection.credential} is a person's; the job's own identity opens it")
        changed |= {"credential": "default", "profile": ""}
    if connection.kind == "local":
        notes.append("a folder: mount it in the job under the same path")
    if connection.kind == "memory":
        notes.append("memory of one process: a job begins with nothing in it")
    if connection.ca_file:
        notes.append("its certificates are a file of this machine: mount it as well")
    if writes and connection.read_only:
        notes.append("it is read-only, and the script writes to it")
    return Used(name=name, connection=Connection(**changed), reads=reads, writes=writes, note="; ".join(notes))


def _table(one: Used) -> Iterator[str]:
    does = " and ".join([*(["read"] if one.reads else []), *(["written"] if one.writes else [])])
    yield f"# {does}{f'; {one.note}' if one.note else ''}"
    if one.connection is None:
        yield f"# [connections.{one.name}]"
        yield '# root = "az://container/prefix"'
        return
    yield f"[connections.{one.name}]"
    for field in fields(Connection):
        value = getattr(one.connection, field.name)
        if field.name != "name" and value != "" and (field.name != "read_only" or value is not True):
            said = printable(redact(value)) if isinstance(value, str) else value
            # json's escapes are TOML's, for text without control characters.
            yield f"{field.name} = {json.dumps(said, ensure_ascii=False)}"
